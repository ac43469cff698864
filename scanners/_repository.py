"""A repository of restic on this host, read as its files: formats 1 and 2 of restic's design document (doc/design.rst). Opens files for reading, takes no lock.

What is decrypted is held against its message authentication code, and a tree against its id, which is the SHA-256 of what it holds.
"""

import binascii
import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from scanners import _stored
from scanners._program import RunError
from scanners._sealed import NAME, OVERHEAD_BYTES, DamagedError, UnknownError, Vault, content, found_in, unpacked

_MOST_OBJECTS = 4_000_000  # of a tree: each takes some hundred bytes of memory
_ID_BYTES = 16  # of the 32 of a blob: enough to tell apart what nobody can make collide
_SHORT = f"S{_ID_BYTES}"
_MOST_TOLD = 1 << 40  # that an index may say of a piece: sums of it fit in 64 bits
_HEADER_BYTES = {False: 37, True: 41}  # of a blob in the header of its pack: not packed, packed
_INDEX = pa.schema(
    [
        ("supersedes", pa.list_(pa.string())),
        (
            "packs",
            pa.list_(
                pa.struct(
                    [
                        ("id", pa.string()),
                        (
                            "blobs",
                            pa.list_(
                                pa.struct(
                                    [
                                        ("id", pa.string()), ("type", pa.string()), ("offset", pa.int64()), ("length", pa.int64()),
                                        ("uncompressed_length", pa.int64()),
                                    ]
                                )
                            ),
                        ),
                    ]
                )
            ),
        ),
    ]
)  # fmt: skip
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Place:
    """Where in a pack something lies that is sealed by itself."""

    pack: str
    offset: int
    length: int
    unpacked: int  # bytes; 0 = it is not packed


@dataclass(frozen=True)
class _Index:
    """What indexes say of pieces, in the order in which it was read: arrays to be joined."""

    ids: list["Array"] = field(default_factory=list)
    sizes: list["Array"] = field(default_factory=list)  # -1 = it cannot be had
    states: list["Array"] = field(default_factory=list)  # of its pack
    packs: list[str] = field(default_factory=list)
    suspects: list["Array"] = field(default_factory=list)  # whether its pack is one of those that are
    places: list["Array"] = field(default_factory=list)  # if wanted: rows of the number of its pack, its offset, length and unpacked length there


class Blobs:
    """The pieces of files that the index knows: their sizes, whether the pack of each is there with its exact size, and where they lie in it."""

    def __init__(self, index: "_Index") -> None:
        found, known = (np.concatenate([np.empty(0, kind), *parts]) for kind, parts in ((_SHORT, index.ids), (np.int64, index.sizes)))
        order = np.argsort(_heads(found))
        self._differ_by_heads = bool(np.diff(_heads(found)[order]).all())  # as good as always, and numbers are found faster than texts
        if not self._differ_by_heads:
            order = np.lexsort((known, found))  # of a piece that is in several packs the one that can be had is last
        self._ids, self._sizes, self._packs = found[order], known[order], index.packs
        self._keys = self._key(self._ids)
        self._states = np.concatenate([np.empty(0, np.int64), *index.states])[order]
        self._places = np.concatenate(index.places)[order] if index.places else np.empty((0, 4), np.int64)
        suspect = np.concatenate([np.empty(0, bool), *index.suspects])[order]
        self._suspects = np.isin(self._ids, self._ids[suspect]) if suspect.any() else suspect  # a piece in several packs with all of its rows

    def place(self, wanted: bytes) -> "Place | None":
        """Where a piece lies, if its pack is there with its exact size. Only where places are kept."""
        at = int(self.find(wanted)[0])
        if at < 0 or self._sizes[at] < 0:
            return None
        pack, offset, length, unpacked = map(int, self._places[at])
        return Place(self._packs[pack], offset, length, unpacked)

    def find(self, ids: bytes) -> "Array":
        """For ids of pieces, one after the other, their numbers here; -1 where none is known."""
        wanted = _shortened(ids)
        if not len(self._ids):
            return np.full(len(wanted), -1, np.int64)
        at = np.searchsorted(self._keys, self._key(wanted), "right") - 1
        return np.where((at >= 0) & (self._ids[at] == wanted), at, -1)

    def _key(self, ids: "Array") -> "Array":
        return _heads(ids) if self._differ_by_heads else ids

    def sizes(self, found: "Array") -> "Array":
        """The size of each piece by its number; -1 where it cannot be had."""
        return _of(self._sizes, found)

    def suspects(self, found: "Array") -> "Array":
        """Whether each piece, by its number, lies in a pack that is suspect."""
        return np.where(found >= 0, self._suspects[found], False) if len(self._suspects) else np.zeros(len(found), bool)

    def states(self, found: "Array") -> "Array":
        """A number for the pack of each piece, by its number, as that is here: another where it was written anew."""
        return _of(self._states, found)


