"""From the kernel's statx buffer to Arrow columns: a batch of many directories at a time, without a Python object an entry."""

import grp
import itertools
import operator
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from catalog import names
from catalog.hashes import MASK
from catalog.schema import TIME_FLAGS
from catalog.stubs import STORAGE_CLASS, Stub
from scanners import _kernel

CAPACITY = 65_536  # slots; a batch becomes one row group
_DIRS_BYTES = 16_000_000  # text of directories that a batch may hold

_TYPES = pa.array(["special", "dir", "file", "symlink"])
_TYPE_OF_MODE = np.zeros(16, np.int32)
_TYPE_OF_MODE[[stat.S_IFDIR >> 12, stat.S_IFREG >> 12, stat.S_IFLNK >> 12]] = 1, 2, 3

_PLAIN = bytes({0, *range(0x20, 0x7F)} - {0x5C})  # the NUL ends a name
_IS_STRANGE = bytes(byte not in _PLAIN for byte in range(256))

DAY_S = 86_400
FIRST_S, LAST_S = -2_177_452_800, 253_402_300_799  # 1901-01-01 and the last second of 9999
START_1980_S = 315_532_800  # what a clock without a battery, FAT and zip call "never"


@dataclass
class Part:
    """The entries of one directory, or some of a very large one, in a batch."""

    directory: str  # as the system gives it, with a trailing slash; the root is ''
    names: list[bytes]
    first: int  # slot


