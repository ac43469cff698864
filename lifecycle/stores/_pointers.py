"""Stubs and symbolic links, as they are made in quarantine before they take the places of files."""

import os
import stat
from contextlib import suppress

from catalog import stubs
from lifecycle.stores import Pointer, _calls

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(directory: int, name: bytes, pointer: Pointer, key: str, of: os.stat_result) -> int | None:
    """Make the pointer that stands for a file with that status. Of a stub gives the open descriptor, on its way to the disk. Writes. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)  # of a killed run, perhaps not whole
    if pointer.how == "stub":
        return _stub(directory, name, pointer.text, key, (of.st_atime_ns, of.st_mtime_ns))
    os.symlink(pointer.text, name, dir_fd=directory)
    with suppress(PermissionError):
        os.chown(name, of.st_uid, of.st_gid, dir_fd=directory, follow_symlinks=False)
    return None


def is_durable(descriptor: int) -> bool:
    """Make a stub durable; False where that failed: it is not to be used. Writes."""
    try:
        os.fsync(descriptor)
    except OSError:
        return False
    return True


def _stub(directory: int, name: bytes, text: bytes, key: str, times: tuple[int, int]) -> int:
    """A stub: ours, for scans believe no other's, readable by all who could enter, as old as its file (`times` in ns)."""
    descriptor = os.open(name, _CREATE, 0o600, dir_fd=directory)
    try:
        with suppress(OSError):  # a storage without attributes: the first line of its text tells too
            os.setxattr(descriptor, stubs.ATTRIBUTE, key.encode())
        os.fchmod(descriptor, stat.S_IMODE(stubs.MODE))
        at = 0
        while at < len(text):
            at += os.pwrite(descriptor, text[at:], at)
        os.utime(descriptor, ns=times)
        _calls.begin_to_write(descriptor)
    except BaseException:
        os.close(descriptor)
        os.unlink(name, dir_fd=directory)
        raise
    return descriptor
