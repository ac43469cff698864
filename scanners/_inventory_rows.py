"""What the data files of S3 Inventory (CSV, Parquet, ORC) list, as entries: a batch of rows at a time, objects as a scan of the bucket has them."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.compute as pc

from catalog import names, printable
from catalog.pages import Items, PageError
from scanners import _objects, _packed, _parquet
from scanners._inventory import Inventory
from scanners._objects import Naming
from scanners._told import LISTED, ChangedError

_BATCH_ROWS = 32_768
_ORC_ROWS = 32  # at once, for a file does not say how long its values are, and may have one of them in every row
_BLOCK_BYTES = 4 << 20
_MOST_VALUE_BYTES = 4096  # a key has 1024, three times that in its encoded form
_MOST_KEY_BYTES = 1024
_NEEDED = ("Bucket", "Key", "Size", "LastModifiedDate")
_LOCKS = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
_OTHERS = ("VersionId", "IsLatest", "IsDeleteMarker", "ETag", "StorageClass", "ObjectOwner", *_LOCKS)
# What no column of entries is for, as tags: Amazon keeps names that begin so for itself.
_TAGS = {
    "ReplicationStatus": "aws:replication-status",
    "EncryptionStatus": "aws:encryption-status",
    "ChecksumAlgorithm": "aws:checksum-algorithm",
    "IntelligentTieringAccessTier": "aws:access-tier",
}
_CANONICAL = {name.lower(): name for name in (*_NEEDED, *_OTHERS, *_TAGS)}
_ITEMS = {"LastModifiedDate": "LastModified", "ObjectOwner": "ID"}  # the names that pages of listings have for them
_MODES = {"compliance": "compliance", "governance": "governance"}
_HOLDS = {"on": True, "off": False}
_BETWEEN = b"\x00"
_TYPES = {"lock_mode": pa.string(), "retain_until": pa.timestamp("us"), "legal_hold": pa.bool_(), "lock_seen_at": pa.timestamp("us"), "tags": pa.string()}


def entries(file: BinaryIO, inventory: Inventory, naming: Naming, exclude: str | None) -> Iterator[tuple[dict[str, pa.Array], int]]:
    """The columns of `schema.ENTRIES` of what a data file lists, sorted within each batch, and how many rows are left out. Raises ChangedError."""
    try:
        for batch in filter(len, _READERS[inventory.form](file, inventory)):
            tables = _tables(batch, inventory, naming)
            columns, excluded, accounted = _objects.sorted_rows(tables, exclude)
            if accounted != batch.num_rows:
                raise ChangedError(f"{batch.num_rows} rows were read, and {accounted} of them are accounted for: report this")
            told_at = pa.scalar(inventory.told_us, pa.int64()).cast(pa.timestamp("us"))
            count = len(columns["name"])
            columns |= {"attested_at": pa.repeat(told_at, count), "attested_level": pa.repeat(pa.scalar(LISTED, pa.int32()), count)}
            yield columns, excluded
    except PageError as error:
        raise ChangedError(str(error).replace("a page", "a data file").replace("an item", "a row")) from error
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ChangedError(f"no {inventory.form} of S3 Inventory that can be read: {printable.clean(str(error))[:200]}") from error


def _csv(file: BinaryIO, inventory: Inventory) -> Iterator[pa.RecordBatch]:
    """Rows as bytes; keys are decoded later."""
    import pyarrow.csv as tables

    chosen = _chosen(inventory.columns)
    with _packed.unpacked(file, "csv.gz") as text:
        reader = tables.open_csv(
            pa.PythonFile(text, mode="r"),
            read_options=tables.ReadOptions(column_names=list(inventory.columns), block_size=_BLOCK_BYTES, use_threads=False),
            convert_options=tables.ConvertOptions(
                column_types=dict.fromkeys(inventory.columns, pa.binary()), include_columns=list(chosen), null_values=[], strings_can_be_null=False
            ),
        )
        for batch in reader:
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                yield batch.slice(start, _BATCH_ROWS).rename_columns(list(chosen.values()))


def _of_parquet(file: BinaryIO, _: Inventory) -> Iterator[pa.RecordBatch]:
    schema = _parquet.opened(file).schema_arrow
    chosen = _chosen(schema.names)
    table, batch_rows = _parquet.bounded(file, [name for name in chosen if _parquet.is_text(schema.field(name).type)], set(chosen))
    for batch in table.iter_batches(batch_rows, columns=list(chosen), use_threads=False):
        yield batch.select(list(chosen)).rename_columns(list(chosen.values()))


def _of_orc(file: BinaryIO, _: Inventory) -> Iterator[pa.RecordBatch]:
    import pyarrow.dataset as datasets
    from pyarrow import orc

    _parquet.check_rows(orc.ORCFile(file).nrows, file)
    file.seek(0)
    fragment = datasets.OrcFileFormat().make_fragment(pa.PythonFile(file, mode="r"))
    chosen = _chosen(fragment.physical_schema.names)
    waiting, rows = list[pa.RecordBatch](), 0
    for batch in fragment.to_batches(batch_size=_ORC_ROWS, columns=list(chosen), use_threads=False, batch_readahead=0, fragment_readahead=0):
        for name in (name for name in chosen if _parquet.is_text(batch.schema.field(name).type)):
            _check_lengths(chosen[name], batch.column(name))
        waiting.append(batch.select(list(chosen)).rename_columns(list(chosen.values())))
        rows += batch.num_rows
        if rows >= _BATCH_ROWS:
            yield pa.concat_batches(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.concat_batches(waiting)


_READERS = {"csv": _csv, "parquet": _of_parquet, "orc": _of_orc}


def _chosen(columns: Sequence[str]) -> dict[str, str]:
    """The columns that are read, with the names that the list of a CSV has for them; Parquet and ORC write `last_modified_date`. Raises ChangedError."""
    found = {name: _CANONICAL[plain] for name in columns if (plain := name.replace("_", "").lower()) in _CANONICAL}
    if len(set(columns)) < len(columns) or len(set(found.values())) < len(found):
        raise ChangedError("it has a column twice")
    missing = [name for name in _NEEDED if name not in found.values()]
    if missing:
        raise ChangedError(f"it has no column {', '.join(missing)}: add it to the configuration of the inventory")
    if ("IsDeleteMarker" in found.values()) != ("VersionId" in found.values()) or ("IsLatest" in found.values()) != ("VersionId" in found.values()):
        raise ChangedError("of VersionId, IsLatest and IsDeleteMarker it must have all, or none")
    return found


def _tables(batch: pa.RecordBatch, inventory: Inventory, naming: Naming) -> list[pa.Table]:
    """The entries of a batch: objects, and delete markers apart. Raises PageError, ChangedError."""
    given = {name: _bytes(name, batch.column(name)) for name in batch.schema.names}
    if not pc.all(pc.fill_null(pc.equal(given["Bucket"], inventory.bucket.encode()), False)).as_py():
        raise ChangedError(f"it lists objects of another bucket than {inventory.bucket}")
    keys = _keys(given["Key"], encoded=inventory.form == "csv")
    if "VersionId" not in given:
        return [_table("Contents", keys, given, inventory, naming)]
    given["VersionId"] = pc.fill_null(given["VersionId"], b"null")  # of what was stored before versions were kept
    for name in ("IsLatest", "IsDeleteMarker"):
        given[name] = _flags(name, given[name])
    is_marker = pc.equal(given["IsDeleteMarker"], b"true")
    found = []
    for kind, chosen in (("Version", pc.invert(is_marker)), ("DeleteMarker", is_marker)):
        rows = {name: column.filter(chosen) for name, column in given.items()}
        found += [_table(kind, keys.filter(chosen), rows, inventory, naming)] if len(rows["Key"]) else []
    return found


def _table(kind: str, keys: pa.Array, given: dict[str, pa.Array], inventory: Inventory, naming: Naming) -> pa.Table:
    """The entries of rows of one kind. Raises PageError, ChangedError."""
    needed = ("LastModifiedDate",) if kind == "DeleteMarker" else ("LastModifiedDate", "Size")
    if any(given[name].null_count for name in needed):
        raise ChangedError(f"a row lacks one of {', '.join(needed)}")
    items = {_ITEMS.get(name, name): column for name, column in given.items() if name not in _TAGS and name not in _LOCKS}
    if kind == "DeleteMarker":
        items |= {name: pa.nulls(len(keys), pa.binary()) for name in ("Size", "ETag") if name in items}
    table = naming.rows(Items(kind, {**items, "Key": keys}))
    for name, column in {**_locks(given, inventory.told_us), "tags": _tags(given)}.items():
        table = table.append_column(name, column.cast(_TYPES[name]))
    return table


def _bytes(name: str, column: pa.Array) -> pa.Array:
    """A column as the text that a CSV would have, in bytes; what is empty is null. Raises ChangedError."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        _check_lengths(name, column.dictionary)
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.timestamp("us", "UTC")).cast(pa.string())
    elif pa.types.is_boolean(column.type) or pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if not _parquet.is_text(column.type):
        raise ChangedError(f"column {name} is of type {kind}")
    column = column.cast(pa.binary())
    _check_lengths(name, column)
    return pc.if_else(pc.equal(pc.binary_length(column), 0), pa.scalar(None, pa.binary()), column)


