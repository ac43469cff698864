"""Entries of an object store: the columns of what pages list, each object or version known by a number that holds for its content."""

import hashlib
from collections.abc import Sequence
from html import unescape
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog import glob, hashes, names, ours
from catalog.schema import TIME_FLAGS
from scanners._pages import Items, PageError

COLUMNS = frozenset(
    {
        "dir", "name", "path_hash", "extension", "type", "size_bytes", "modified_at", "time_flags", "owner", "fs_id", "inode", "version_id", "is_latest",
        "storage_class", "etag", "lock_mode", "retain_until", "legal_hold", "lock_seen_at", "restore_state", "tags", "digest",
    }
)  # fmt: skip
OURS = ours.HOME.decode() + "/"  # a directory that no scan enters
_DAY_US = 86_400_000_000
_TYPES = {"Contents": "object", "Version": "object", "DeleteMarker": "delete_marker"}
_PLAIN = bytes({*range(0x20, 0x7F)} - {0x5C})
_WORDS = ("dir", "extension", "type", "owner", "fs_id", "storage_class", "restore_state", "lock_mode")


def fs_id(identity: str) -> str:
    """What a bucket has as the id of its file system, by which bucket of which store it is."""
    return f"s3-{hashlib.sha256(identity.encode()).hexdigest()[:32]}"


class Told(NamedTuple):
    """What an answer about one object says of it, for `number`."""

    etag: str | None
    modified_s: int
    size_bytes: int


