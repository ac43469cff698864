"""A listing that is packed (gzip, Zstandard), as its text: bounded, for what unpacks without end says nothing."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from scanners._told import ChangedError

_MOST_TIMES = 250  # that the text of a listing may be as large as what it is packed to
_ALWAYS_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20


@contextmanager
def unpacked(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """The text of a file, unpacked where the ending of its name says that it is packed. Raises ChangedError for what cannot be unpacked."""
    ending = os.path.splitext(name)[1].lower()
    if ending not in (".gz", ".zst"):
        yield file
        return
    most_bytes = max(_ALWAYS_BYTES, os.fstat(file.fileno()).st_size * _MOST_TIMES)
    inner = gzip.GzipFile(fileobj=file) if ending == ".gz" else _zstd(file)
    yield cast("BinaryIO", io.BufferedReader(_Bounded(cast("BinaryIO", inner), most_bytes), _BLOCK_BYTES))


def _zstd(file: BinaryIO) -> BinaryIO:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # of Python 3.14
    except ImportError:
        try:
            from backports import zstd
        except ImportError as error:
            raise ChangedError("no library unpacks Zstandard; install lastcopy[restic]") from error
    return cast("BinaryIO", zstd.ZstdFile(file))


class _Bounded(io.RawIOBase):
    """What a file unpacks to, up to so many bytes."""

    def __init__(self, inner: BinaryIO, most_bytes: int) -> None:
        self._inner, self._most_bytes, self._left_bytes = inner, most_bytes, most_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]  # what BufferedReader gives
        try:
            found = self._inner.read(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ChangedError(f"it cannot be unpacked: {error}") from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":  # of a module that need not be there
                raise
            raise ChangedError(f"it cannot be unpacked: {error}") from error
        self._left_bytes -= len(found)
        if self._left_bytes < 0:
            raise ChangedError(f"it unpacks to more than {self._most_bytes} bytes: no listing is packed so well")
        buffer[: len(found)] = found
        return len(found)
