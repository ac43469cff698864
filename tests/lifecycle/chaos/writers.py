"""Other people's programs that change files while they are being moved, and what must then be true."""

import mmap
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

VICTIM = b"secret, outside of every volume"
_PATIENCE_SECONDS = 0.03


def append(path: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, b"one more line")
    os.close(descriptor)


def overwrite(path: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    size = os.fstat(descriptor).st_size
    os.pwrite(descriptor, _other(size), 0)
    os.close(descriptor)


def overwrite_in_time(path: bytes) -> None:
    """The times are put back, as backup programs and editors do."""
    found = os.stat(path)
    overwrite(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def replace(path: bytes) -> None:
    size = os.stat(path).st_size
    with open(path + b".new", "xb") as file:
        file.write(_other(size))
    os.rename(path + b".new", path)


def delete(path: bytes) -> None:
    os.unlink(path)


def _other(size: int) -> bytes:
    return (b"another text, newer than the plan\n" * (size // 34 + 1))[:size]


# How a program of others changes a file, and what it then is; None = gone.
WRITERS: dict[str, tuple[Callable[[bytes], None], Callable[[bytes], bytes | None]]] = {
    "append": (append, lambda old: old + b"one more line"),
    "overwrite": (overwrite, lambda old: _other(len(old))),
    "overwrite, times put back": (overwrite_in_time, lambda old: _other(len(old))),
    "replace by rename": (replace, lambda old: _other(len(old))),
    "delete": (delete, lambda old: None),
}


class Mapping:
    """A process that maps a file before the program starts, and has made its page dirty already: a store then changes no time."""

    def __init__(self, path: bytes) -> None:
        self.changed = False
        ask, self._ask = os.pipe()
        self._answer, answer = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                os.close(self._ask)
                os.close(self._answer)
                _hold(path, ask, answer)
            finally:
                os._exit(0)
        os.close(ask)
        os.close(answer)
        os.read(self._answer, 1)

    def store(self) -> None:
        """Change all of the file; a store is acknowledged by being done."""
        os.write(self._ask, b"s")
        self.changed = os.read(self._answer, 1) == b"d"

    def close(self) -> None:
        """Unmap it: the process ends."""
        os.close(self._ask)
        os.close(self._answer)
        os.waitpid(self._pid, 0)

    @staticmethod
    def stored(old: bytes) -> bytes:
        """What the file is after `store`."""
        return _other(len(old))


def _hold(path: bytes, ask: int, answer: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    with mmap.mmap(descriptor, 0) as mapped:
        mapped[0:1] = mapped[0:1]
        os.write(answer, b"r")
        while os.read(ask, 1):
            mapped[:] = _other(len(mapped))
            os.write(answer, b"d")


class Act:
    """A writer at work in a child; it may be held up by a lease until the program gives that back."""

    def __init__(self, body: Callable[[], None]) -> None:
        self._pid = os.fork()
        if not self._pid:
            try:
                body()
            except OSError:
                os._exit(1)
            except BaseException:  # the child must never run on in the harness
                os._exit(70)
            os._exit(0)
        self._status: int | None = None
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self._look() and time.monotonic() < until:
            time.sleep(0.001)

    def acknowledged(self) -> bool:
        """Wait for its end; whether the system said yes to all of it."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        assert self._status != 70, "the writer itself is wrong"
        return self._status == 0

    def _look(self) -> bool:
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            self._status = os.waitstatus_to_exitcode(status)
        return bool(pid)


def victim(folder: Path, names: Iterable[bytes]) -> dict[bytes, tuple[bytes, int]]:
    """A tree outside of every volume with files of these names; gives what `victim_now` must give ever after."""
    for name in names:
        place = os.path.join(os.fsencode(folder), name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        Path(os.fsdecode(place)).write_bytes(VICTIM)
        os.utime(place, ns=(1, 1))
    return victim_now(folder)


def victim_now(folder: Path) -> dict[bytes, tuple[bytes, int]]:
    """Names, contents and modification times below a folder."""
    found = {}
    for base, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            place = os.path.join(base, name)
            found[place] = (Path(os.fsdecode(place)).read_bytes(), os.stat(place).st_mtime_ns)
    return found


def swap_parent(root: bytes, parent: bytes, victim_folder: bytes) -> None:
    """Put a symbolic link to the victim in the place of a directory."""
    place = os.path.join(root, parent)
    os.rename(place, place + b"~moved")
    os.symlink(os.path.join(victim_folder, parent), place)