class Naming:
    """From keys to rows: knows where the volume begins in the bucket, and which bucket it is."""

    def __init__(self, identity: str, prefix: bytes, started_us: int) -> None:
        """`identity` says which bucket of which store; `prefix` ends with a slash, or is empty."""
        self.fs_id = fs_id(identity)
        self._identity, self._prefix, self._latest_us = self.fs_id.encode(), prefix, started_us + _DAY_US

    def number(self, key: bytes, told: Told) -> int | None:
        """A number for one content of one key: another key, content or time of writing has another. None where the store gives no ETag.

        The same object has the same through every volume of its bucket. It is cryptographic: keys are an enemy's.
        """
        if told.etag is None:
            return None
        text = b"%s\0%s\0%s\0%d\0%d" % (self._identity, key, told.etag.encode("utf-8", "surrogateescape"), told.modified_s, told.size_bytes)
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little", signed=True)

    def path(self, key: bytes) -> str:
        """The escaped path of a key of the volume."""
        return names.escape(key[len(self._prefix) :])

    def rows(self, items: Items) -> pa.Table:
        """The entries of some items, in their order, with the column `key`. Raises PageError."""
        count, cut = len(items.keys), len(self._prefix)
        paths = [key[cut:] for key in items.keys]
        texts = _escaped(paths)
        split = [text.rfind("/") + 1 for text in texts]
        last = [text[at:] for text, at in zip(texts, split, strict=True)]
        sizes = _integers(items.values.get("Size"), count)
        etags = [None if one is None else _etag(one) for one in items.values.get("ETag", [None] * count)]
        modified, flags, seconds = self._times(items.values["LastModified"])
        told = (Told(etag, at, size or 0) for etag, at, size in zip(etags, seconds, sizes, strict=True))
        numbers = [self.number(key, one) for key, one in zip(items.keys, told, strict=True)]
        columns: dict[str, Any] = {
            "key": pa.array(items.keys, pa.binary()),
            "dir": pa.array([text[:at] for text, at in zip(texts, split, strict=True)], pa.string()),
            "name": pa.array(last, pa.string()),
            "path_hash": pa.array(map(hashes.of_path, paths), pa.int64()),
            "extension": pa.array(map(names.extension, last), pa.string()),
            "type": pa.array([_TYPES[items.kind]] * count, pa.string()),
            "size_bytes": pa.array(sizes, pa.int64()),
            "modified_at": modified,
            "time_flags": flags,
            "owner": _texts(items.values.get("ID"), count),
            "fs_id": pa.array([self.fs_id] * count, pa.string()),
            "inode": pa.array(numbers, pa.int64()),
            "version_id": _texts(items.values.get("VersionId"), count),
            "is_latest": pa.array(_flags(items, count), pa.bool_()),
            "storage_class": _texts(items.values.get("StorageClass"), count),
            "etag": pa.array(etags, pa.string()),
        }
        return pa.table(columns)

    def _times(self, texts: Sequence[bytes | None]) -> tuple[pa.Array, pa.Array, list[int]]:
        """When objects were stored, in whole seconds, for some stores tell it more exactly in lists than elsewhere; the flags of these times; these seconds."""
        try:
            read = pc.cast(pa.array(texts, pa.binary()).cast(pa.string()), pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
        except pa.ArrowInvalid as error:
            raise PageError("a page has a time that is none") from error
        us = read.cast(pa.int64()).to_numpy() // 1_000_000 * 1_000_000
        flags = (
            TIME_FLAGS["modified_coarse"] | TIME_FLAGS["modified_stored"] | np.where((us > self._latest_us) | (us < _DAY_US), TIME_FLAGS["modified_suspect"], 0)
        )
        return pa.array(us).cast(pa.timestamp("us")), pa.array(flags.astype(np.int32)), (us // 1_000_000).tolist()


def sorted_rows(tables: Sequence[pa.Table], exclude: str | None, taken: pa.Array | None = None) -> tuple[dict[str, pa.Array], int, int]:
    """The columns of `schema.ENTRIES`, sorted by path, versions in the order of the store; how many rows are excluded, and how many are accounted for.

    What lies in the directory `OURS` is left out, and so are the versions, by their ids, that jobs have `taken` away and will let go, unless their name shows
    them; what is told twice is there once.
    """
    table = pa.concat_tables(tables, promote_options="default")
    table = table.append_column("place", pa.array(np.arange(table.num_rows)))
    is_ours = pc.or_(pc.starts_with(table["dir"], OURS), _are(table, taken))
    table, own = table.filter(pc.invert(is_ours)), pc.sum(is_ours).as_py() or 0
    excluded = repeated = 0
    if exclude is not None:
        is_out = glob.excluded(exclude, pc.binary_join_element_wise(table["dir"], table["name"], "").combine_chunks())
        table, excluded = table.filter(pc.invert(is_out)), pc.sum(is_out).as_py() or 0
    table = table.sort_by([("dir", "ascending"), ("name", "ascending"), ("place", "ascending")]).combine_chunks()
    if table.num_rows > 1:
        again = _repeated(table)
        table, repeated = table.filter(pa.array(np.concatenate([[True], ~again]))), int(again.sum())
    columns = {name: table[name].combine_chunks() for name in table.column_names if name in COLUMNS}
    told = {name: column.dictionary_encode() if name in _WORDS else column for name, column in columns.items()}
    return told, excluded, table.num_rows + own + excluded + repeated


def _are(table: pa.Table, versions: pa.Array | None) -> pa.ChunkedArray:
    """Which rows are one of some versions, and not what their name shows. A bucket gives an id once, whatever the name."""
    if not versions:
        return pa.chunked_array([pa.repeat(False, table.num_rows)])
    return pc.and_(pc.is_in(table["version_id"], versions), pc.invert(pc.fill_null(table["is_latest"], True)))


def _repeated(table: pa.Table) -> "np.ndarray[Any, Any]":
    """Which rows but the first say of a version what the one before it says."""
    same = np.ones(table.num_rows - 1, bool)
    for name in ("dir", "name", "version_id", "inode"):
        before, after = table[name].slice(0, table.num_rows - 1), table[name].slice(1)
        equal = pc.or_(pc.fill_null(pc.equal(before, after), False), pc.and_(before.is_null(), after.is_null()))
        same &= equal.to_numpy(zero_copy_only=False) if isinstance(equal, pa.Array) else equal.combine_chunks().to_numpy(zero_copy_only=False)
    return same


def _escaped(paths: Sequence[bytes]) -> list[str]:
    if not b"".join(paths).translate(None, _PLAIN):
        return [path.decode("ascii") for path in paths]
    return [names.escape(path) for path in paths]


def _etag(value: bytes) -> str:
    text = value.decode("utf-8", "surrogateescape").replace("&#34;", '"').replace("&quot;", '"')
    return (unescape(text) if "&" in text else text).strip('"')


def _integers(values: Sequence[bytes | None] | None, count: int) -> list[int | None]:
    if values is None:
        return [None] * count
    try:
        found = [None if one is None else int(one) for one in values]
    except ValueError as error:
        raise PageError("a page has a size that is none") from error
    if any(one is not None and not 0 <= one < 2**63 for one in found):
        raise PageError("a page has a size that is none")
    return found


def _texts(values: Sequence[bytes | None] | None, count: int) -> pa.Array:
    """Text of the store's own, escaped as names are: it may be anything."""
    if values is None:
        return pa.nulls(count, pa.string())

    def read(one: bytes) -> str:
        return names.escape(unescape(one.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"))

    known = {one: None if one is None else read(one) for one in set(values)}
    return pa.array([known[one] for one in values], pa.string())


def _flags(items: Items, count: int) -> list[bool]:
    """Which are the latest: of a listing of objects, all."""
    return [True] * count if items.kind == "Contents" else [one == b"true" for one in items.values["IsLatest"]]
