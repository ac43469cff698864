"""A repository of restic on this host, read as its files: formats 1 and 2 of restic's design document (doc/design.rst). Opens files for reading, takes no lock.

What is decrypted is held against its message authentication code, and a tree against its id, which is the SHA-256 of what it holds.
"""

import base64
import errno
import hashlib
import json
import os
import re
import stat
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scanners import _stored
from scanners._program import RunError

_MOST_BYTES = 1 << 30  # that a file of the repository, or a tree, may unpack to
_MOST_OBJECTS = 4_000_000  # of a tree: each takes some hundred bytes of memory
_NAME = re.compile(r"[0-9a-f]{64}")
_ID_BYTES = 16  # of the 32 of a blob: enough to tell apart what nobody can make collide
_OVERHEAD_BYTES = 32  # initialization vector and authentication code
_HEADER_BYTES = {False: 37, True: 41}  # of a blob in the header of its pack: not packed, packed
_PACKED = b"\x02"
# The pieces of an index between the brackets of "packs", as restic writes them.
_PIECE = re.compile(
    rb'\{"id":"(?P<pack>[0-9a-f]{64})","blobs":\[|\{"id":"(?P<blob>[0-9a-f]{64})","type":"(?P<type>data|tree)","offset":(?P<offset>[0-9]{1,18}),'
    rb'"length":(?P<length>[0-9]{1,18})(?:,"uncompressed_length":(?P<unpacked>[0-9]{1,18}))?\}|[\],}\s]+'
)


class DamagedError(RunError):
    """A file of the repository that is not what it must be."""


class UnknownError(RunError):
    """A file of the repository of a form that is not known here, though perhaps to restic."""


@dataclass(frozen=True)
class Place:
    """Where in a pack something lies that is sealed by itself."""

    pack: str
    offset: int
    length: int
    unpacked: int  # bytes; 0 = it is not packed


@dataclass(frozen=True)
class _Index:
    """What indexes say of pieces, in the order in which it was read."""

    ids: list[bytes]
    sizes: list[int]  # -1 = it cannot be had
    states: "array[int]"  # of its pack
    packs: list[str]
    places: "array[int]"  # if wanted: the number of its pack, its offset, length and unpacked length there


