"""Calls of the Linux kernel that change a file tree safely, and that Python does not offer: renameat2(2), leases, shared blocks."""

import ctypes
import errno
import fcntl
import functools
import os
import signal
import struct
import threading
from contextlib import suppress
from typing import Literal, NamedTuple

from scanners import _kernel

_NOREPLACE, _EXCHANGE = 1, 2  # <linux/fs.h>
_F_SETSIG = 10
_F_SETLEASE, _F_GETLEASE = 1024, 1025
_FICLONE = 0x40049409  # _IOW(0x94, 9, int)
_FIDEDUPERANGE = 0xC0189436  # _IOWR(0x94, 54, struct file_dedupe_range)
_DEDUPE_AT_ONCE_BYTES = 16 << 20  # a file system may take less at a time, and takes no more
_DIFFERS = 1
_SYNC_FILE_RANGE_WRITE, _SYNC_FILE_RANGE_ALL = 2, 7  # WAIT_BEFORE, WRITE and WAIT_AFTER together

NO_FLAGS = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # what renameat2 gives where a file system does not know its flags

_library = ctypes.CDLL(None, use_errno=True)
_library.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_STATX = struct.Struct("<I4xQI8xH2xQq8xQ16xqI4xqI4xqI12xQ16xQ88x")  # struct statx of <linux/stat.h>, the fields of `Status`
_EMPTY_PATH, _NOT_THROUGH = 0x1000, 0x100 | 0x800  # AT_EMPTY_PATH; AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT


class Status(NamedTuple):
    """What statx(2) tells of a file. Times are seconds and the nanoseconds after them."""

    mask: int
    attributes: int
    link_count: int
    mode: int
    inode: int
    size_bytes: int
    known_attributes: int
    created_s: int
    created_ns: int
    changed_s: int
    changed_ns: int
    modified_s: int
    modified_ns: int
    device: int
    subvolume: int

    def is_of(self, other: "Status") -> bool:
        """Whether both are of one inode."""
        return (self.inode, self.device, self.subvolume) == (other.inode, other.device, other.subvolume)


_status = functools.partial(tuple.__new__, Status)  # `Status._make` takes twice the time, and a step calls statx 16 times


class _Slot(threading.local):
    """The memory that the kernel answers into, one a thread."""

    def __init__(self) -> None:
        self.memory = ctypes.create_string_buffer(_STATX.size)
        self.place = ctypes.byref(self.memory)


_slot = _Slot()
_statx = ctypes.PyDLL(None, use_errno=True).statx  # as in scans: the interpreter's lock is kept


def status(directory: int, name: bytes = b"") -> Status:
    """The statx of one name in an open directory, no link followed; of what is open itself without a name. Raises OSError."""
    found = find(directory, name)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(name))
    return found


def find(directory: int, name: bytes) -> Status | None:
    """As `status`; None where nothing has that name: an exception, thrown and caught, costs more than the call. Raises OSError."""
    slot = _slot
    while _statx(directory, name, _NOT_THROUGH if name else _EMPTY_PATH, _kernel.STAT_MASK, slot.place):
        number = ctypes.get_errno()
        if number == errno.ENOENT:
            return None
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), os.fsdecode(name))
    return _status(_STATX.unpack(slot.memory))


def rename_new(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    """Rename to a name that is not there; the kernel refuses one that is, with FileExistsError (RENAME_NOREPLACE). Raises OSError."""
    _renameat2(old_directory, old, new_directory, new, _NOREPLACE)


def exchange(one_directory: int, one: bytes, other_directory: int, other: bytes) -> None:
    """Let two names of one file system change places, at once (RENAME_EXCHANGE). Raises OSError."""
    _renameat2(one_directory, one, other_directory, other, _EXCHANGE)


def lease(descriptor: int) -> None:
    """Take a read lease on a file open for reading. Raises OSError; BlockingIOError where somebody has it open, or mapped, for writing.

    Who opens it for writing or truncates it waits until the lease is given back, 45 seconds at most, see fcntl(2). The kernel tells by a
    signal: SIGURG, which does nothing to a process that has not asked for it, where the SIGIO that it would take ends the process.
    """
    fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
    fcntl.fcntl(descriptor, _F_SETLEASE, fcntl.F_RDLCK)


def has_lease(descriptor: int) -> bool:
    """Whether a read lease is whole: held, and nobody waits for it."""
    return fcntl.fcntl(descriptor, _F_GETLEASE) == fcntl.F_RDLCK


def give_back_lease(descriptor: int) -> None:
    """Give a lease back, so that who waits for the file goes on."""
    with suppress(OSError):  # a lease that the kernel took is not there
        fcntl.fcntl(descriptor, _F_SETLEASE, fcntl.F_UNLCK)


def clone(descriptor: int, kept: int) -> None:
    """Make an empty file share all blocks of another one. Raises OSError."""
    fcntl.ioctl(descriptor, _FICLONE, kept)


def dedupe(kept: int, other: int, size_bytes: int) -> Literal["shared", "differs", "unsupported"]:
    """Have the kernel compare two files and share the blocks of equal ones, under its own locks. Raises OSError.

    Neither content, nor name, nor time changes. See ioctl_fideduperange(2).
    """
    done = 0
    while done < size_bytes:
        request = bytearray(struct.pack("=QQHHI", done, min(_DEDUPE_AT_ONCE_BYTES, size_bytes - done), 1, 0, 0))
        request += struct.pack("=qQQiI", other, done, 0, 0, 0)
        try:
            fcntl.ioctl(kept, _FIDEDUPERANGE, request)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV):
                return "unsupported"
            raise
        _, _, shared, status, _ = struct.unpack_from("=qQQiI", request, 24)
        if status == _DIFFERS:
            return "differs"
        if status in (-errno.EOPNOTSUPP, -errno.EINVAL, -errno.EXDEV) or (status == 0 and shared == 0):
            return "unsupported"
        if status < 0:
            raise OSError(-status, os.strerror(-status))
        done += shared
    return "shared"


def begin_to_write(descriptor: int) -> None:
    """Have the kernel begin to write a file's content to its disk, so that the fsync that follows waits less. Says nothing of its success."""
    _library.sync_file_range(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)


def write_out(descriptor: int, at: int, size_bytes: int) -> None:
    """Wait until a part of a file is written to its disk, and have the kernel forget it. Raises OSError.

    An error that this call tells no later fsync tells again, see sync_file_range(2): it means what a failed fsync means.
    """
    while _library.sync_file_range(descriptor, at, size_bytes, _SYNC_FILE_RANGE_ALL):
        number = ctypes.get_errno()
        if number in (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP):
            return  # there is no such thing here: it stays in memory until the fsync
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
    with suppress(OSError):  # a file system without a cache
        os.posix_fadvise(descriptor, at, size_bytes, os.POSIX_FADV_DONTNEED)


def _renameat2(old_directory: int, old: bytes, new_directory: int, new: bytes, flags: int) -> None:
    while _library.renameat2(old_directory, old, new_directory, new, flags):
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), os.fsdecode(old), None, os.fsdecode(new))
