"""Reads the bytes of files below a root: in this process, or as a child that does nothing else and imports nothing heavy."""

import contextlib
import errno
import functools
import hashlib
import itertools
import marshal
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

SMALL_BYTES = 64 * 1024  # up to here a file is read whole at once; above it a sample comes first
SAMPLE_BYTES = 4 * 1024  # of the head, and of the tail
BUFFER_BYTES = 256 * 1024  # stays in a core's cache until it is digested
UNKNOWN = -(2**63)  # stands for a value that the entry does not have

_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NOATIME = getattr(os, "O_NOATIME", 0)
_TICK_NS = 10_000_000  # of a kernel's clock, at most
_COARSE_TICK_NS = 2_000_000_000  # of FAT, the longest there is; others that keep no fraction have one second
_DIRTY_NS = 600_000_000_000  # a kernel writes back what was written within half a minute, or some
_SYNC_FILE_RANGE = 1 | 2 | 4  # wait before, write, wait after
_TOLD_BYTES = 64 * BUFFER_BYTES  # after so much of a file the driver is asked for
_KEPT_OPEN = 32  # descriptors of the directories on the way down; deeper ones are opened again for each directory
LENGTH_BYTES = 8  # before each message
_STDIN, _STDOUT = 0, 1
_read = os.read


Problem = tuple[int, str, str, int | None]  # file, stage, error, errno


class Request(NamedTuple):
    """Files of one root, in the order in which they are read.

    Names and directories are escaped UTF-8. `fingerprints` holds four int64 a file: inode, size, modified and changed time in
    ns, modulo 2**64, UNKNOWN where the entry has none. `whole` is one byte a file: 0 = of a large file only the sample.
    `stored`: contents come from the storage, not from the memory of this machine.
    """

    root: bytes
    dirs: Sequence[bytes]
    counts: Sequence[int]  # files in each directory
    name_offsets: bytes  # int32, one more than files
    name_bytes: bytes
    fingerprints: bytes
    whole: bytes
    stored: bool = False


class Reply(NamedTuple):
    """What was read, one item a file. A file with a problem has neither digest nor sample.

    `ended_ns` is of the monotonic clock, which all processes share; a file's reading starts where the one before it ended,
    that of the first at `started_ns`.
    """

    started_ns: int
    ended_ns: list[int]
    digests: list[bytes | None]
    samples: list[bytes | None]
    bytes_read: int
    problems: list[Problem]


class _ChangedError(Exception):
    """The file is not, or no longer, what the entry says."""


def read_files(request: Request, alive: Callable[[], None] = lambda: None) -> Reply:
    """Digests and samples of files whose fingerprint is the entry's before and after reading. Only reads; access times are kept where allowed.

    `alive` is called now and then within large files; it ends the process or raises where the result is no longer wanted.
    """
    names, numbers = _names(request), iter(memoryview(request.fingerprints).cast("q").tolist())
    files = list(zip(names, zip(*[numbers] * 4, strict=True), request.whole, strict=True))
    settled_ns = time.time_ns() - _COARSE_TICK_NS
    ended: list[int] = []
    digests: list[bytes | None] = []
    samples: list[bytes | None] = []
    problems: list[Problem] = []
    total, started = 0, time.monotonic_ns()
    with _Directories(request.root) as directories:
        for path, count in zip(request.dirs, request.counts, strict=True):
            at = len(digests)
            try:
                folder = directories.open(path)
            except OSError as error:
                problems += [(i, "open", _text(error), error.errno) for i in range(at, at + count)]
                digests, samples, ended = digests + [None] * count, samples + [None] * count, ended + [time.monotonic_ns()] * count
                continue
            for name, fingerprint, whole in files[at : at + count]:
                digest = sample = None
                stage = "open"
                try:
                    descriptor = _open(name, folder)
                    stage = "read"
                    digest, sample, size = _file(descriptor, fingerprint, whole, settled_ns, alive, stored=request.stored)
                    total += size
                except OSError as error:
                    problems.append((len(digests), stage, _text(error), error.errno))
                except _ChangedError as error:
                    problems.append((len(digests), "changed", str(error), None))
                digests.append(digest)
                samples.append(sample)
                ended.append(time.monotonic_ns())
    return Reply(started, ended, digests, samples, total, problems)