class Batch:
    """Slots for the kernel to fill, and what belongs to them."""

    def __init__(self, started_us: int) -> None:
        """`started_us`: the start of the scan, that times are called future against."""
        self._started_us = started_us
        self._buffer = np.zeros(CAPACITY * _kernel.SLOT_BYTES, np.uint8)
        self.slots: np.ndarray[Any, Any] = self._buffer.view(_kernel.STATX)
        self.places = _kernel.slots(self._buffer)
        self._owners = _Lookup(lambda uid: pwd.getpwuid(uid).pw_name)
        self._groups = _Lookup(lambda gid: grp.getgrgid(gid).gr_name)
        self._clear()

    def _clear(self) -> None:
        self.used = 0
        self._parts: list[Part] = []
        self._links: dict[int, str] = {}
        self._stubs: dict[int, Stub] = {}
        self._directory_bytes = 0

    def keep_links(self, targets: Mapping[int, str]) -> None:
        """Keep where links lead, by slot."""
        self._links.update(targets)

    def keep_stubs(self, found: Mapping[int, Stub]) -> None:
        """Keep what stubs stand for, by slot."""
        self._stubs.update(found)

    def add(self, part: Part) -> None:
        """Keep the slots from `used` on as the entries of a directory."""
        self._parts.append(part)
        self._directory_bytes += len(part.directory)
        self.used += len(part.names)

    def fits(self, count: int) -> bool:
        """Whether that many more entries have room."""
        return self.used + count <= CAPACITY and self._directory_bytes < _DIRS_BYTES

    def take(self, fs_ids: Mapping[tuple[int, int], str | None]) -> dict[str, pa.Array]:
        """The columns of all entries, sorted by `dir, name`, and an empty batch again.

        `fs_ids` has the file system of every (device, subvolume) that was seen.
        """
        directories = _directories(self._parts)
        naming = _names(directories)
        order = naming.slots
        columns = {
            "dir": naming.dirs,
            "name": naming.names,
            "path_hash": pa.array(naming.hashes),
            "extension": _extensions(naming),
            **self._numbers(order),
            **self._times(order),
            "fs_id": self._fs_ids(order, fs_ids),
            **self._pointers(order),
        }
        self._clear()
        return columns

    def _numbers(self, order: np.ndarray[Any, Any]) -> dict[str, pa.Array]:
        slots = self.slots
        mode = slots["mode"][order]
        uid, gid = slots["uid"][order], slots["gid"][order]
        return {
            "type": pa.DictionaryArray.from_arrays(_TYPE_OF_MODE[mode >> 12], _TYPES),
            "size_bytes": pa.array(slots["size_bytes"][order]),
            "allocated_bytes": pa.array((slots["blocks"][order] * 512).view(np.int64)),
            "owner": self._owners.column(uid),
            "group": self._groups.column(gid),
            "uid": pa.array(uid.astype(np.int64)),
            "gid": pa.array(gid.astype(np.int64)),
            "mode": pa.array(mode.astype(np.int32)),
            "inode": pa.array(slots["inode"][order].view(np.int64)),
            "link_count": pa.array(np.minimum(slots["link_count"][order], 2**31 - 1).astype(np.int32)),
        }

    def _times(self, order: np.ndarray[Any, Any]) -> dict[str, pa.Array]:
        columns: dict[str, pa.Array] = {}
        flags = np.zeros(len(order), np.int32)
        for name in ("modified", "accessed", "changed", "created"):
            seconds, fraction = self.slots[f"{name}_s"][order], self.slots[f"{name}_ns"][order]
            outside = (seconds < FIRST_S) | (seconds > LAST_S)
            if name == "created":
                outside |= (self.slots["mask"][order] & _kernel.BTIME) == 0
            else:
                future = seconds > self._started_us // 1_000_000 + DAY_S
                suspect = future | ((seconds >= 0) & (seconds < DAY_S)) | ((seconds == START_1980_S) & (fraction == 0))
                flags |= np.where(outside, TIME_FLAGS[f"{name}_range"], suspect * TIME_FLAGS[f"{name}_suspect"]).astype(np.int32)
            if outside.any():
                seconds = np.where(outside, 0, seconds)
            columns[f"{name}_at"] = _array(seconds * 1_000_000 + fraction // 1000, outside).view(pa.timestamp("us"))
            if name in ("modified", "changed"):
                columns[f"{name}_ns"] = _array((fraction % 1000).astype(np.int32), outside)
        return {**columns, "time_flags": pa.array(flags)}

    def _fs_ids(self, order: np.ndarray[Any, Any], fs_ids: Mapping[tuple[int, int], str | None]) -> pa.Array:
        device, subvolume = self.slots["device"][order], self.slots["subvolume"][order]
        if (device == device[0]).all() and (subvolume == subvolume[0]).all():
            pairs, index = [(int(device[0]), int(subvolume[0]))], np.zeros(len(order), np.int32)
        else:
            found, index = np.unique(np.stack([device, subvolume]), axis=1, return_inverse=True)  # type: ignore[assignment]  # an index is an index
            pairs = [(int(d), int(s)) for d, s in found.T]
        return _dictionary(index.reshape(-1), [fs_ids[pair] for pair in pairs])

    def _pointers(self, order: np.ndarray[Any, Any]) -> dict[str, pa.Array]:
        """Where links lead, and what stubs stand for."""
        text = {slot: names.escape(os.fsencode(target)) for slot, target in self._links.items()}
        text |= {slot: stub.link_target for slot, stub in self._stubs.items()}
        columns = {"link_target": _sparse(order, text)}
        if self._stubs:
            columns["tags"] = _sparse(order, {slot: stub.tags for slot, stub in self._stubs.items()})
            columns["storage_class"] = _sparse(order, dict.fromkeys(self._stubs, STORAGE_CLASS)).dictionary_encode()
        return columns


@dataclass
class _Naming:
    """Names of a batch in the order of its rows. `data` and `ends` are the raw names, each ended by NUL."""

    dirs: pa.Array
    names: pa.Array
    hashes: np.ndarray[Any, Any]
    slots: np.ndarray[Any, Any]
    data: np.ndarray[Any, Any]
    ends: np.ndarray[Any, Any]
    strange: np.ndarray[Any, Any]  # rows whose name is not plain ASCII


def _directories(parts: list[Part]) -> list[tuple[str, list[Part]]]:
    """Parts by escaped directory, in the order of the rows."""
    found: dict[str, list[Part]] = {}
    for part in parts:
        directory = part.directory
        plain = directory.isascii() and directory.isprintable() and "\\" not in directory
        found.setdefault(directory if plain else names.escape(os.fsencode(directory)), []).append(part)
    return sorted(found.items(), key=operator.itemgetter(0))


def _names(directories: list[tuple[str, list[Part]]]) -> _Naming:
    parts = [part for _, group in directories for part in group]
    counts = np.array([len(part.names) for part in parts])
    firsts = np.array([part.first for part in parts])
    total = int(counts.sum())
    slots = np.repeat(firsts - (np.cumsum(counts) - counts), counts) + np.arange(total)
    hashes = np.fromiter(itertools.chain.from_iterable(map(_hashes, parts)), np.uint64, total).view(np.int64) & MASK
    pieces = list(itertools.chain.from_iterable(part.names for part in parts))
    per_directory = counts
    if len(directories) < len(parts):
        per_directory = np.array([sum(len(part.names) for part in group) for _, group in directories])
    dirs = pa.DictionaryArray.from_arrays(np.repeat(np.arange(len(directories), dtype=np.int32), per_directory), pa.array([d for d, _ in directories]))

    joined = b"\0".join([*pieces, b""])
    data = np.frombuffer(joined, np.uint8)
    ends = np.flatnonzero(data == 0)
    strange = _strange(joined, ends)
    if len(strange) or len(directories) < len(parts):
        unsorted = {index for index, (_, group) in enumerate(directories) if len(group) > 1}
        unsorted |= _escape(pieces, strange, per_directory)
        order = _order(pieces, unsorted, per_directory)
        pieces = list(map(pieces.__getitem__, order.tolist()))
        slots, hashes = slots[order], hashes[order]
        strange = np.flatnonzero(np.isin(order, strange))
        joined = b"\0".join([*pieces, b""])
        data = np.frombuffer(joined, np.uint8)
        ends = np.flatnonzero(data == 0)
    return _Naming(dirs, _strings(joined.replace(b"\0", b""), ends - np.arange(total)), hashes, slots, data, ends, strange)


def _strange(joined: bytes, ends: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The rows whose name `names.escape` may have to look at: with anything but printable ASCII, or a backslash. Names end with 0."""
    if not joined.translate(None, _PLAIN):
        return np.zeros(0, np.int64)
    return np.unique(np.searchsorted(ends, np.flatnonzero(np.frombuffer(joined.translate(_IS_STRANGE), np.bool_))))


def _escape(pieces: list[bytes], strange: np.ndarray[Any, Any], per_directory: np.ndarray[Any, Any]) -> set[int]:
    """Put the escaped form in place of some names; gives the directories that have a name which changed."""
    changed = []
    for row in strange.tolist():
        text = names.escape(pieces[row]).encode()
        if text != pieces[row]:
            pieces[row] = text
            changed.append(row)
    return set(np.searchsorted(np.cumsum(per_directory), changed, side="right").tolist())


def _order(pieces: list[bytes], unsorted: set[int], per_directory: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The order of rows after which the named directories are sorted too."""
    order = np.arange(len(pieces))
    ends = np.cumsum(per_directory)
    for directory in unsorted:
        first, end = int(ends[directory] - per_directory[directory]), int(ends[directory])
        order[first:end] = sorted(range(first, end), key=pieces.__getitem__)
    return order


def _hashes(part: Part) -> Iterator[int]:
    return map(xxh3_64_intdigest, map(os.fsencode(part.directory).__add__, part.names))


def _extensions(naming: _Naming) -> pa.Array:
    """What `names.extension` says of every name, at once for the plain ones."""
    total = len(naming.ends)
    starts = np.concatenate([[0], naming.ends[:-1] + 1])
    dots = np.flatnonzero(naming.data == 0x2E)
    last = np.full(total, -1)
    last[np.searchsorted(naming.ends, dots)] = dots  # of several dots of a name the last one stays
    length = naming.ends - last - 1
    plain = (last > starts) & (length > 0) & (length <= 32)
    plain[naming.strange] = False
    rows = np.flatnonzero(plain)
    taken = length[rows] + 1  # with the NUL
    ends = np.cumsum(taken)
    text = naming.data[np.repeat(last[rows] + 1 - (ends - taken), taken) + np.arange(ends[-1] if len(ends) else 0)]
    endings = text.tobytes().lower().split(b"\0")[:-1]
    places = {ending: place for place, ending in enumerate(dict.fromkeys(endings))}
    known = {ending.decode(): place for ending, place in places.items()}
    index = np.full(total, -1, np.int32)
    index[rows] = np.fromiter(map(places.__getitem__, endings), np.int32, len(endings))
    for row in naming.strange.tolist():
        ending = names.extension(naming.names[row].as_py())
        index[row] = -1 if ending is None else known.setdefault(ending, len(known))
    return pa.DictionaryArray.from_arrays(_array(index, index < 0), pa.array(list(known), pa.string()))


def _strings(data: bytes, ends: np.ndarray[Any, Any]) -> pa.Array:
    """Text from its bytes and where each one ends; the bytes are UTF-8 already."""
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends
    return pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))