class Key:
    """The master key: decrypts, and raises DamagedError for what it did not make."""

    def __init__(self, master: Mapping[str, Any]) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        try:
            encrypt, k, r = (base64.b64decode(text) for text in (master["encrypt"], master["mac"]["k"], master["mac"]["r"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError("restic cat masterkey: a key that cannot be understood") from error
        self._aes, self._modes, self._cipher, self._r = algorithms.AES(encrypt), modes, Cipher, r
        self._nonces = Cipher(algorithms.AES(k), modes.ECB()).encryptor()  # noqa: S305 - Poly1305-AES is made of it

    def decrypt(self, sealed: bytes, what: str) -> bytes:
        """The plain text."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.poly1305 import Poly1305

        vector, secret, code = sealed[:16], sealed[16:-16], sealed[-16:]
        if len(sealed) < _OVERHEAD_BYTES:
            raise DamagedError(f"the repository is damaged: {what} is cut off")
        try:
            Poly1305.verify_tag(self._r + self._nonces.update(vector), secret, code)
        except InvalidSignature as error:
            raise DamagedError(f"the repository is damaged: {what} is not what was stored") from error
        return bytes(self._cipher(self._aes, self._modes.CTR(vector)).decryptor().update(secret))


class Blobs:
    """The pieces of files that the index knows: their sizes, whether the pack of each is there with its exact size, and where they lie in it."""

    def __init__(self, index: "_Index") -> None:
        found, known = np.array(index.ids, f"S{_ID_BYTES}"), np.array(index.sizes, np.int64)
        order = np.lexsort((known, found))  # of a piece that is in several packs the one that can be had is last
        self._ids, self._sizes, self._packs = found[order], known[order], index.packs
        self._states = np.frombuffer(index.states, np.int64)[order] if index.states else np.empty(0, np.int64)
        self._places = np.frombuffer(index.places, np.int64).reshape(-1, 4)[order] if index.places else np.empty((0, 4), np.int64)

    def place(self, wanted: bytes) -> "Place | None":
        """Where a piece lies, if its pack is there with its exact size. Only where places are kept."""
        at = int(np.searchsorted(self._ids, np.array(wanted[:_ID_BYTES], self._ids.dtype), "right")) - 1
        if at < 0 or self._ids[at] != np.array(wanted[:_ID_BYTES], self._ids.dtype) or self._sizes[at] < 0:
            return None
        pack, offset, length, unpacked = map(int, self._places[at])
        return Place(self._packs[pack], offset, length, unpacked)

    def sizes(self, ids: Sequence[bytes]) -> "np.ndarray[Any, Any]":
        """The size of each piece; -1 where it cannot be had."""
        return self._of(ids, self._sizes)

    def states(self, ids: Sequence[bytes]) -> "np.ndarray[Any, Any]":
        """A number for the pack of each piece as it is here: another where that was written anew."""
        return self._of(ids, self._states)

    def _of(self, ids: Sequence[bytes], values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        if not len(self._ids) or not ids:
            return np.full(len(ids), -1, np.int64)
        wanted = np.array([one[:_ID_BYTES] for one in ids], f"S{_ID_BYTES}")
        at = np.searchsorted(self._ids, wanted, "right") - 1
        return np.where((at >= 0) & (self._ids[at] == wanted), values[at], -1)


class Repository:
    """The index, the trees, and if wanted the pieces of files of a repository."""

    def __init__(self, folder: Path, master: Mapping[str, Any], *, pieces: bool = False) -> None:
        """Reads the index. `master` is what `restic cat masterkey` tells; `pieces`: files are read too. Raises RunError."""
        self._folder, self._key, self._reads_pieces = folder, Key(master), pieces
        self._trees: dict[str, Place] = {}
        self._opened = ""  # the pack that was read last
        self.blobs = self._index()

    def tree(self, wanted: str) -> list[dict[str, Any]]:
        """The nodes of a folder as they are stored. Raises RunError."""
        place = self._trees.get(wanted)
        if place is None:
            raise DamagedError(f"the repository is damaged: its index does not know tree {wanted[:8]}")
        what = f"tree {wanted[:8]}"
        plain = self._plain(place, what)
        if plain.count(b"{") > _MOST_OBJECTS:
            raise DamagedError(f"{what} has more than {_MOST_OBJECTS} nodes: that is no folder of files")
        if hashlib.sha256(plain).hexdigest() != wanted:
            raise DamagedError(f"the repository is damaged: {what} is not what its id says")
        nodes = _object(plain, what).get("nodes") or []
        if not all(isinstance(node, dict) for node in nodes):
            raise DamagedError(f"the repository is damaged: {what} cannot be read")
        return nodes

    def piece(self, wanted: bytes) -> bytes:
        """A piece of a file, read from the storage. Raises RunError."""
        what = f"piece {wanted.hex()[:8]}"
        place = self.blobs.place(wanted)
        if place is None:
            raise DamagedError(f"the repository is damaged: {what} is in no pack that is there with its exact size")
        what += f" in pack {place.pack[:8]}"
        if place.pack != self._opened:  # what the kernel keeps in memory of it proves nothing
            self._opened = place.pack
            _forget(self._folder / "data" / place.pack[:2] / place.pack)
        plain = self._plain(place, what)
        if hashlib.sha256(plain).digest() != wanted:
            raise DamagedError(f"the repository is damaged: {what} is not what its id says")
        return plain

    def _plain(self, place: "Place", what: str) -> bytes:
        try:
            sealed = _content(self._folder / "data" / place.pack[:2] / place.pack, place.offset, place.length)
        except OSError as error:
            raise DamagedError(f"the repository is damaged: {what}: pack {place.pack[:8]}: {error.strerror}") from error
        plain = self._key.decrypt(sealed, what)
        return _unpacked(plain, what) if place.unpacked else plain

    def _index(self) -> Blobs:
        found = _Index([], [], array("q"), [], array("q"))
        try:
            files = sorted(os.listdir(self._folder / "index"))
        except OSError as error:
            raise DamagedError(f"the repository is damaged: index: {error.strerror}") from error
        for name in filter(_NAME.fullmatch, files):  # others are being written, or what is left of that
            self._learn(self._stored("index", name), found)
        return Blobs(found)

    def _learn(self, text: bytes, index: "_Index") -> None:
        """Take what an index says of packs, piece by piece: as an object it would take many times its room. Raises UnknownError."""
        at = text.find(b'"packs":[') + len(b'"packs":[')
        ids, sizes = index.ids, index.sizes
        pack, first, whole = "", len(ids), 0
        while at < len(text):
            found = _PIECE.match(text, at)
            if found is None:
                raise UnknownError("an index of another form than is known")
            at = found.end()
            if found["pack"] or at == len(text):
                size_bytes, state = _pack(self._folder / "data" / pack[:2] / pack) if pack else (0, 0)
                if size_bytes != whole + _OVERHEAD_BYTES + 4:
                    sizes[first:] = [-1] * (len(sizes) - first)
                index.states.extend([state] * (len(ids) - first))
                pack, first, whole = (found["pack"] or b"").decode(), len(ids), 0
                index.packs.append(pack)
            if found["blob"]:
                length, unpacked = int(found["length"]), int(found["unpacked"] or 0)
                whole += length + _HEADER_BYTES[bool(unpacked)]
                if found["type"] == b"tree":
                    self._trees[found["blob"].decode()] = Place(pack, int(found["offset"]), length, unpacked)
                else:
                    ids.append(bytes.fromhex(found["blob"].decode())[:_ID_BYTES])
                    sizes.append(unpacked or length - _OVERHEAD_BYTES)
                    if self._reads_pieces:
                        index.places.extend((len(index.packs) - 1, int(found["offset"]), length, unpacked))

    def _stored(self, kind: str, name: str) -> bytes:
        """The text of a file of the repository."""
        what = f"{kind} {name[:8]}"
        try:
            sealed = _content(self._folder / kind / name)
        except OSError as error:
            raise DamagedError(f"the repository is damaged: {what}: {error.strerror}") from error
        plain = self._key.decrypt(sealed, what)
        return _unpacked(plain[1:], what) if plain[:1] == _PACKED else plain


def unquoted(name: str) -> bytes:
    """The bytes of a stored name: what Go's strconv.Quote makes of it, without the quotes."""
    return name.encode() if "\\" not in name else _ESCAPE.sub(_byte, name.encode())


def _object(plain: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(plain)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"the repository is damaged: {what} cannot be read") from error
    if not isinstance(found, dict):
        raise DamagedError(f"the repository is damaged: {what} cannot be read")
    return found


def _unpacked(packed: bytes, what: str) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # of Python 3.14
    except ImportError:
        from backports import zstd
    unpacker = zstd.ZstdDecompressor()
    try:
        plain = bytes(unpacker.decompress(packed, max_length=_MOST_BYTES))
    except zstd.ZstdError as error:
        raise DamagedError(f"the repository is damaged: {what} cannot be unpacked") from error
    if not unpacker.eof:
        raise DamagedError(f"the repository is damaged: {what} does not end, or is larger than {_MOST_BYTES} bytes")
    return plain


def _content(file: Path, offset: int = 0, length: int | None = None) -> bytes:
    """The bytes of a file, or a part of them: what is none makes nobody wait. Raises OSError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        wanted = status.st_size if length is None else length
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a file of the repository")
        if wanted > _MOST_BYTES or offset + wanted > status.st_size:
            raise OSError(errno.EINVAL, f"more than {_MOST_BYTES} bytes" if wanted > _MOST_BYTES else "it is cut off")
        return os.pread(descriptor, wanted, offset)
    finally:
        os.close(descriptor)


def _forget(file: Path) -> None:
    """Have the kernel forget what it keeps of a file in memory, as far as that can be."""
    with suppress(OSError):
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            _stored.drop_cache(descriptor)
        finally:
            os.close(descriptor)


def _pack(file: Path) -> tuple[int | None, int]:
    """The size of a pack, None where nothing of it can be had, and a number that it has until it is another file, or is written to."""
    try:
        found = file.stat()
    except OSError:
        return None, 0
    told = hashlib.sha256(f"{file.name} {found.st_size} {found.st_mtime_ns} {found.st_ino}".encode()).digest()
    return found.st_size, int.from_bytes(told[:8], "big", signed=True)


_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([0-7]{3})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def _byte(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes([int(found[1], 16)])
    if found[2] or found[3]:
        return chr(int(found[2] or found[3], 16)).encode("utf-8", "surrogatepass")
    if found[4]:
        return bytes([int(found[4], 8) & 0xFF])
    return _LETTERS.get(found[5], found[5])
