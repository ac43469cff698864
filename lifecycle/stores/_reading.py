"""Open sources of a file tree, and the digest of what is read from them."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator

from lifecycle.ends import EndError
from lifecycle.stores import BLOCK_BYTES, Fingerprint, Metadata, _calls, _metadata
from lifecycle.stores._tree import NAME_ONLY, Tree
from scanners import _stored

_HOLE_BYTES = 64 << 10
_ZEROS = bytes(_HOLE_BYTES)
_HASHED_ZEROS = bytes(BLOCK_BYTES)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Reading:
    """A file or a symbolic link that is open: what `Source` says."""

    def __init__(self, tree: Tree, path: bytes, descriptor: int, fingerprint: Fingerprint, *, leased: bool) -> None:
        self.fingerprint = fingerprint
        self.leased = leased
        self.descriptor = descriptor
        self._metadata: Metadata | None = None
        self._unchanged: _calls.Status | None = None  # a look that showed it as it was
        self.parents: Callable[[], tuple[Metadata, ...]] = tuple  # of the directories above it, asked for with the metadata
        self._tree = tree
        self._path = path

    def metadata(self) -> Metadata:
        """What is to be kept beside the content, read once: a change of it changes the fingerprint too. Raises EndError."""
        if self._metadata is None:
            with self._tree.ending("read the metadata", self._path):
                target = _target(self.descriptor) if self.fingerprint.type == "symlink" else None
                self._metadata = _metadata.read(self.descriptor, target, self.parents())
        return self._metadata

    def blocks(self) -> Iterator[memoryview | int]:
        """The content in order; a block is good until the next one is asked for. Raises EndError."""
        with self._tree.ending("read", self._path):
            if self.fingerprint.type == "symlink":
                yield memoryview(_target(self.descriptor))
                left = 0
            else:
                left = self.fingerprint.size_bytes
                for block in blocks(self.descriptor, left):
                    left -= block if isinstance(block, int) else len(block)
                    if left < 0 or (left and self.is_wanted()):  # after the last one it is looked at below
                        self.check()
                        raise EndError("SOURCE_CHANGED", f"{self._tree.shown(self._path)}: grew while it was read", retry=True)
                    yield block
        self.check()
        if left:
            raise EndError("FAILED", f"{self._tree.shown(self._path)}: the storage gave {left} bytes less than its size", retry=True)

    def is_wanted(self) -> bool:
        """Whether somebody waits to write to it, as far as a lease tells."""
        return self.leased and not _calls.has_lease(self.descriptor)

    def check(self) -> None:
        """Raises EndError SOURCE_BUSY if the lease is being broken, SOURCE_CHANGED if the open file is not as it was."""
        with self._tree.ending("check", self._path):
            if self.is_wanted():
                raise EndError("SOURCE_BUSY", f"{self._tree.shown(self._path)}: somebody wants to write to it", retry=True)
            found = _calls.status(self.descriptor)
            if found == self._unchanged:
                return
            wrong = self.fingerprint.differs(self._tree.fingerprint_of(found, self._path))
            self._unchanged = self._unchanged if wrong else found
        if wrong:
            raise EndError("SOURCE_CHANGED", f"{self._tree.shown(self._path)}: changed while it was worked on ({wrong})", retry=True)

    def stored_sha256(self) -> bytes:
        """SHA-256 of the content as the storage has it; what somebody has just written is made durable first. Raises EndError."""
        if self.fingerprint.type == "symlink":
            return sha256(self.blocks())[0]
        with self._tree.ending("make durable", self._path):
            self._tree.sync(self.descriptor, may_not=True)  # memory that is not written yet is never dropped
        with self._tree.ending("read", self._path):
            found, size_bytes = stored(self.descriptor, self._still_leased)
        self.check()
        left = self.fingerprint.size_bytes - size_bytes
        if left:
            raise EndError("FAILED", f"{self._tree.shown(self._path)}: the storage gave {left} bytes less than its size", retry=True)
        return found

    def close(self) -> None:
        """Let go, which gives the lease back."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _still_leased(self) -> None:
        if self.is_wanted():
            self.check()


