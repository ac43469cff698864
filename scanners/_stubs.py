"""Stubs among files: what jobs left at the names of archived files, known by status first and by text then."""

import os
import stat
from collections.abc import Sequence
from typing import Any

import numpy as np

from catalog import stubs
from catalog.stubs import Stub
from scanners import _kernel

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Slots = np.ndarray[Any, Any]


def find(slots: Slots, raw: Sequence[bytes], directories: Sequence[int], keep: Slots) -> dict[int, Stub]:
    """The stubs among some files, by row. `directories` are descriptors of where each name is. Only files that may be stubs are opened."""
    read_only = np.flatnonzero(slots["mode"] == stubs.MODE)
    if not len(read_only):
        return {}
    found = {}
    for row in read_only[_may_be(slots[read_only]) & keep[read_only]].tolist():
        stub = _read(directories[row], raw[row], int(slots["inode"][row]), int(slots["size_bytes"][row]))
        if stub:
            found[row] = stub
    return found


def _may_be(slots: Slots) -> Slots:
    """Whether the status of a file is that of a stub: small, of one name, older than itself, for it has the times of what it stands for, and ours.

    The text of anybody but root and who scans is a file like others, whatever it says: he could ask by it what lies where he may not look.
    """
    size, born_s, modified_s = slots["size_bytes"], slots["created_s"], slots["modified_s"]
    older = (modified_s < born_s) | ((modified_s == born_s) & (slots["modified_ns"] < slots["created_ns"]))
    unknown = (slots["mask"] & _kernel.BTIME) == 0
    ours = (slots["uid"] == 0) | (slots["uid"] == os.geteuid())
    return ours & (slots["link_count"] == 1) & (size >= stubs.LEAST_BYTES) & (size <= stubs.MOST_BYTES) & (older | unknown)  # type: ignore[no-any-return]  # an array of booleans is one


def _read(directory: int, name: bytes, inode: int, size_bytes: int) -> Stub | None:
    """The stub at a name, None where it is none, is another file by now, or may not be read."""
    try:
        descriptor = _opened(directory, name)
    except OSError:
        return None
    try:
        head = os.read(descriptor, len(stubs.MAGIC))
        if head != stubs.MAGIC:
            return None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_ino != inode or status.st_size != size_bytes:
            return None
        return stubs.read(head + os.read(descriptor, stubs.MOST_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _opened(directory: int, name: bytes) -> int:
    """A descriptor for reading that leaves the access time alone, or one of a file that is marked as a stub. Raises OSError."""
    try:
        return os.open(name, _OPEN | os.O_NOATIME, dir_fd=directory)
    except PermissionError:  # O_NOATIME is the owner's right, see open(2)
        os.getxattr(b"/proc/self/fd/%d/%s" % (directory, name), stubs.ATTRIBUTE, follow_symlinks=False)
        return os.open(name, _OPEN, dir_fd=directory)