class Repository:
    """The index, the trees, and if wanted the pieces of files of a repository."""

    def __init__(self, vault: Vault, *, pieces: bool = False, suspects: frozenset[str] = frozenset()) -> None:
        """Reads the index. `pieces`: files are read too; `suspects`: packs, what lies in which is told apart. Raises RunError."""
        self._vault, self._reads_pieces, self._suspects = vault, pieces, suspects
        self._trees: dict[str, Place] = {}
        self._opened = ""  # the pack that was read last
        self.blobs = self._index()

    def tree(self, wanted: str) -> list[dict[str, Any]]:
        """The nodes of a folder as they are stored. Raises RunError."""
        what = f"tree {wanted[:8]}"
        nodes = found_in(self.tree_text(wanted), what).get("nodes") or []
        if not all(isinstance(node, dict) for node in nodes):
            raise DamagedError(f"the repository is damaged: {what} cannot be read")
        return nodes

    def tree_text(self, wanted: str) -> bytes:
        """What is stored of a folder: JSON. Raises RunError."""
        place = self._trees.get(wanted)
        if place is None:
            raise DamagedError(f"the repository is damaged: its index does not know tree {wanted[:8]}")
        what = f"tree {wanted[:8]}"
        plain = self._plain(place, what)
        if len(plain) > _MOST_OBJECTS and plain.count(b"{") > _MOST_OBJECTS:
            raise DamagedError(f"{what} has more than {_MOST_OBJECTS} nodes: that is no folder of files")
        if hashlib.sha256(plain).hexdigest() != wanted:
            raise DamagedError(f"the repository is damaged: {what} is not what its id says")
        return plain

    def piece(self, wanted: bytes) -> bytes:
        """A piece of a file, read from the storage. Raises RunError."""
        what = f"piece {wanted.hex()[:8]}"
        place = self.blobs.place(wanted)
        if place is None:
            raise DamagedError(f"the repository is damaged: {what} is in no pack that is there with its exact size")
        what += f" in pack {place.pack[:8]}"
        if place.pack != self._opened:  # what the kernel keeps in memory of it proves nothing
            self._opened = place.pack
            _forget(self._vault.pack(place.pack))
        plain = self._plain(place, what)
        if hashlib.sha256(plain).digest() != wanted:
            raise DamagedError(f"the repository is damaged: {what} is not what its id says")
        return plain

    def _plain(self, place: "Place", what: str) -> bytes:
        try:
            sealed = content(self._vault.pack(place.pack), place.offset, place.length)
        except OSError as error:
            raise DamagedError(f"the repository is damaged: {what}: pack {place.pack[:8]}: {error.strerror}") from error
        plain = self._vault.key.decrypt(sealed, what)
        return unpacked(plain, what) if place.unpacked else plain

    def _index(self) -> Blobs:
        found = _Index()
        for name in self._vault.names("index"):
            self._learn(self._vault.text("index", name), found)
        if unknown := self._suspects.difference(found.packs):
            raise RunError(f"its index does not know pack {min(unknown)[:8]}, or no longer")
        return Blobs(found)

    def _learn(self, text: bytes, index: "_Index") -> None:
        """Take what an index says of packs, all of them at once: as objects it would take many times its room. Raises UnknownError."""
        packs, counts, blobs, ids = _packs(text)
        lengths, unpacked, offsets = (blobs[name].to_numpy(zero_copy_only=False) for name in ("length", "uncompressed_length", "offset"))
        is_tree = pc.equal(blobs["type"], "tree").to_numpy(zero_copy_only=False)
        starts = np.concatenate([[0], np.cumsum(counts)])
        stored = np.concatenate([[0], np.cumsum(lengths + np.where(unpacked > 0, _HEADER_BYTES[True], _HEADER_BYTES[False]))])
        there = [_pack(self._vault.pack(pack)) for pack in packs]
        is_whole = np.array([-1 if size_bytes is None else size_bytes for size_bytes, _ in there], np.int64) == np.diff(stored[starts]) + OVERHEAD_BYTES + 4
        trees = np.flatnonzero(is_tree)
        places = zip(np.repeat(np.arange(len(packs)), counts)[trees].tolist(), *(told[trees].tolist() for told in (offsets, lengths, unpacked)), strict=True)
        for at, (pack, *place) in zip(trees.tolist(), places, strict=True):
            self._trees[ids[at * 32 : at * 32 + 32].hex()] = Place(packs[pack], *place)
        sizes = np.where(np.repeat(is_whole, counts), np.where(unpacked > 0, unpacked, lengths - OVERHEAD_BYTES), -1)
        states = np.repeat(np.array([state for _, state in there], np.int64), counts)
        index.ids.append(_shortened(ids)[~is_tree])
        index.sizes.append(sizes[~is_tree])
        index.states.append(states[~is_tree])
        if self._reads_pieces:
            numbers = np.repeat(np.arange(len(packs)) + len(index.packs), counts)
            index.places.append(np.stack([numbers, offsets, lengths, unpacked], axis=1)[~is_tree])
        index.packs.extend(packs)
        index.suspects.append(np.repeat(np.array([pack in self._suspects for pack in packs], bool), counts)[~is_tree])


