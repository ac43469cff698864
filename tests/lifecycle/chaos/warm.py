"""Runs Python programs as forks of this interpreter, which has their modules loaded: the real process tree without its slow start."""

import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

Body = Callable[[], int | None]  # gives an exit code; None is 0
_HARMLESS = {"jemalloc_bg_thd"}  # an allocator's own, which knows of forks
_PATIENCE_SECONDS = 180.0


class HangsError(AssertionError):
    """A program that was expected to end does not."""


@dataclass
class Run:
    """A child that was started; it waits for `go` where it was held."""

    pid: int
    gate: int | None
    status: int | None = None

    def go(self) -> None:
        """Let a held child begin."""
        if self.gate is not None:
            os.write(self.gate, b"g")  # not by closing it: a child forked since then holds the other end too
            os.close(self.gate)
            self.gate = None

    def wait(self) -> int:
        """How it ended: an exit code, or minus the number of the signal that killed it."""
        self.go()
        until, pause = time.monotonic() + _PATIENCE_SECONDS, 0.0005
        while not self.ended():
            if time.monotonic() > until:
                self.kill()
                os.waitpid(self.pid, 0)
                raise HangsError(f"process {self.pid} did not end in {_PATIENCE_SECONDS:.0f} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.01)
        assert self.status is not None
        return self.status

    def ended(self) -> bool:
        """Whether it has ended."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def kill(self) -> None:
        """SIGKILL, which it may be too late for."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Place:
    """Where a child runs and what it is told."""

    folder: Path
    out: Path
    err: Path
    environment: Mapping[str, str]


def start(body: Body, place: Place, *, held: bool = False) -> Run:
    """Fork a child that runs `body` and ends with the number it gives. `held`: it waits in poll(2), so that a tracer can be put on it."""
    gate_out, gate_in = os.pipe() if held else (None, None)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        if gate_out is not None:
            os.close(gate_out)
        return Run(pid, gate_in)
    code = 70
    try:
        _settle(place)
        if gate_out is not None and gate_in is not None:
            os.close(gate_in)
            _wait(gate_out)
        code = body() or 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:  # the child must never run on in the harness
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def lastcopy(*arguments: str | bytes) -> Callable[[], int]:
    """The body of `lastcopy ARGUMENTS`: the program's own `main`, and an end with no more of Python's own than a program has."""

    def body() -> int:
        from lastcopy.__main__ import main

        sys.argv = ["lastcopy", *map(os.fsdecode, arguments)]
        main()
        return 0

    return body


def load(modules: Iterable[str]) -> None:
    """Load modules here, so that no child must."""
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception:  # what cannot be loaded alone is loaded by the child itself
            continue


def learning(body: Body, listed: Path) -> Body:
    """The same body, which leaves behind which modules it has loaded, for `learn`."""

    def listing() -> int | None:
        try:
            return body()
        finally:
            listed.write_text(json.dumps([name for name in sys.modules if name != "__main__"]))

    return listing


def learn(listed: Path) -> None:
    """Load here what a learning body has loaded, so that no later child must. Must not start threads: a fork would leave them behind."""
    load(json.loads(listed.read_text()))
    until = time.monotonic() + _PATIENCE_SECONDS
    while not (threads := _threads()) <= _HARMLESS:  # one that ends is there for an instant
        assert time.monotonic() < until, f"{threads} run here: children forked from here may hang"
        time.sleep(0.01)


def _threads() -> set[str]:
    """The names of the other threads of this process."""
    found = set()
    for thread in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(thread) != os.getpid():
                found.add(Path(f"/proc/self/task/{thread}/comm").read_text().strip())
    return found


def _settle(place: Place) -> None:
    """Put a child in its place: session, folder, environment, output."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(place.folder)
    os.environ.clear()
    os.environ.update(place.environment)
    for path, number in ((place.out, 1), (place.err, 2)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    quiet = os.open(os.devnull, os.O_RDONLY)
    os.dup2(quiet, 0)
    os.close(quiet)


def _wait(gate: int) -> None:
    """Until something is written at the other end. By poll(2), which no sweep counts, so that the number of a point does not depend on the attaching."""
    import select

    poll = select.poll()
    poll.register(gate, select.POLLIN | select.POLLHUP)
    poll.poll()
    os.close(gate)
