"""Run as a file by borg's own interpreter: reads what versions of files hold by borg's own code, each piece held against its checksum, its code and its id.

In the current folder lies `repository`, and `wanted` with a line for the id of each archive. On the descriptor that the argument names come numbers of
versions, as `_borg_inside` tells them: each is answered on the standard output by a record as `RECORD` packs it and so many bytes of text. `ALIVE` records
come while the archives are gone through, before any answer, and within a file that takes long. Nothing of ours is imported but `_borg_inside`, from its file.
"""
# ruff: noqa: ANN401 - borg has no types

import hashlib
import importlib.util
import os
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

NUMBER = struct.Struct(">q")
RECORD = struct.Struct(">cq32s32sI")  # state, bytes that were read, digest, sample (zeros: none), length of the text that follows
READ, BROKEN, GONE, ALIVE = b"r", b"b", b"g", b"a"
SAMPLE_BYTES, SMALL_BYTES = 4 * 1024, 64 * 1024  # as `reading` has them
_PIECE = struct.Struct(">32sI")
_ALIVE_BYTES = 256 << 20
_KEPT_CONTENTS = 16_384  # results: many files, or versions of one, have the same content
_TEXT_BYTES = 1000


def _inside() -> Any:
    place = importlib.util.spec_from_file_location("lastcopy_borg_inside", os.path.join(os.path.dirname(os.path.abspath(__file__)), "_borg_inside.py"))
    if place is None or place.loader is None:
        raise ImportError("_borg_inside.py cannot be read")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def _versions(inside: Any, repository: Any, key: Any, alive: "Callable[[], None]") -> Any:
    """What goes through archives, and keeps of each version of a file what it is made of, on disk."""

    class Versions(inside.Reader):  # type: ignore[misc]  # the module has no types here
        def __init__(self) -> None:
            super().__init__(repository, key, None)
            self.kept = sqlite3.connect("versions")
            self.kept.execute("PRAGMA journal_mode = OFF")
            self.kept.execute("CREATE TABLE versions (number INTEGER PRIMARY KEY, pieces BLOB)")

        def _read(self, left: bytes, piece: bytes) -> Any:
            alive()
            return super()._read(left, piece)

        def _tell(self, number: int, item: "dict[bytes, Any]", content: Any) -> None:
            if content.told and content.state == inside.WHOLE:
                version = inside.number_of(inside.bytes_of(item[b"path"]), inside.time_of(item), content.told)
                self.kept.execute("INSERT OR IGNORE INTO versions VALUES (?, ?)", (version, b"".join(_PIECE.pack(*piece) for piece in content.pieces)))

        def pieces(self, number: int) -> "bytes | None":
            found = self.kept.execute("SELECT pieces FROM versions WHERE number = ?", (number,)).fetchone()
            return None if found is None else bytes(found[0])

    return Versions()


class _Contents:
    """Reads files piece by piece, as the storage has them."""

    def __init__(self, repository: Any, key: Any, out: BinaryIO) -> None:
        self._repository, self._key, self._out = repository, key, out
        self._known: dict[bytes, tuple[bytes, bytes, bytes, str]] = {}
        self._opened = -1  # the segment that was read last
        self._transaction = repository.get_index_transaction_id()

    def alive(self, bytes_read: int = 0) -> None:
        """Tell that there is no answer yet, and will be."""
        self._tell(ALIVE, bytes_read, b"", b"", "")

    def answer(self, pieces: "bytes | None") -> None:
        """Tell what some pieces come to."""
        if pieces is None:
            self._tell(GONE, 0, b"", b"", "")
            return
        which, size = hashlib.sha256(pieces).digest(), 0
        if which not in self._known:
            if len(self._known) >= _KEPT_CONTENTS:
                self._known.clear()
            self._known[which], size = self._read(pieces)
        state, digest, sample, text = self._known[which]
        self._tell(state, size, digest, sample, text)

    def _read(self, pieces: bytes) -> "tuple[tuple[bytes, bytes, bytes, str], int]":
        whole, head, tail, size, told = hashlib.sha256(), b"", b"", 0, 0
        try:
            for plain in self._plain(pieces):
                whole.update(plain)
                head += plain[: max(0, SAMPLE_BYTES - len(head))]
                tail, size = (tail + plain[-SAMPLE_BYTES:])[-SAMPLE_BYTES:], size + len(plain)
                if size - told >= _ALIVE_BYTES:
                    told = size
                    self.alive(size)
        except Exception as error:  # whatever borg's code says of what is not as it was stored
            if self._repository.get_index_transaction_id() != self._transaction:
                return (GONE, b"", b"", ""), size  # what was stored lies elsewhere now
            return (BROKEN, b"", b"", f"{error.get_message() if hasattr(error, 'get_message') else str(error) or type(error).__name__}"), size
        return (READ, whole.digest(), hashlib.sha256(head + tail).digest() if size > SMALL_BYTES else b"", ""), size

    def _plain(self, pieces: bytes) -> Iterator[bytes]:
        for piece, size in _PIECE.iter_unpack(pieces):
            self._forget(self._repository.index[piece][0])
            plain = bytes(self._key.decrypt(piece, self._repository.get(piece)))
            if len(plain) != size:
                raise ValueError(f"piece {piece.hex()[:8]} has {len(plain)} bytes and not {size}")
            yield plain

    def _forget(self, segment: int) -> None:
        """Have the kernel forget what it keeps in memory of a segment, as far as that can be: that proves nothing."""
        if segment == self._opened:
            return
        self._opened = segment
        try:
            descriptor = os.open(self._repository.io.segment_filename(segment), os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return  # to read it will tell
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            return  # a file system without such a memory
        finally:
            os.close(descriptor)

    def _tell(self, state: bytes, size: int, digest: bytes, sample: bytes, text: str) -> None:
        said = text.encode("utf-8", "backslashreplace")[:_TEXT_BYTES]
        self._out.write(RECORD.pack(state, size, digest, sample, len(said)) + said)
        self._out.flush()


def _serve() -> None:
    inside = _inside()
    with inside.opened() as (repository, key, archives), os.fdopen(int(sys.argv[1]), "rb") as asked, os.fdopen(os.dup(1), "wb") as out:
        contents = _Contents(repository, key, out)
        contents.alive()
        versions = _versions(inside, repository, key, contents.alive)
        for _, items in archives():
            contents.alive()
            versions.archive(items)
        while len(number := asked.read(NUMBER.size)) == NUMBER.size:
            contents.answer(versions.pieces(*NUMBER.unpack(number)))


if __name__ == "__main__":
    sys.exit(_inside().main(_serve))
