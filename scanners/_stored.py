"""The content of open files as their storage has it: past the kernel's memory where that can be, else with what it keeps there dropped."""

import errno
import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

BLOCK_BYTES = 1 << 20
_ALIGNED = 4096  # what a read past memory begins and ends at
_AT_ONCE_BYTES = 2 << 20
_DIRECT = getattr(os, "O_DIRECT", 0)


_rooms = threading.local()  # memory that a read past memory can go to, one a thread


def _forget_rooms() -> None:
    """Let go of memory that is shared with the process that forked: what one reads would be overwritten by the other."""
    _rooms.__dict__.clear()


os.register_at_fork(after_in_child=_forget_rooms)


def blocks(descriptor: int) -> Iterator[memoryview]:
    """The content of a regular file from its storage, in order; a block is good until the next one is asked for. Raises OSError.

    Each block of a large file is read while the one before is worked on; no thread reads two files at a time. What a program has
    written, and the kernel not yet stored, is only sure to come from the storage after an fsync.
    """
    drop_cache(descriptor)
    at, size_bytes = 0, os.fstat(descriptor).st_size
    small = size_bytes < _AT_ONCE_BYTES
    if past_memory(descriptor, wanted=True):
        try:
            for block in _small(descriptor, size_bytes) if small else _large(descriptor, size_bytes):
                at += len(block)
                yield block
        except OSError as error:
            if error.errno != errno.EINVAL:  # the storage wants to be read in another way
                raise
        finally:
            past_memory(descriptor, wanted=False)
        if at == (size_bytes if small else os.fstat(descriptor).st_size):
            return
    buffer = memoryview(bytearray(min(BLOCK_BYTES, size_bytes) or 1))
    while count := os.preadv(descriptor, [buffer], at):
        at += count
        yield buffer[:count]


def drop_cache(descriptor: int) -> None:
    """Have the kernel forget the durable content of a file that it keeps in memory, so that it is read from the storage."""
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    except (OSError, AttributeError):
        return  # a file system, or a kernel, without such a cache


def past_memory(descriptor: int, *, wanted: bool) -> bool:
    """Have reads of a file come from its storage and not from memory (O_DIRECT), or through memory again; whether it can be done."""
    try:
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | _DIRECT if wanted else flags & ~_DIRECT)
    except OSError:
        return False
    return _DIRECT != 0


def _room(name: str) -> memoryview:
    """Memory of this thread, kept: new memory costs more than to read a small file."""
    if not hasattr(_rooms, name):
        setattr(_rooms, name, memoryview(mmap.mmap(-1, _AT_ONCE_BYTES)))
    found: memoryview = getattr(_rooms, name)
    return found


def _small(descriptor: int, size_bytes: int) -> Iterator[memoryview]:
    """The content in one piece. More than its size is asked for: where no more comes, that was its end."""
    room = _room("here")[: (size_bytes // _ALIGNED + 1) * _ALIGNED]
    if count := os.preadv(descriptor, [room], 0):
        yield room[:count]


def _large(descriptor: int, size_bytes: int) -> Iterator[memoryview]:
    here, there = _room("here"), _room("there")
    with ThreadPoolExecutor(1) as reader:
        at, coming = 0, reader.submit(os.preadv, descriptor, [here], 0)
        while count := coming.result():
            at += count
            if at < size_bytes:
                coming = reader.submit(os.preadv, descriptor, [there], at)
            yield here[:count]
            if at >= size_bytes:
                break
            here, there = there, here
