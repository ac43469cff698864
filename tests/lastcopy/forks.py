"""Runs `lastcopy` as forks of an interpreter that has loaded it: processes of their own, without half a second of imports each.

`python -m tests.lastcopy.forks` is that interpreter. It runs nothing itself and has one thread; each child becomes the program before it has
looked at anything: its folder, environment, arguments and output are set, and `lastcopy.__main__.main` begins.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from catalog import lean
from lastcopy import cli

_ROOT = Path(__file__).parents[2]
# Read by an interpreter, or by what it has loaded, when it starts: a fork would not see another value.
_READ_AT_START = ("LD_", "LANG", "LC_", "MALLOC_", "OPENBLAS_", "PYDANTIC_", "PYTHON")
_WITH_PANDAS = {"dashboard", "serve"}
_HARMLESS = {"jemalloc_bg_thd"}  # an allocator's own thread, which knows of forks
_LOADED = (
    *(f"lastcopy.commands.{name}" for name in cli._COMMANDS),
    *("lastcopy.asking", "lastcopy.diagnosis", "lastcopy.listing", "lastcopy.planned", "lastcopy.scanning", "lastcopy.places"),
    *("catalog.derive.export", "catalog.inventory", "scanners.candidates", "scanners.crawl", "scanners.digest", "scanners.guard", "scanners.journal"),
    *("scanners.media", "scanners.pool", "scanners.posix", "catalog.store", "reports.explain", "reports.find", "reports.gate", "reports.render"),
    *("reports.simulate", "reports.state", "reports.terminal", "lifecycle.actions.archive", "lifecycle.crew", "lifecycle.plan", "lifecycle.policies"),
    *("lifecycle.stores.posix", "deltalake.transaction", "magic", "numpy.ma", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "rich.console"),
    *("sqlglot.dialects.duckdb", "typer._adapters"),
)


@dataclass(frozen=True)
class _Child:
    """What the program runs with in a child."""

    arguments: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    streams: Sequence[int]  # standard output and standard error


class Forks:
    """The interpreter that forks, as others see it; it ends with this object's process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._fixed = _fixed(environment)
        self._asked = ours
        command = [sys.executable, "-m", "tests.lastcopy.forks", str(its.fileno())]
        self._interpreter = subprocess.Popen(
            command, cwd=_ROOT, env=dict(environment), pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
        )
        its.close()

    def able(self, command: str, environment: Mapping[str, str]) -> bool:
        """Whether a fork is what a program is that begins with such an environment, and has loaded what the command takes."""
        return command not in _WITH_PANDAS and _fixed(environment) == self._fixed

    def run(
        self, arguments: Sequence[str | bytes], folder: Path, environment: Mapping[str, str], streams: tuple[IO[bytes], IO[bytes]], timeout_seconds: float
    ) -> int:
        """Run the program; gives its exit code, or minus the number of the signal that ended it. Raises TimeoutExpired, after it was killed."""
        told, tells = os.pipe()
        asked = {"arguments": list(map(os.fsdecode, arguments)), "folder": str(folder), "environment": dict(environment)}
        try:
            descriptors = [*(stream.fileno() for stream in streams), tells]
            socket.send_fds(self._asked, [json.dumps(asked).encode("utf-8", "surrogateescape")], descriptors)
        finally:
            os.close(tells)
        with open(told, encoding="ascii") as reply:
            until = time.monotonic() + timeout_seconds
            pid = int(reply.readline())
            if not select.select([reply], [], [], max(0.0, until - time.monotonic()))[0]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                reply.readline()  # until it is gone
                raise subprocess.TimeoutExpired([os.fsdecode(argument) for argument in arguments], timeout_seconds)
            return os.waitstatus_to_exitcode(int(reply.readline()))


def _fixed(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key.startswith(_READ_AT_START)}


def _serve(asked: socket.socket) -> _Child | None:
    """Fork a child for each request, and tell how it ended. Gives in a child what it is to run; None when nobody can ask any more."""
    poll = select.poll()
    poll.register(asked, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}  # descriptor of a process -> its number, and where its end is told
    while True:
        for ready, _ in poll.poll():
            if ready in running:
                pid, tells = running.pop(ready)
                poll.unregister(ready)
                os.close(ready)
                _tell(tells, os.waitpid(pid, 0)[1])
                os.close(tells)
                continue
            request, descriptors, _, _ = socket.recv_fds(asked, 1 << 20, 3)
            if not request:
                return None
            *streams, tells = descriptors
            pid = os.fork()
            if not pid:
                asked.close()
                for descriptor in (tells, *(place for process, (_, end) in running.items() for place in (process, end))):
                    os.close(descriptor)
                return _Child(**json.loads(request.decode("utf-8", "surrogateescape")), streams=streams)
            for stream in streams:
                os.close(stream)
            _tell(tells, pid)
            process = os.pidfd_open(pid)
            running[process] = (pid, tells)
            poll.register(process, select.POLLIN)


def _tell(tells: int, number: int) -> None:
    with suppress(BrokenPipeError):  # who asked may be gone
        os.write(tells, b"%d\n" % number)


def _become(child: _Child) -> None:
    """Make of this process what a new one would begin as."""
    os.setsid()
    os.chdir(child.folder)
    os.environ.clear()
    os.environ.update(child.environment)
    time.tzset()
    for stream, number in zip(child.streams, (1, 2), strict=True):
        os.dup2(stream, number)
        os.close(stream)
    sys.path[0] = child.folder
    importlib.invalidate_caches()


def _load() -> None:
    """Load what the program loads, as it does: with one thread, and without pandas."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    lean.without_pandas()
    for name in _LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    names = {Path(f"/proc/self/task/{task}/comm").read_text().strip() for task in os.listdir("/proc/self/task") if int(task) != os.getpid()}
    assert names <= _HARMLESS, f"{names} run here: a fork would leave them behind"


def _main() -> None:
    _load()
    child = _serve(socket.socket(fileno=int(sys.argv[1])))
    if child is None:
        return
    from lastcopy import __main__ as program

    _become(child)
    sys.argv = [str(program.__file__), *child.arguments]
    sys.modules["__main__"] = program  # what processes of its own begin with
    program.main()


if __name__ == "__main__":
    _main()