def _sparse(order: np.ndarray[Any, Any], found: Mapping[int, str]) -> pa.Array:
    """A column that is null but for a few slots."""
    if not found:
        return pa.nulls(len(order), pa.string())
    row_of_slot = np.empty(CAPACITY, np.int64)
    row_of_slot[order] = np.arange(len(order))
    texts: list[str | None] = [None] * len(order)
    for row, text in zip(row_of_slot[list(found)].tolist(), found.values(), strict=True):
        texts[row] = text
    return pa.array(texts, pa.string())


def _array(values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any]) -> pa.Array:
    return pa.array(values, mask=missing) if missing.any() else pa.array(values)


def _dictionary(index: np.ndarray[Any, Any], values: list[str | None]) -> pa.Array:
    """A dictionary column in which an index of a None is null, and equal values are one."""
    distinct = sorted({value for value in values if value is not None})
    final = np.array([-1 if value is None else distinct.index(value) for value in values], np.int32)[index]
    return pa.DictionaryArray.from_arrays(_array(final, final < 0), pa.array(distinct, pa.string()))


class _Lookup:
    """Names of numbers, asked for once each; a number without a name is null."""

    def __init__(self, ask: Callable[[int], str]) -> None:
        self._ask = ask
        self._known: dict[int, str | None] = {}

    def column(self, numbers: np.ndarray[Any, Any]) -> pa.Array:
        """The names of numbers as a dictionary column."""
        if (numbers == numbers[0]).all():
            found, index = numbers[:1], np.zeros(len(numbers), np.int32)
        else:
            found, index = np.unique(numbers, return_inverse=True)  # type: ignore[assignment]  # an index is an index
        return _dictionary(index, [self._name(int(number)) for number in found])

    def _name(self, number: int) -> str | None:
        if number not in self._known:
            try:
                self._known[number] = names.escape(os.fsencode(self._ask(number)))
            except (KeyError, OverflowError):
                self._known[number] = None  # deleted users, ids of another system
        return self._known[number]
