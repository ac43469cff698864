"""The system calls of a run, as strace(1) tells them, and one fault at one of them."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lifecycle.chaos.warm import Run

# Calls that can change a disk, or make a change durable. Between two of them a disk does not change.
_CHANGING = """
    open openat openat2 creat write pwrite64 writev pwritev pwritev2 copy_file_range sendfile splice ftruncate truncate fallocate ioctl
    fsync fdatasync sync_file_range syncfs msync rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utimensat futimesat setxattr lsetxattr fsetxattr removexattr lremovexattr
    fremovexattr mknodat close
"""
# Calls that only look, lock or move about.
_LOOKING = """
    read pread64 readv preadv preadv2 stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getdents64 lseek
    getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr fcntl flock fadvise64 readahead name_to_handle_at chdir fchdir getcwd
"""
CHANGING = frozenset(_CHANGING.split())
LOOKING = frozenset(_LOOKING.split())
FILES = CHANGING | LOOKING
_LINE = re.compile(r"(\d+)\s+(\w+)\((.*)")
_STANDS = b"--- stopped by SIGSTOP ---"
_PATIENCE_SECONDS = 60.0


class NotTracedError(Exception):
    """strace did not get hold of the program."""


@dataclass(frozen=True)
class Call:
    """One system call of a traced run: by which thread (0 = the first), which of its name in that thread, and what was said of it."""

    thread: int
    name: str
    number: int
    told: str

    @property
    def changing(self) -> bool:
        """Whether it may change a disk: an open does so only where it creates or cuts."""
        if self.name in {"open", "openat", "openat2"}:
            return "O_CREAT" in self.told or "O_TRUNC" in self.told
        return self.name in CHANGING and self.name != "close"

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"


@dataclass(frozen=True)
class Fault:
    """What is done at a call, in strace's words: `signal=KILL` (before it), `error=EIO` (in its place), `delay_enter=200000`."""

    what: str
    name: str
    number: int
    onwards: bool = False

    def argument(self) -> str:
        return f"inject={self.name}:{self.what}:when={self.number}{'+' if self.onwards else ''}"


def calls(begin: Callable[[], Run], log: Path) -> tuple[list[Call], int]:
    """Run a held child to its end under strace. Gives its calls and how it ended."""
    run = begin()
    expression = f"trace={','.join(f'?{name}' for name in sorted(FILES))}"  # "?": if this strace knows it
    code = _traced(run, log, [expression], "-y")
    return _parsed(log), code


def inject(begin: Callable[[], Run], fault: Fault, log: Path) -> tuple[bool, int]:
    """Run a held child with a fault. Gives whether the fault fired, and how the child ended."""
    code = _traced(begin(), log, [f"trace={fault.name}", fault.argument()])
    return _fired(log, fault, code), code


def halt(begin: Callable[[], Run], call: Call, log: Path, act: Callable[[], None]) -> tuple[bool, int]:
    """Run a held child, have it stand still after a call, act, and let it go on. Gives whether it stood still, and how it ended."""
    run = begin()
    tracer = attach(run.pid, log, [f"trace={call.name}", "signal=SIGSTOP", Fault("signal=STOP", call.name, call.number).argument()])
    run.go()
    stood = 0
    while not run.ended():
        stops = log.read_bytes().count(_STANDS)
        if stops > stood:  # a further thread that comes to its own call of that number stops the process too
            if not stood:
                act()
            os.kill(run.pid, signal.SIGCONT)
            stood = stops
        time.sleep(0.001)
    code = run.wait()
    tracer.communicate(timeout=_PATIENCE_SECONDS)
    return stood > 0, code


def naming(found: Sequence[Call], path: Path) -> list[Call]:
    """The calls that are about something below a path, by name or by descriptor.

    Of those in further threads only the first of each name: strace counts for each thread, and which of them acts is chance.
    """
    text = str(path)
    own = [call for call in found if text in call.told]
    others = {call.name: call for call in reversed(own) if call.thread and call.number == 1}
    return [call for call in own if not call.thread or others.get(call.name) is call]


def attach(pid: int, log: Path, expressions: Sequence[str], *options: str) -> "subprocess.Popen[bytes]":
    """Put strace on a child that is held; gives the tracer once it has hold."""
    tracer = subprocess.Popen(["strace", "-f", "-qq", *options, "-o", log, *_each(expressions), "-p", str(pid)], stderr=subprocess.PIPE)
    until = time.monotonic() + _PATIENCE_SECONDS
    while not _is_traced(pid):
        if tracer.poll() is not None or time.monotonic() > until:
            said = tracer.stderr.read().decode(errors="replace") if tracer.stderr and tracer.poll() is not None else ""
            raise NotTracedError(f"strace does not get hold of {pid}: {said}")
        time.sleep(0.001)
    return tracer


def _traced(run: Run, log: Path, expressions: Sequence[str], *options: str) -> int:
    tracer = attach(run.pid, log, expressions, *options)
    code = run.wait()
    tracer.communicate(timeout=_PATIENCE_SECONDS)
    return code


def _each(expressions: Sequence[str]) -> list[str]:
    return [part for expression in expressions for part in ("-e", expression)]


def _is_traced(pid: int) -> bool:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in status)


def _fired(log: Path, fault: Fault, code: int) -> bool:
    if fault.what == "signal=KILL":
        return code in (-9, 137)
    return "(INJECTED)" in log.read_text(errors="replace") or "(DELAYED)" in log.read_text(errors="replace")


def _parsed(log: Path) -> list[Call]:
    threads: dict[str, int] = {}
    counted: Counter[tuple[str, str]] = Counter()
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if told := _LINE.match(line):
            pid, name, rest = told.groups()
            counted[pid, name] += 1
            found.append(Call(threads.setdefault(pid, len(threads)), name, counted[pid, name], rest))
    return found
