"""What an archive holds, whatever its format, and what bounds the reading of a hostile one. Imports nothing heavy: it runs in a process of its own."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import BinaryIO, NamedTuple, Protocol

SAMPLE_BYTES = 4 * 1024  # as in scanners.reading, which imports nothing of ours
SMALL_BYTES = 64 * 1024
MOST_MEMBERS = 4_000_000  # of an archive
MOST_NAMES = 400 * 1024 * 1024  # characters of the paths of all members: so many are less than 2 GiB of text, whatever they are
MOST_HEADER_BYTES = 1024 * 1024  # of what describes one member
MOST_RATIO = 1000  # unpacked bytes to packed ones, beyond
FREE_BYTES = 2**30  # that anything may unpack to
MOST_PADDING_BYTES = 16 * 1024 * 1024  # after the end
MEMORY_BYTES = 2 * 2**30  # of the process that unpacks
_LONGEST_PATH = 4096  # bytes of a name, what one call of the system takes
_PIECE_BYTES = 1024 * 1024
_GREATEST = 2**63 - 1


class DamagedError(Exception):
    """The archive cannot be read on from here. What was read before is right."""


class Member(NamedTuple):
    """One member. `number` is where it lies, which no other has. `exact_time`: the time is kept to the nanosecond or 100 of them, not to the second."""

    number: int
    name: bytes
    type: str  # file | dir | symlink | special
    size_bytes: int
    modified_ns: int | None = None
    exact_time: bool = True
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    owner: str | None = None
    group: str | None = None
    link_target: bytes | None = None
    hard_link: bool = False  # `link_target` is the name of the member that has the content


class Refused(NamedTuple):
    """A member that is not entered, and why."""

    name: bytes
    error: str


class Content(NamedTuple):
    """What was read of a member: digest and sample as in `schema.DIGESTS`, or what was wrong."""

    number: int
    digest: bytes | None = None
    sample: bytes | None = None
    error: str | None = None


class Archive(Protocol):
    """An open archive of one format."""

    last_wins: bool  # whether of several members of one name the last is what every program extracts

    def members(self) -> Iterator[Member | Refused]:
        """Every member once, in the order of the archive. Raises DamagedError, OSError and what the format's library raises."""

    def contents(self, wanted: Collection[int]) -> Iterator[Content]:
        """What the wanted members hold, by their numbers, in one pass. Raises as `members` does."""


def place_of(name: bytes) -> tuple[bytes, bytes]:
    """`dir` with its trailing slash and `name` of a member's name; two empty texts for the root. Raises ValueError where it leads out, or nowhere."""
    if b"\0" in name:
        raise ValueError("a NUL in its name: what follows it is seen by some programs only")
    if name.startswith(b"/"):
        raise ValueError("an absolute name: where it comes out depends on the program")
    if len(name) > _LONGEST_PATH:
        raise ValueError(f"its name is longer than {_LONGEST_PATH} bytes")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise ValueError("'..' in its name: it leads out of the folder that the archive is unpacked into")
    return (b"".join(part + b"/" for part in parts[:-1]), parts[-1]) if parts else (b"", b"")


def type_of(mode: int) -> str:
    """The type of an entry by the type bits of st_mode; without any it is a file."""
    return {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink"}.get(stat.S_IFMT(mode), "special")


def whole(number: int | float | None) -> int | None:
    """A number that a column of integers holds and that is not negative, else None."""
    return int(number) if number is not None and 0 <= number <= _GREATEST else None


def most_bytes(packed_bytes: int) -> int:
    """How much something packed may unpack to."""
    return FREE_BYTES + MOST_RATIO * packed_bytes


def digested(number: int, pieces: Iterable[bytes], size_bytes: int) -> Content:
    """The content of a member from its bytes; an error where they are not as many as it says."""
    digest, head, tail, count = hashlib.sha256(), b"", b"", 0
    for piece in pieces:
        digest.update(piece)
        count += len(piece)
        if len(head) < SAMPLE_BYTES:
            head += piece[: SAMPLE_BYTES - len(head)]
        tail = (tail + piece)[-SAMPLE_BYTES:] if len(piece) < SAMPLE_BYTES else piece[-SAMPLE_BYTES:]
    if count != size_bytes:
        return Content(number, error=f"it says {size_bytes} bytes, and holds {count}")
    return Content(number, digest.digest(), hashlib.sha256(head + tail).digest() if size_bytes > SMALL_BYTES else None)


def pieces_of(file: BinaryIO, alive: Callable[[], None]) -> Iterator[bytes]:
    """All that is left in a file, piece by piece."""
    while piece := file.read(_PIECE_BYTES):
        alive()
        yield piece


class Bounded:
    """A stream that is unpacked, read forwards only, until it gives more than can be right. Raises DamagedError then."""

    def __init__(self, stream: BinaryIO, most: int, alive: Callable[[], None]) -> None:
        """`most` bytes; `alive` is called now and then."""
        self._stream, self._most, self._alive, self._at = stream, most, alive, 0

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or fewer at the end."""
        found = b""
        while size < 0 or len(found) < size:
            piece = self._stream.read(_PIECE_BYTES if size < 0 else min(_PIECE_BYTES, size - len(found)))
            if not piece:
                break
            found = found + piece if found else piece
            self._at += len(piece)
            self._alive()
            if self._at > self._most:
                raise DamagedError(f"it unpacks to more than {self._most} bytes, {MOST_RATIO} times what is packed: it is not read on")
        return found

    def tell(self) -> int:
        """Where the stream is."""
        return self._at

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go on to a place that lies ahead. Raises OSError for one that does not."""
        if whence != os.SEEK_SET or position < self._at:
            raise OSError(f"a stream that is unpacked is not read backwards, from {self._at} to {position}")
        while self._at < position and self.read(min(_PIECE_BYTES, position - self._at)):
            pass
        return self._at

    def seekable(self) -> bool:
        """It can be gone on in."""
        return True

    def readable(self) -> bool:
        """It can be read."""
        return True


def opened(file: BinaryIO, alive: Callable[[], None]) -> Archive:
    """The archive that a file is, known by its first bytes and not by its name. Raises DamagedError, ImportError."""
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        from scanners import _zip

        return _zip.Zip(file, alive)
    if head.startswith(b"7z\xbc\xaf\x27\x1c"):
        from scanners import _sevenzip

        return _sevenzip.SevenZip(file, alive)
    from scanners import _tar

    return _tar.Tar(file, head, alive)


def is_named_as_one(name: str) -> bool:
    """Whether a file in a folder of archives is taken for one."""
    return bool(re.search(r"\.(tar|tgz|tbz2?|txz|tzst|tar\.(gz|bz2|xz|zst)|zip|7z)$", name, re.IGNORECASE))
