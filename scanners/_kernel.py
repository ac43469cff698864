"""Calls of the Linux kernel that Python does not offer: statx(2) into one buffer, openat2(2), the UUID of a file system."""

import ctypes
import errno
import fcntl
import functools
import os
import uuid
from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np

from catalog.errors import UnreachableError

SLOT_BYTES = 256  # sizeof(struct statx), see <linux/stat.h>
STAT_FLAGS = 0x100 | 0x800  # AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
STAT_MASK = 0x7FF | 0x800 | 0x1000 | 0x8000  # basic, btime, mount id, subvolume
BTIME = 0x800
_EMPTY_PATH = 0x1000  # AT_EMPTY_PATH
_CTIME = 0x80  # STATX_CTIME
MOUNT_ROOT = 0x2000  # STATX_ATTR_MOUNT_ROOT, Linux 5.8

_TIMES = {"accessed": 64, "created": 80, "changed": 96, "modified": 112}
_FIELDS = {
    "mask": ("<u4", 0), "attributes": ("<u8", 8), "link_count": ("<u4", 16), "uid": ("<u4", 20), "gid": ("<u4", 24),
    "mode": ("<u2", 28), "inode": ("<u8", 32), "size_bytes": ("<i8", 40), "blocks": ("<u8", 48), "known_attributes": ("<u8", 56),
    "device": ("<u8", 136), "subvolume": ("<u8", 160),
    **{f"{name}_s": ("<i8", at) for name, at in _TIMES.items()},
    **{f"{name}_ns": ("<u4", at + 8) for name, at in _TIMES.items()},
}  # fmt: skip
STATX = np.dtype({"names": list(_FIELDS), "formats": [f for f, _ in _FIELDS.values()], "offsets": [o for _, o in _FIELDS.values()], "itemsize": SLOT_BYTES})

_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_NO_XDEV, _RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 1, 2, 4, 8
_FS_IOC_GETFSUUID = 0x80111500  # struct fsuuid2 { __u8 len; __u8 uuid[16]; }, Linux 6.9
_LONGEST = 4000  # bytes of one path argument; PATH_MAX is 4096 with its end
_PR_SET_PDEATHSIG = 1

_failing = ctypes.PyDLL(None, use_errno=True)


def statx_function() -> Callable[..., int]:
    """`statx(dirfd, name, flags, mask, slot)` without errno, as fast as ctypes can. Raises UnreachableError where there is none.

    `name` is bytes, `slot` one of `slots`: objects that need no conversion. It keeps the interpreter's lock: give it
    a thousand names at a time.
    """
    return _statx(ctypes.PyDLL(None))


def slots(buffer: np.ndarray[Any, Any]) -> list[Any]:
    """Where each slot of a buffer of bytes lies, as the last argument of statx. The buffer must outlive them."""
    memory = (ctypes.c_char * len(buffer)).from_buffer(buffer)  # type: ignore[arg-type]  # an array is a writable buffer
    return [ctypes.byref(memory, at) for at in range(0, len(buffer), SLOT_BYTES)]


class ChangeTimes:
    """Asks for the changed time of some open directories at once."""

    def __init__(self, most: int) -> None:
        """`most` descriptors at a time."""
        buffer = np.zeros(most * SLOT_BYTES, np.uint8)
        self._slots, self._places, self._statx = buffer.view(STATX), slots(buffer), statx_function()

    def of(self, descriptors: list[int]) -> list[int | None]:
        """The time of each as `changed_ns` gives it; None where the kernel gives an error."""
        count = len(descriptors)
        results = list(map(self._statx, descriptors, repeat(b""), repeat(_EMPTY_PATH), repeat(_CTIME), self._places[:count]))
        times = changed_ns(self._slots[:count])
        return [None if result else at for at, result in zip(times, results, strict=True)] if any(results) else times


def changed_ns(found: np.ndarray[Any, Any]) -> list[Any]:
    """The changed times of an array of `STATX` in nanoseconds, `wrapped`."""
    return (found["changed_s"] * 1_000_000_000 + found["changed_ns"]).tolist()  # type: ignore[no-any-return]  # a list of an array is one


def wrapped(number: int) -> int:
    """A number of nanoseconds modulo 2**64, as an int64 holds it: no time is too far off to be compared."""
    return (number + 2**63) % 2**64 - 2**63


