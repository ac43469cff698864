"""Listings that are tables of Parquet, whose columns the configuration names."""

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from scanners import _tables
from scanners._told import ChangedError, RefusedPathError, Source

_BATCH_ROWS = 32_768
_MOST_COLUMN_BYTES = 1 << 30  # of one column in one row group
_MOST_HEAD_BYTES = 64 << 20  # of what the file says of itself
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def read(file: BinaryIO, source: Source, columns: Mapping[str, str], unit: str, told_us: int, *, in_place: bool) -> None:
    """Take the rows; `columns` says under which names it has what. Times are of a type that says UTC, or numbers or texts as in CSV. Raises ChangedError."""
    try:
        table = pq.ParquetFile(file, thrift_string_size_limit=_MOST_HEAD_BYTES, thrift_container_size_limit=_MOST_HEAD_BYTES)
        schema = table.schema_arrow
        missing = sorted(set(columns.values()) - set(schema.names))
        if missing:
            raise ChangedError(f"it has no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, schema.names[:50]))}")
        _check_size(table, set(columns.values()))
        texts = {what: _text_of(what, name, schema.field(name).type) for what, name in columns.items()}
        time_unit = "ns" if "modified_at" in columns and pa.types.is_timestamp(schema.field(columns["modified_at"]).type) else unit
        row = 0
        for batch in table.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(columns.values())), use_threads=False):
            values = {what: _values(batch.column(name)) for what, name in columns.items()}
            for place in range(batch.num_rows):
                row += 1
                try:
                    told = {what: "" if found[place] is None else texts[what](found[place]) for what, found in values.items()}
                    _tables.take(source, told, time_unit, told_us, in_place=in_place)
                except RefusedPathError as error:
                    source.refuse(f"row {row}", str(error))
    except (pa.ArrowException, OSError) as error:
        raise ChangedError(f"no table of Parquet that can be read: {error}") from error


def _check_size(table: pq.ParquetFile, wanted: set[str]) -> None:
    """Refuse what takes more memory than a listing needs. Raises ChangedError."""
    for number in range(table.metadata.num_row_groups):
        group = table.metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            if column.path_in_schema in wanted and column.total_uncompressed_size > _MOST_COLUMN_BYTES:
                raise ChangedError(f"column {column.path_in_schema!r} has more than {_MOST_COLUMN_BYTES} bytes in one row group; write smaller ones")


def _values(column: pa.Array) -> list[Any]:
    """The values as Python has them; of times the numbers, for not every one is a time to Python."""
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()  # type: ignore[no-any-return]  # of any type


def _text_of(what: str, name: str, kind: pa.DataType) -> Callable[[Any], str]:
    """What makes the text of a value that a table of CSV would have. Raises ChangedError."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_timestamp(kind) and what == "modified_at":
        if kind.tz is None:
            raise ChangedError(f"column {name!r} has times that do not say their zone; write them as UTC, or as numbers that 'times' names the unit of")
        return lambda value: str(value * _NANOSECONDS[kind.unit])
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return str
    if pa.types.is_integer(kind) and what in ("size_bytes", "modified_at"):
        return str
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return bytes.hex if what == "sha256" else lambda value: value.decode("utf-8", "surrogateescape")
    raise ChangedError(f"column {name!r} is of type {kind}: no {what}")
