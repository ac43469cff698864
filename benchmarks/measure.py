"""Runs commands and measures them: wall time, CPU time and peak memory of every process that they start."""

import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2): orphans of our children become ours, so that their CPU time is not lost
_SAMPLE_SECONDS = 0.02
_ORPHAN_SECONDS = 5.0
_COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}  # programs start as they do where they are installed: what was compiled once is kept
_REST_SECONDS, _REST_SHARE = 2.0, 0.05


class CommandError(Exception):
    """A command that was to be measured ended badly, so there is no figure."""


@dataclass(frozen=True)
class Command:
    """One program to run; its standard output goes to `output` (default: nowhere)."""

    argv: tuple[str, ...]
    output: Path | None = None
    accepted: tuple[int, ...] = (0,)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """What one run took; `peak_bytes` is the proportional set size of all its processes together, 0 where it was not sampled."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int = 0


def run(*commands: Command, sample_memory: bool = False) -> Usage:
    """Run commands one after the other as one timed interval. Raises CommandError.

    CPU time is that of wait4(2) over every process of the run, orphans included; servers that run already are not of it. Sampling costs CPU time: not with
    timings.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    servers = frozenset(_children(os.getpid()))
    sampler = _Sampler(servers) if sample_memory else None
    try:
        usages = [_run_one(command, servers) for command in commands]
    finally:
        peak = sampler.stop() if sampler else 0
    return Usage(sum(u.wall_seconds for u in usages), sum(u.cpu_seconds for u in usages), peak)


def interleaved(contenders: Mapping[str, Callable[[], Usage]], runs: int) -> dict[str, Usage]:
    """The medians of every contender's runs, taken in turns (A B A B …) so that a busy moment meets all of them."""
    seen: dict[str, list[Usage]] = {name: [] for name in contenders}
    for number in range(runs):
        for name, contender in contenders.items():
            seen[name].append(contender())
            say(f"  {name}, run {number + 1} of {runs}: {seen[name][-1].wall_seconds:.2f} s, CPU {seen[name][-1].cpu_seconds:.2f} s")
    return {name: _median(usages) for name, usages in seen.items()}


def rested() -> float:
    """Wait until the processes below this one use less than a twentieth of a CPU; gives the seconds from now until they did."""
    began, before = time.monotonic(), _ticks()
    while True:
        time.sleep(_REST_SECONDS)
        now = _ticks()
        if now - before < _REST_SHARE * _REST_SECONDS * os.sysconf("SC_CLK_TCK"):
            return time.monotonic() - began - _REST_SECONDS
        before = now


def say(text: str) -> None:
    """One line of progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def _median(usages: Sequence[Usage]) -> Usage:
    middle = statistics.median
    return Usage(middle(u.wall_seconds for u in usages), middle(u.cpu_seconds for u in usages), max(u.peak_bytes for u in usages))


def _run_one(command: Command, servers: Set[int]) -> Usage:
    with open(command.output or os.devnull, "wb") as output, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command.argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env={**os.environ, **_COMPILED, **command.env})
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = used.ru_utime + used.ru_stime + _reap_orphans(servers)
        if process.returncode not in command.accepted:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()[-2000:]
            raise CommandError(f"{' '.join(command.argv)}: exit {process.returncode}\n{said}")
    return Usage(wall, cpu)


def _reap_orphans(servers: Set[int]) -> float:
    """CPU seconds of processes that outlived the command which started them."""
    seconds, until = 0.0, time.monotonic() + _ORPHAN_SECONDS
    with suppress(ChildProcessError):
        while not servers >= set(_children(os.getpid())):
            pid, _, used = os.wait4(-1, os.WNOHANG)
            if pid:
                seconds += used.ru_utime + used.ru_stime
            elif time.monotonic() > until:
                raise CommandError("a process that the command left behind does not end")
            else:
                time.sleep(0.005)
    return seconds


class _Sampler:
    """Watches the memory of all processes below this one, in a thread, until it is stopped."""

    def __init__(self, servers: Set[int]) -> None:
        self._servers, self._peak_bytes = servers, 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """The greatest sum that was seen, in bytes."""
        self._stopped.set()
        self._thread.join()
        return self._peak_bytes

    def _watch(self) -> None:
        while not self._stopped.wait(_SAMPLE_SECONDS):
            self._peak_bytes = max(self._peak_bytes, sum(_pss_bytes(pid) for pid in _below(os.getpid(), self._servers)))


def _below(pid: int, but: Set[int] = frozenset()) -> Iterator[int]:
    """The ids of all processes below one, but for some and what is below these."""
    for child in _children(pid):
        if child not in but:
            yield child
            yield from _below(child)


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{task}/children", "rb") as listed:
                yield from map(int, listed.read().split())


def _ticks() -> int:
    """The CPU time of all processes below this one so far (proc(5), stat), in clock ticks."""
    ticks = 0
    for pid in _below(os.getpid()):
        with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as stat:
            ticks += sum(map(int, stat.read().rpartition(b") ")[2].split()[11:13]))
    return ticks


def _pss_bytes(pid: int) -> int:
    """A process's share of the memory that it maps (proc(5), smaps_rollup); 0 if it has ended."""
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
        for line in rollup:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0