def statx_error(directory: int, name: bytes, slot: object) -> int:
    """Try one name again; gives its errno, 0 if it went well now."""
    return ctypes.get_errno() if _statx(_failing)(directory, name, STAT_FLAGS, STAT_MASK, slot) else 0


def statx_here(descriptor: int) -> np.ndarray[Any, Any]:
    """The statx of an open file or directory: an array of one `STATX`."""
    slot = ctypes.create_string_buffer(SLOT_BYTES)
    if _statx(_failing)(descriptor, b"", _EMPTY_PATH, STAT_MASK, ctypes.byref(slot)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return np.frombuffer(slot.raw, STATX)


def open_beneath(root: int, path: bytes, flags: int, cross_mounts: bool = True) -> int:
    """Open a relative path of any length below a directory's descriptor; no link in any component is followed. Raises OSError.

    A link gives ELOOP, a mount point with `cross_mounts` off EXDEV.
    """
    if len(path) <= _LONGEST:
        return _open(root, path or b".", flags, cross_mounts)
    at = os.dup(root)
    try:
        while len(path) > _LONGEST:
            cut = path.rindex(b"/", 0, _LONGEST)
            following = _open(at, path[:cut], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, cross_mounts)
            os.close(at)
            at, path = following, path[cut + 1 :]
        return _open(at, path or b".", flags, cross_mounts)
    finally:
        os.close(at)


def file_system_uuid(descriptor: int) -> str | None:
    """The UUID that a file system says it has; None where it does not say (FS_IOC_GETFSUUID, Linux 6.9)."""
    answer = bytearray(17)
    try:
        fcntl.ioctl(descriptor, _FS_IOC_GETFSUUID, answer)
    except OSError:
        return None  # the caller has other sources
    found = bytes(answer[1 : 1 + answer[0]])
    if not any(found):
        return None
    return str(uuid.UUID(bytes=found)) if len(found) == 16 else found.hex()


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent ends; ends it at once if that has happened already (prctl(2))."""
    _failing.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_BYTES = ctypes.sizeof(_How)
_openat2_works = [True]


def _statx(library: ctypes.PyDLL) -> Callable[..., int]:
    try:
        return library.statx
    except AttributeError as error:
        raise UnreachableError("this system has no statx(2): file trees can be scanned on Linux with glibc 2.28, musl 1.2.3 or later only") from error


def _open(at: int, path: bytes, flags: int, cross_mounts: bool) -> int:
    if not _openat2_works[0]:
        return _open_by_component(at, path, flags, cross_mounts)
    how = _how(flags, cross_mounts)
    while True:
        descriptor = _failing.syscall(_OPENAT2, at, path, how, _HOW_BYTES)
        if descriptor >= 0:
            return descriptor  # type: ignore[no-any-return]  # the result of a system call is an int
        number = ctypes.get_errno()
        if number in (errno.ENOSYS, errno.EPERM) and not _has_openat2(at):
            _openat2_works[0] = False
            return _open_by_component(at, path, flags, cross_mounts)
        if number not in (errno.EAGAIN, errno.EINTR):  # EAGAIN: a rename went on above it, see openat2(2)
            raise OSError(number, os.strerror(number), os.fsdecode(path))


@functools.cache
def _how(flags: int, cross_mounts: bool) -> Any:  # noqa: ANN401 - an argument for ctypes
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS | (0 if cross_mounts else _RESOLVE_NO_XDEV)
    return ctypes.byref(_How(flags | os.O_CLOEXEC, 0, resolve))


def _has_openat2(at: int) -> bool:
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, 0)
    descriptor = _failing.syscall(_OPENAT2, at, b".", ctypes.byref(how), _HOW_BYTES)
    if descriptor >= 0:
        os.close(descriptor)
    return bool(descriptor >= 0)


def _open_by_component(at: int, path: bytes, flags: int, cross_mounts: bool) -> int:
    """As `_open`, where a kernel or a sandbox has no openat2: mounts are told apart by their device only."""
    *above, last = [part for part in path.split(b"/") if part not in (b"", b".")] or [b"."]
    if b".." in (*above, last):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), os.fsdecode(path))
    device = os.fstat(at).st_dev
    current = os.dup(at)
    try:
        for part in above:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = below
        found = os.open(last, flags | os.O_NOFOLLOW, dir_fd=current)
    finally:
        os.close(current)
    if not cross_mounts and os.fstat(found).st_dev != device:
        os.close(found)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), os.fsdecode(path))
    return found