def _file(
    descriptor: int, fingerprint: tuple[int, ...], whole: int, settled_ns: int, alive: Callable[[], None], *, stored: bool
) -> tuple[bytes | None, bytes | None, int]:
    """Digest, sample and the number of bytes read of an open file, which is closed. Raises OSError, _ChangedError.

    What changed before `settled_ns` shows any further write in its times.
    """
    try:
        inode, size, modified, changed = fingerprint
        before = os.fstat(descriptor)
        if stored or before.st_ctime_ns >= settled_ns - _DIRTY_NS:
            _write_back(descriptor)
            before = os.fstat(descriptor)
        if (before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (inode, size, modified, changed):
            _compare(before, inode, size, modified, changed)
        if before.st_ctime_ns >= settled_ns:
            _outwait_the_tick(before.st_ctime_ns)
        digest = sample = None
        if size <= SMALL_BYTES:
            data = _small(descriptor, size) if stored else _read(descriptor, size + 1)
            if len(data) != size:
                data = _rest(descriptor, data, size)
            digest = hashlib.sha256(data).digest()
        elif whole:
            digest, sample = _whole(_blocks(descriptor, stored=stored), size, alive)
        else:
            sample = _sample(descriptor, size)
        after = os.fstat(descriptor)
        if after.st_mtime_ns != before.st_mtime_ns or after.st_ctime_ns != before.st_ctime_ns or after.st_size != size:
            _changed_while_read()
        return digest, sample, size if digest else 2 * SAMPLE_BYTES
    finally:
        os.close(descriptor)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer packed requests until their end; ends at once when nobody reads the replies any more."""
    while length := requests.read(LENGTH_BYTES):
        packed = requests.read(int.from_bytes(length, "little"))
        request = Request(*marshal.loads(packed))  # noqa: S302 -- from our own parent process
        replies.write(pack(read_files(request, _end_with_the_driver)))
        replies.flush()


def pack(message: tuple[Any, ...]) -> bytes:
    """A message with its length before it."""
    data = marshal.dumps(tuple(message))
    return len(data).to_bytes(LENGTH_BYTES, "little") + data


def unpack_reply(data: bytes) -> Reply:
    """The reply of a message without its length."""
    return Reply(*marshal.loads(data))  # noqa: S302 -- from our own child process


def _names(request: Request) -> list[bytes]:
    offsets, data = memoryview(request.name_offsets).cast("i").tolist(), request.name_bytes
    names = [data[start:end] for start, end in itertools.pairwise(offsets)]
    return [_raw(name) for name in names] if b"\\" in data else names


def _raw(escaped: bytes) -> bytes:
    from catalog.names import unescape

    return unescape(escaped.decode()) if b"\\" in escaped else escaped


def _open(name: bytes, folder: int) -> int:
    try:
        return os.open(name, _OPEN_FILE | _NOATIME, dir_fd=folder)
    except PermissionError:  # only the owner may keep the access time: open(2), O_NOATIME
        return os.open(name, _OPEN_FILE, dir_fd=folder)


def _text(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _compare(found: os.stat_result, inode: int, size: int, modified: int, changed: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _ChangedError("is no longer a regular file")
    if found.st_size != size:
        raise _ChangedError("has another size than at the scan")
    for now, then, what in (
        (found.st_ino, inode, "is another file than"),
        (found.st_mtime_ns, modified, "was written since"),
        (found.st_ctime_ns, changed, "was changed since"),
    ):
        if then != UNKNOWN and (now - then) % 2**64:
            raise _ChangedError(f"{what} at the scan")


def _write_back(descriptor: int) -> None:
    """Have the kernel store now what programs wrote: into a page that waits for it, a program that has mapped the file writes without a new time."""
    import ctypes

    call = _sync_file_range()
    if call is None:
        os.fsync(descriptor)
    elif call(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE) and ctypes.get_errno() in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@functools.cache
def _sync_file_range() -> Callable[..., int] | None:
    import ctypes

    return getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)


def _outwait_the_tick(changed_ns: int) -> None:
    """Wait, where a file was changed just now, until its clock has ticked: a write within the tick of the last one would not show in the times."""
    tick_ns = _TICK_NS if changed_ns % 1_000_000_000 else _COARSE_TICK_NS
    age_ns = time.time_ns() - changed_ns
    if 0 <= age_ns < tick_ns:
        time.sleep((tick_ns - age_ns) / 1e9)


def _changed_while_read() -> None:
    raise _ChangedError("changed while it was read")


def _rest(descriptor: int, data: bytes, size: int) -> bytes:
    """The whole content after a short read. Raises _ChangedError where it has another length."""
    while len(data) <= size and (more := _read(descriptor, size + 1 - len(data))):
        data += more
    if len(data) != size:
        _changed_while_read()
    return data


def _sample(descriptor: int, size: int) -> bytes:
    parts = _exactly(descriptor, 0), _exactly(descriptor, size - SAMPLE_BYTES)
    return hashlib.sha256(b"".join(parts)).digest()


def _exactly(descriptor: int, offset: int) -> bytes:
    data = os.pread(descriptor, SAMPLE_BYTES, offset)
    while len(data) < SAMPLE_BYTES:
        more = os.pread(descriptor, SAMPLE_BYTES - len(data), offset + len(data))
        if not more:
            _changed_while_read()
        data += more
    return data


def _small(descriptor: int, size: int) -> bytes:
    """The content of a small file from its storage, or somewhat more than its size where it grew."""
    data = b""
    for block in _blocks(descriptor, stored=True):
        data += block
        if len(data) > size:
            break
    return data


def _blocks(descriptor: int, *, stored: bool) -> Iterator[bytes | memoryview]:
    """The content of a file; a block is good until the next one is asked for."""
    if stored:
        from scanners import _stored

        yield from _stored.blocks(descriptor)
        return
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    while data := _read(descriptor, BUFFER_BYTES):
        yield data


def _whole(blocks: Iterable[bytes | memoryview], size: int, alive: Callable[[], None]) -> tuple[bytes, bytes]:
    """Digest and sample of a large file in bounded memory. Raises _ChangedError where it has another length."""
    content, sampled, tail, total, told = hashlib.sha256(), hashlib.sha256(), b"", 0, 0
    for data in blocks:
        content.update(data)
        if total < SAMPLE_BYTES:
            sampled.update(data[: SAMPLE_BYTES - total])
        tail = (tail + data[-SAMPLE_BYTES:])[-SAMPLE_BYTES:]
        total += len(data)
        if total > size:
            break
        if total - told >= _TOLD_BYTES:
            told = total
            alive()
    if total != size:
        _changed_while_read()
    sampled.update(tail)
    return content.digest(), sampled.digest()


class _Directories:
    """Descriptors of directories below a root, reached name by name, none through a link."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._way: list[tuple[bytes, int]] = []  # from the root down, at most _KEPT_OPEN
        self._last: tuple[bytes, int] | None = None  # a deeper one, open for the files of one directory

    def __enter__(self) -> "_Directories":
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)

    def open(self, path: bytes) -> int:
        """The descriptor of an escaped directory, valid until the next call. Raises OSError."""
        parts = [b"", *path.split(b"/")[:-1]]
        same = 0
        for (name, _), part in zip(self._way, parts, strict=False):
            if name != part:
                break
            same += 1
        self._leave(same)
        for part in parts[same:]:
            self._step(part)
        return self._last[1] if self._last else self._way[-1][1]

    def _step(self, name: bytes) -> None:
        """Go down to a directory by its escaped name; first of all to the root."""
        above = self._last or (self._way[-1] if self._way else None)
        descriptor = os.open(_raw(name), _OPEN_DIR | os.O_NOFOLLOW, dir_fd=above[1]) if above else os.open(self._root, _OPEN_DIR)
        if len(self._way) < _KEPT_OPEN:
            self._way.append((name, descriptor))
            return
        if self._last:
            os.close(self._last[1])
        self._last = (name, descriptor)

    def _leave(self, keep: int) -> None:
        if self._last:
            os.close(self._last[1])
            self._last = None
        while len(self._way) > keep:
            os.close(self._way.pop()[1])


def _end_with_the_driver() -> None:
    watched = select.poll()
    watched.register(_STDIN, 0)
    if any(event & (select.POLLHUP | select.POLLERR) for _, event in watched.poll(0)):
        os._exit(1)  # the driver was killed: nobody waits for this


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with contextlib.suppress(BrokenPipeError), os.fdopen(_STDIN, "rb") as incoming, os.fdopen(_STDOUT, "wb") as outgoing:
        serve(incoming, outgoing)