def _check_lengths(name: str, column: pa.Array) -> None:
    if (pc.max(pc.binary_length(column)).as_py() or 0) > _MOST_VALUE_BYTES:
        raise ChangedError(f"column {name} has a value of more than {_MOST_VALUE_BYTES} bytes")


def _keys(column: pa.Array, *, encoded: bool) -> pa.Array:
    """The bytes of keys. Raises ChangedError for what is no key, or is not encoded as it must be."""
    keys = column
    if encoded:
        if pc.any(pc.match_substring_regex(column, rb"%(?:[^0-9A-Fa-f]|.[^0-9A-Fa-f]|.?$)"), min_count=0).as_py():
            raise ChangedError("a key is not encoded as in a url: no inventory in CSV has such")
        strange = pc.match_substring_regex(column, "[%+]")
        read = [unquote_to_bytes(key.replace(b"+", b" ")) for key in column.filter(strange).to_pylist()]  # as forms of HTML are
        keys = pc.replace_with_mask(column, strange, pa.array(read, pa.binary()))
    lengths = pc.binary_length(keys)
    if not pc.all(pc.fill_null(pc.and_(pc.greater(lengths, 0), pc.less_equal(lengths, _MOST_KEY_BYTES)), False), min_count=0).as_py():
        raise ChangedError(f"a key is empty, or has more than {_MOST_KEY_BYTES} bytes")
    return keys


