"""Permissions hold for root too, while the sample estate is scanned: so its unreadable directory is unreadable for everybody."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

_VERSION_3 = 0x20080522  # of the structures of capget(2)
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Words(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextlib.contextmanager
def obeyed(*needed: Path) -> Iterator[bool]:
    """Within it this thread, and what it starts without exec, may not pass over file permissions; afterwards all is as before.

    Gives whether permissions are obeyed: not where that would also close one of the `needed` folders to us (a
    superuser at work in somebody's private home). Changes the capabilities of the thread, nothing on disk.
    """
    before = _capabilities()
    ours = 1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH
    if not before[0].effective & ours:
        yield True
        return
    lowered = _copy(before)
    lowered[0].effective &= ~ours
    _set(lowered)
    try:
        reachable = all(os.access(folder, os.R_OK | os.X_OK, effective_ids=True) for folder in needed)
        if not reachable:
            _set(before)
        yield reachable
    finally:
        _set(before)


def _capabilities() -> "ctypes.Array[_Words]":
    words = (_Words * 2)()
    _call("capget", words)
    return words


def _set(words: "ctypes.Array[_Words]") -> None:
    _call("capset", words)


def _call(name: str, words: "ctypes.Array[_Words]") -> None:
    header = _Header(_VERSION_3, 0)
    if getattr(ctypes.CDLL(None, use_errno=True), name)(ctypes.byref(header), words) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def _copy(words: "ctypes.Array[_Words]") -> "ctypes.Array[_Words]":
    return type(words).from_buffer_copy(words)