def open_expected(tree: Tree, at: tuple[int, bytes], path: bytes, expected: Fingerprint, *, lease: bool, moved: bool = False) -> Reading:
    """Open what was expected at a name of an open directory; `path` is for telling. Raises OSError, EndError STALE, SOURCE_BUSY."""
    directory, name = at
    found = tree.fingerprint_in(directory, name, path)
    _as_expected(tree, path, expected, found, moved=moved)
    descriptor = tree.open_in(directory, name, NAME_ONLY) if expected.type == "symlink" else open_to_read(tree, directory, name)
    try:
        leased = expected.type == "file" and lease and _leased(tree, path, descriptor)
        found = tree.fingerprint(descriptor, path)
        _as_expected(tree, path, expected, found, moved=moved)
    except BaseException:
        os.close(descriptor)
        raise
    return Reading(tree, path, descriptor, found, leased=leased)


def blocks(descriptor: int, size_bytes: int) -> Iterator[memoryview | int]:
    """The content of an open file of about that size by plain reads, never by its map of holes: runs of zeros of 64 KiB at least become their length.

    Of a small file a byte more than its size is asked for: where it does not come, that was the end.
    """
    buffer = bytearray(min(BLOCK_BYTES, size_bytes + 1))
    view, at = memoryview(buffer), 0
    while count := os.preadv(descriptor, [view], at):
        at += count
        first = start = 0  # of what is not yet given, and of the piece looked at
        zeros = 0
        for start in range(0, count, _HOLE_BYTES):
            if count - start >= _HOLE_BYTES and buffer.startswith(_ZEROS, start):
                if first < start and not zeros:
                    yield view[first:start]
                zeros += _HOLE_BYTES
                first = start + _HOLE_BYTES
            elif zeros:
                yield zeros
                zeros = 0
        if zeros:
            yield zeros
        if first < count:
            yield view[first:count]
        if at == size_bytes and count < len(buffer):
            return


def sha256(content: Iterable[memoryview | int]) -> tuple[bytes, int]:
    """SHA-256 and length of blocks, with runs of zeros as if they were written out."""
    digest, size_bytes = hashlib.sha256(), 0
    for block in content:
        if isinstance(block, int):
            size_bytes += block
            for done in range(0, block, BLOCK_BYTES):
                digest.update(_HASHED_ZEROS[: block - done])
        else:
            size_bytes += len(block)
            digest.update(block)
    return digest.digest(), size_bytes


def stored(descriptor: int, between: Callable[[], None] = lambda: None) -> tuple[bytes, int]:
    """SHA-256 and length of a regular file as its storage has it. Raises OSError. `between` is called after each block."""
    digest, size_bytes = hashlib.sha256(), 0
    for block in _stored.blocks(descriptor):
        digest.update(block)
        size_bytes += len(block)
        between()
    return digest.digest(), size_bytes


def open_to_read(tree: Tree, directory: int, name: bytes) -> int:
    """A descriptor of what is at a name, which the caller looks at: it need not be a regular file. Raises OSError."""
    try:
        return tree.open_in(directory, name, _READ | os.O_NOATIME)
    except PermissionError:  # O_NOATIME is the owner's right, see open(2)
        return tree.open_in(directory, name, _READ)


def _leased(tree: Tree, path: bytes, descriptor: int) -> bool:
    """Take a lease; False where there is none to be had. Raises EndError SOURCE_BUSY."""
    try:
        _calls.lease(descriptor)
    except BlockingIOError as error:
        raise EndError("SOURCE_BUSY", f"{tree.shown(path)}: somebody has it open for writing", retry=True) from error
    except OSError:
        return False  # another's file, or a file system without leases: the caller reads again before it acts
    return True


def _as_expected(tree: Tree, path: bytes, expected: Fingerprint, found: Fingerprint | None, *, moved: bool) -> None:
    if found is None:
        raise EndError("STALE", f"{tree.shown(path)}: it is not there any more")
    if found.type not in ("file", "symlink"):
        raise EndError("REFUSED", f"{tree.shown(path)}: is neither a file nor a symbolic link")
    wrong = expected.differs(found, moved=moved)
    if wrong:
        raise EndError("STALE", f"{tree.shown(path)}: is not what was planned ({wrong} differs)")


def _target(descriptor: int) -> bytes:
    return os.readlink(b"", dir_fd=descriptor)