def unhexed(ids: pa.Array) -> bytes:
    """The bytes of ids in hexadecimal, 32 of each, one after the other. Raises ValueError where one is none."""
    if ids.null_count or pc.any(pc.not_equal(pc.binary_length(ids), 64)).as_py():
        raise ValueError("an id that is none")
    return binascii.unhexlify(pc.binary_join(pa.ListArray.from_arrays([0, len(ids)], ids), "")[0].as_buffer())


def parsed(text: bytes, schema: pa.Schema, unexpected: str) -> pa.Table:
    """Lines of JSON as columns, without a Python object a line. Raises pa.ArrowInvalid."""
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
    parsing = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected)
    return pyarrow.json.read_json(pa.BufferReader(text), read_options=reading, parse_options=parsing).combine_chunks()


def unquoted(name: str) -> bytes:
    """The bytes of a stored name: what Go's strconv.Quote makes of it, without the quotes."""
    return name.encode() if "\\" not in name else _ESCAPE.sub(_byte, name.encode())


def _packs(text: bytes) -> "tuple[list[str], Array, dict[str, pa.Array], bytes]":
    """The packs of an index, how many pieces are in each, the pieces, and their ids. Raises UnknownError."""
    unknown = "an index of another form than is known"
    try:
        rows = parsed(text, _INDEX, "error")
        packs = rows["packs"].chunk(0).flatten()
        names, (lists,) = packs.field("id").to_pylist(), [packs.field("blobs")]
        blobs = lists.flatten()
        found = {column.name: blobs.field(column.name) for column in blobs.type}
        found["uncompressed_length"] = found["uncompressed_length"].fill_null(0)
        numbers = [found[name] for name in ("offset", "length", "uncompressed_length")]
        is_known = not packs.null_count and not blobs.null_count and all(NAME.fullmatch(name or "") for name in names)
        is_known &= all(not values.null_count and ((told := values.to_numpy()) >= 0).all() and (told < _MOST_TOLD).all() for values in numbers)
        is_known &= pc.all(pc.fill_null(pc.is_in(found["type"], pa.array(["data", "tree"])), False)).as_py() is not False
        ids = unhexed(found["id"])
    except (pa.ArrowException, ValueError, IndexError) as error:
        raise UnknownError(unknown) from error
    if len(rows) != 1 or not is_known:
        raise UnknownError(unknown)
    return names, lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), found, ids


def _shortened(ids: bytes) -> "Array":
    return np.ascontiguousarray(np.frombuffer(ids, _SHORT)[:: 32 // _ID_BYTES])


def _heads(ids: "Array") -> "Array":
    """The first half of ids as numbers."""
    return ids.view(">u8")[::2].astype(np.uint64)


def _of(values: "Array", found: "Array") -> "Array":
    return np.where(found >= 0, values[found], -1) if len(values) else np.full(len(found), -1, np.int64)


def _forget(file: str) -> None:
    """Have the kernel forget what it keeps of a file in memory, as far as that can be."""
    with suppress(OSError):
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            _stored.drop_cache(descriptor)
        finally:
            os.close(descriptor)


def _pack(file: str) -> tuple[int | None, int]:
    """The size of a pack, None where nothing of it can be had, and a number that it has until it is another file, or is written to."""
    try:
        found = os.stat(file)
    except OSError:
        return None, 0
    told = hashlib.sha256(f"{os.path.basename(file)} {found.st_size} {found.st_mtime_ns} {found.st_ino}".encode()).digest()
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
