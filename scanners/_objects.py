"""Entries of an object store: the columns of what pages list, each object or version known by a number that holds for its content."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog import glob, names, ours
from catalog.pages import Items, PageError, unescaped
from catalog.schema import TIME_FLAGS
from scanners import _naming

COLUMNS = frozenset(
    {
        "dir", "name", "path_hash", "extension", "type", "size_bytes", "modified_at", "time_flags", "owner", "fs_id", "inode", "version_id", "is_latest",
        "storage_class", "etag", "lock_mode", "retain_until", "legal_hold", "lock_seen_at", "restore_state", "tags", "digest",
    }
)  # fmt: skip
OURS = ours.HOME.decode() + "/"  # a directory that no scan enters
_DAY_US = 86_400_000_000
_LONGEST = 2**31 - 1  # without an end a slice fails
_TYPES = {"Contents": "object", "Version": "object", "DeleteMarker": "delete_marker"}
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
        return _number(text)

    def path(self, key: bytes) -> str:
        """The escaped path of a key of the volume."""
        return names.escape(key[len(self._prefix) :])

    def rows(self, items: Items) -> pa.Table:
        """The entries of some items, in their order, with the column `key`. Raises PageError."""
        keys, count = items.columns["Key"], len(items)
        dirs, last = _naming.split(_naming.escaped(pc.binary_slice(keys, len(self._prefix), _LONGEST)))
        sizes, etags = _integers(items.columns.get("Size"), count), _etags(items.columns.get("ETag"), count)
        modified, flags, seconds = self._times(items.columns["LastModified"])
        columns: dict[str, Any] = {
            "key": keys,
            "dir": dirs,
            "name": last,
            "path_hash": _naming.path_hashes(dirs, last),
            "extension": _naming.extensions(last),
            "type": pa.repeat(_TYPES[items.kind], count),
            "size_bytes": sizes,
            "modified_at": modified,
            "time_flags": flags,
            "owner": _texts(items.columns.get("ID"), count),
            "fs_id": pa.repeat(self.fs_id, count),
            "inode": self._numbers(keys, etags, seconds, sizes),
            "version_id": _texts(items.columns.get("VersionId"), count),
            "is_latest": pa.repeat(True, count) if items.kind == "Contents" else pc.equal(items.columns["IsLatest"], b"true"),
            "storage_class": _texts(items.columns.get("StorageClass"), count),
            "etag": etags,
        }
        return pa.table(columns)

    def _numbers(self, keys: pa.Array, etags: pa.Array, seconds: pa.Array, sizes: pa.Array) -> pa.Array:
        """What `number` says of each."""
        parts = [etags, seconds.cast(pa.string()), pc.fill_null(sizes, 0).cast(pa.string())]
        texts = pc.binary_join_element_wise(pa.scalar(self._identity), keys, *(part.cast(pa.binary()) for part in parts), b"\0")
        return pa.array([None if text is None else _number(text) for text in texts.to_pylist()], pa.int64())

    def _times(self, texts: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
        """When objects were stored, in whole seconds, for some stores tell it more exactly in lists than elsewhere; the flags of these times; these seconds."""
        try:
            read = pc.cast(texts.cast(pa.string()), pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
        except pa.ArrowInvalid as error:
            raise PageError("a page has a time that is none") from error
        seconds = read.cast(pa.int64()).to_numpy() // 1_000_000
        us = seconds * 1_000_000
        flags = (
            TIME_FLAGS["modified_coarse"] | TIME_FLAGS["modified_stored"] | np.where((us > self._latest_us) | (us < _DAY_US), TIME_FLAGS["modified_suspect"], 0)
        )
        return pa.array(us).cast(pa.timestamp("us")), pa.array(flags.astype(np.int32)), pa.array(seconds)


def _number(text: bytes) -> int:
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little", signed=True)


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


def _etags(values: pa.Array | None, count: int) -> pa.Array:
    """ETags without their quotes, which stores write in several ways. Raises PageError."""
    if values is None:
        return pa.nulls(count, pa.string())
    try:
        texts = values.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise PageError("a page has an ETag that is no text") from error
    for quote in ("&#34;", "&quot;"):
        texts = pc.replace_substring(texts, quote, '"')
    marked = pc.match_substring(texts, "&")
    if pc.any(marked).as_py():
        texts = pc.replace_with_mask(texts, marked, pa.array([unescaped(text) for text in texts.filter(marked).to_pylist()], pa.string()))
    return pc.utf8_trim(texts, '"')


def _integers(values: pa.Array | None, count: int) -> pa.Array:
    """Sizes. Raises PageError."""
    if values is None:
        return pa.nulls(count, pa.int64())
    try:
        if not pc.all(pc.match_substring_regex(values, "^[0-9]+$"), min_count=0).as_py():
            raise PageError("a page has a size that is none")
        return values.cast(pa.string()).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise PageError("a page has a size that is none") from error


def _texts(values: pa.Array | None, count: int) -> pa.Array:
    """Text of the store's own, escaped as names are: it may be anything."""
    if values is None:
        return pa.nulls(count, pa.string())

    def read(one: bytes) -> bytes:
        return unescaped(one.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    marked = pc.match_substring(values, "&")
    if pc.any(marked).as_py():
        values = pc.replace_with_mask(values, marked, pa.array([read(one) for one in values.filter(marked).to_pylist()], pa.binary()))
    return _naming.escaped(values)
