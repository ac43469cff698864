"""A lock on one thing of a catalog that dies with its process."""

import datetime
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.errors import CatalogError, LockedError


@contextmanager
def hold(root: Path, name: str) -> Iterator[None]:
    """Hold the lock of a name in a catalog until the block ends. Raises LockedError that says who holds it, CatalogError where the catalog may not be written.

    A flock(2) on a file that is never removed: the kernel lets go of it when the process ends, however it ends.
    """
    file = root / ".locks" / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise CatalogError(f"{root}: the catalog cannot be written by user {os.geteuid()} ({error.strerror}); reports can read it") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(f"{root}: {name} is locked by {_holder(descriptor)}; wait for it to end") from error
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def is_held(root: Path, name: str) -> bool:
    """Whether somebody holds a lock, as far as the kernel of this machine knows; True where it cannot tell. Takes no lock, so that it is in nobody's way.

    /proc/locks leaves out what processes of other pid namespaces hold (proc_locks(5)), and containers may share the name of a host.
    """
    try:
        found = (root / ".locks" / name).stat()
        holder = json.loads((root / ".locks" / name).read_bytes())
        kernel = Path("/proc/locks").read_text("ascii")
        if (holder["host"], holder["pid_namespace"]) != (socket.gethostname(), _pid_namespace()):
            return True
    except FileNotFoundError as error:
        return bool(error.filename == "/proc/locks")
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return any(len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(found.st_ino) for words in map(str.split, kernel.splitlines()))


def _pid_namespace() -> str | None:
    """Which pid namespace this process is in; None where the system does not tell."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _sign(descriptor: int) -> None:
    started = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "pid_namespace": _pid_namespace(), "started_at": started}).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text, 0)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on {holder['host']} since {holder['started_at']}"
    except (ValueError, KeyError, TypeError):
        return "another process"  # it has taken the lock and not yet signed it