def _flags(name: str, column: pa.Array) -> pa.Array:
    """Raises ChangedError for what is neither true nor false."""
    lower = pc.ascii_lower(column.cast(pa.string())).cast(pa.binary())
    if not pc.all(pc.fill_null(pc.is_in(lower, pa.array([b"true", b"false"])), False)).as_py():
        raise ChangedError(f"column {name} is neither true nor false in a row")
    return lower


def _locks(given: dict[str, pa.Array], told_us: int) -> dict[str, pa.Array]:
    """What rows say of locks. That there is none is known only where all three columns are there, and say so."""
    count = len(given["Key"])
    modes = _known(given.get("ObjectLockMode"), count, _MODES, pa.string())
    held = _known(given.get("ObjectLockLegalHoldStatus"), count, _HOLDS, pa.bool_())
    until = given.get("ObjectLockRetainUntilDate", pa.nulls(count, pa.binary()))
    until = until.cast(pa.string()).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    if set(_LOCKS) <= set(given):
        is_free = pc.and_(pc.and_(given["ObjectLockMode"].is_null(), until.is_null()), pc.fill_null(pc.invert(held), False))
        modes = pc.if_else(is_free, "none", modes)
    told = not set(_LOCKS).isdisjoint(given)
    seen = pa.repeat(pa.scalar(told_us if told else None, pa.int64()).cast(pa.timestamp("us")), count)
    return {"lock_mode": modes, "retain_until": until, "legal_hold": held, "lock_seen_at": seen}


def _known(column: pa.Array | None, count: int, meanings: dict[str, Any], kind: pa.DataType) -> pa.Array:
    """The meaning of each value; null where it has none that is known."""
    if column is None:
        return pa.nulls(count, kind)
    values = column.dictionary_encode()
    meant = [meanings.get(value.decode("utf-8", "replace").lower()) for value in values.dictionary.to_pylist()]
    return pa.array(meant, kind).take(values.indices)


def _tags(given: dict[str, pa.Array]) -> pa.Array:
    """JSON of what no column is for; null where a row has nothing of it. Raises ChangedError."""
    count = len(given["Key"])
    columns = [pc.fill_null(given[name], b"") if name in given else pa.array([b""] * count, pa.binary()) for name in _TAGS]
    joined = pc.binary_join_element_wise(*columns, _BETWEEN).dictionary_encode()
    rows = [text.split(_BETWEEN) for text in joined.dictionary.to_pylist()]
    if any(len(row) != len(_TAGS) for row in rows):
        raise ChangedError("a value has a NUL")
    texts = [json.dumps({tag: names.escape(value) for tag, value in zip(_TAGS.values(), row, strict=True) if value}) for row in rows]
    return pa.array([None if text == "{}" else text for text in texts], pa.string()).take(joined.indices)
