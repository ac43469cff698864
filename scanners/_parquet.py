"""Listings that are tables of Parquet, whose columns the configuration names."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scanners import _tables
from scanners._told import ChangedError, RefusedPathError, Source

_BATCH_ROWS = 32_768
_MOST_BATCH_BYTES = 256 << 20  # of one column whose values cannot be read once each
_MOST_COLUMN_BYTES = 1 << 30  # of one column in one row group
_MOST_HEAD_BYTES = 64 << 20  # of what the file says of itself
_MOST_VALUE_BYTES = 4096  # no path has more
_ALWAYS_ROWS, _MOST_ROWS_A_BYTE = 1 << 20, 4  # as a text may be 250 times as large as what it is packed to, and a row has no less than 60 letters
_DELTA = "DELTA"  # encodings in which a value may be a few bytes and the whole of the one before, which the library does not read as a dictionary
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def read(file: BinaryIO, source: Source, columns: Mapping[str, str], unit: str, told_us: int, *, in_place: bool) -> None:
    """Take the rows; `columns` says under which names it has what. Times are of a type that says UTC, or numbers or texts as in CSV. Raises ChangedError."""
    try:
        schema = opened(file).schema_arrow
        _check_names(schema, columns)
        texts = {what: _text_of(what, name, _kind(schema, name)) for what, name in columns.items()}
        table, batch_rows = bounded(file, [name for name in dict.fromkeys(columns.values()) if is_text(_kind(schema, name))], set(columns.values()))
        time_unit = "ns" if "modified_at" in columns and pa.types.is_timestamp(_kind(schema, columns["modified_at"])) else unit
        row = 0
        for batch in table.iter_batches(batch_rows, columns=list(dict.fromkeys(columns.values())), use_threads=False):
            values = {what: _told(batch.column(name), texts[what]) for what, name in columns.items()}
            for place in range(batch.num_rows):
                row += 1
                try:
                    told = {what: _short(found[place]) for what, found in values.items()}
                    _tables.take(source, told, time_unit, told_us, in_place=in_place)
                except RefusedPathError as error:
                    source.refuse(f"row {row}", str(error))
    except (pa.ArrowException, OSError) as error:
        raise ChangedError(f"no table of Parquet that can be read: {error}") from error
    except UnicodeDecodeError as error:
        raise ChangedError("no table of Parquet that can be read: what it says of its columns is not UTF-8") from error


def opened(file: BinaryIO, once: Sequence[str] = ()) -> pq.ParquetFile:
    """A table, of which the values of some columns are read once each."""
    return pq.ParquetFile(file, read_dictionary=list(once), thrift_string_size_limit=_MOST_HEAD_BYTES, thrift_container_size_limit=_MOST_HEAD_BYTES)


def _check_names(schema: pa.Schema, columns: Mapping[str, str]) -> None:
    """Refuse a table that does not have each column once. Raises ChangedError."""
    missing = sorted(set(columns.values()) - set(schema.names))
    if missing:
        raise ChangedError(f"it has no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, schema.names[:50]))}")
    double = sorted(name for name in set(columns.values()) if schema.names.count(name) > 1)
    if double:
        raise ChangedError(f"it has more than one column {', '.join(map(repr, double))}")


def bounded(file: BinaryIO, texts: Sequence[str], wanted: set[str]) -> tuple[pq.ParquetFile, int]:
    """The table, and how many rows are read at once, so that no small file fills the memory. Raises ChangedError for what takes more than a listing needs."""
    metadata = opened(file).metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    check_rows(sum(max(0, group.num_rows) for group in groups), file)
    repeating, greatest = set[str](), 1
    for column in (group.column(place) for group in groups for place in range(group.num_columns)):
        if column.path_in_schema not in wanted:
            continue
        if column.total_uncompressed_size > _MOST_COLUMN_BYTES:
            raise ChangedError(f"column {column.path_in_schema!r} has more than {_MOST_COLUMN_BYTES} bytes in one row group; write smaller ones")
        if any(encoding.startswith(_DELTA) for encoding in column.encodings) and column.path_in_schema in texts:
            repeating.add(column.path_in_schema)
    for column in (group.column(place) for group in groups for place in range(group.num_columns)):
        if column.path_in_schema in repeating:  # no value is longer than all that the column has
            greatest = max(greatest, column.total_uncompressed_size)
    return opened(file, [name for name in texts if name not in repeating]), max(1, min(_BATCH_ROWS, _MOST_BATCH_BYTES // greatest))


def check_rows(rows: int, file: BinaryIO) -> None:
    """Refuse a table that says that it has more rows than a listing of its size can have. Raises ChangedError."""
    most_rows = max(_ALWAYS_ROWS, os.fstat(file.fileno()).st_size * _MOST_ROWS_A_BYTE)
    if rows > most_rows:
        raise ChangedError(f"it has more than {most_rows} rows: no listing is packed so well")


def _kind(schema: pa.Schema, name: str) -> pa.DataType:
    """The type of a column's values."""
    kind = schema.field(name).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Whether values are texts, or bytes."""
    return any(is_one(kind) for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary))


def _told(column: pa.Array, text: Callable[[Any], str]) -> list[str | None]:
    """The text of each row; that of a value is made once, whatever number of rows has it. '' = there is none, None = it is too long."""
    if not pa.types.is_dictionary(column.type):
        return [_text(value, text) for value in _values(column)]
    used = pc.unique(column.indices).drop_null()
    made = [_text(value, text) for value in _values(column.dictionary.take(used))]
    found = dict(zip(used.to_pylist(), made, strict=True))
    return ["" if number is None else found[number] for number in column.indices.to_pylist()]


def _text(value: Any, text: Callable[[Any], str]) -> str | None:  # noqa: ANN401 - of any type
    if value is None:
        return ""
    return None if isinstance(value, bytes) and len(value) > _MOST_VALUE_BYTES else text(value)


def _short(text: str | None) -> str:
    """A text that is not too long. Raises RefusedPathError."""
    if text is None:
        raise RefusedPathError(f"a value of more than {_MOST_VALUE_BYTES} bytes")
    return text


def _values(column: pa.Array) -> list[Any]:
    """The values as Python has them; of times the numbers, for not every one is a time to Python; of texts the bytes, for not every one is UTF-8."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
    return column.to_pylist()  # type: ignore[no-any-return]  # of any type


def _text_of(what: str, name: str, kind: pa.DataType) -> Callable[[Any], str]:
    """What makes the text of a value that a table of CSV would have. Raises ChangedError."""
    if pa.types.is_timestamp(kind) and what == "modified_at":
        if kind.tz is None:
            raise ChangedError(f"column {name!r} has times that do not say their zone; write them as UTC, or as numbers that 'times' names the unit of")
        return lambda value: str(value * _NANOSECONDS[kind.unit])
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _decoded
    if pa.types.is_integer(kind) and what in ("size_bytes", "modified_at"):
        return str
    is_narrow = pa.types.is_fixed_size_binary(kind) and kind.byte_width <= _MOST_VALUE_BYTES
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or is_narrow:
        return bytes.hex if what == "sha256" else _decoded
    raise ChangedError(f"column {name!r} is of type {kind}: no {what}")


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
