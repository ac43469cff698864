"""7z, by py7zr: the list is of its headers, contents go into a digest and never to a name."""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from hashlib import sha256
from typing import Any, BinaryIO

import py7zr
from py7zr.exceptions import ArchiveError, PasswordRequired
from py7zr.io import MemIO

from scanners._archive import SAMPLE_BYTES, SMALL_BYTES, Content, DamagedError, Member, Refused, most_bytes, type_of, whole

_1601_S = 11_644_473_600  # from 1601, where Windows begins to count, to 1970

_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, EOFError, AssertionError)  # what a damaged header leads to


class SevenZip:
    """An open 7z archive."""

    last_wins = False

    def __init__(self, file: BinaryIO, alive: Callable[[], None]) -> None:
        """Raises DamagedError, also where its list is encrypted."""
        self._alive = alive
        try:
            self._archive: Any = py7zr.SevenZipFile(file, "r", max_extract_size=most_bytes(os.fstat(file.fileno()).st_size))
        except PasswordRequired as error:
            raise DamagedError("its list is encrypted") from error
        except (ArchiveError, *_DAMAGE) as error:
            raise DamagedError(f"damaged, or cut off ({type(error).__name__}: {error})") from error

    def members(self) -> Iterator[Member | Refused]:
        """Every member of the list."""
        for found in self._archive.files:
            self._alive()
            yield _member(found)

    def contents(self, wanted: Collection[int]) -> Iterator[Content]:
        """Digests of the wanted members: what is packed together is unpacked in one pass."""
        done: list[Content] = []
        self._number_by_folder()
        sinks = _Sinks({found.id: found.uncompressed for found in self._archive.files if found.id in wanted}, done, self._alive)
        for number in wanted:
            self._archive.worker.register_filelike(number, MemIO(str(number), sinks))  # by our number: py7zr sees no name to write to
        self._archive.worker.max_extract_size = self._archive.max_extract_size
        try:
            self._archive.worker.extract(self._archive.fp, None, parallel=False)
        except PasswordRequired as error:
            raise DamagedError("its members are encrypted") from error
        except (ArchiveError, OSError, *_DAMAGE) as error:
            damage = DamagedError(f"damaged, or more than it can be ({type(error).__name__}: {error})")
            yield from done[:-1]  # of the last one the check sum may be what is wrong
            raise damage from error
        yield from done

    def _number_by_folder(self) -> None:
        """Give what is packed together the numbers that the list gives: py7zr counts on from the first, and would take empty files between for full ones."""
        together: dict[int, tuple[Any, list[Any]]] = {}
        for found in self._archive.files:
            if found.folder is not None:
                together.setdefault(id(found.folder), (found.folder, []))[1].append(found)
        for folder, files in together.values():
            folder.files = files


class _Sink(py7zr.Py7zIO):
    """Takes the bytes of one member."""

    def __init__(self, number: int, size: int, done: list[Content], alive: Callable[[], None]) -> None:
        self._number, self._size, self._done, self._alive = number, size, done, alive
        self._digest, self._head, self._tail, self._count = sha256(), b"", b"", 0

    def write(self, s: bytes | bytearray) -> int:
        """Take some."""
        self._alive()
        piece = bytes(s)
        self._digest.update(piece)
        self._head += piece[: SAMPLE_BYTES - len(self._head)]
        self._tail = (self._tail + piece)[-SAMPLE_BYTES:]
        self._count += len(piece)
        return len(piece)

    def close(self) -> None:
        """All of it was written."""
        if self._count != self._size:
            self._done.append(Content(self._number, error=f"it says {self._size} bytes, and holds {self._count}"))
        else:
            sample = sha256(self._head + self._tail).digest() if self._count > SMALL_BYTES else None
            self._done.append(Content(self._number, self._digest.digest(), sample))

    def read(self, size: int | None = None) -> bytes:
        """Nothing: it is only written to."""
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Nothing to seek in."""
        return 0

    def flush(self) -> None:
        """Nothing is kept back."""

    def size(self) -> int:
        """What was written."""
        return self._count


class _Sinks(py7zr.WriterFactory):
    """A sink for each member, by the number that it was registered with."""

    def __init__(self, sizes: dict[int, int], done: list[Content], alive: Callable[[], None]) -> None:
        self._sizes, self._done, self._alive = sizes, done, alive

    def create(self, filename: str) -> py7zr.Py7zIO:
        """The sink of a member."""
        number = int(filename)
        return _Sink(number, self._sizes[number], self._done, self._alive)


def _member(found: Any) -> Member | Refused:  # noqa: ANN401 - py7zr's
    """What the list says of a member."""
    name = str(found.filename).encode("utf-8", "surrogatepass")
    size = whole(found.uncompressed or 0)
    if size is None:
        return Refused(name, f"a size that cannot be right: {found.uncompressed}")
    kind = stat.S_IFDIR if found.is_directory else stat.S_IFLNK if found.is_symlink else found.st_fmt or stat.S_IFREG
    mode, written = found.posix_mode, found.lastwritetime
    return Member(
        number=found.id,
        name=name,
        type=type_of(kind),
        size_bytes=size if kind == stat.S_IFREG else 0,
        modified_ns=None if written is None else int(written) * 100 - _1601_S * 1_000_000_000,
        mode=None if mode is None else kind | mode,
    )
