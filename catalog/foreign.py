"""Parquet files that may be an enemy's, read so that a few bytes of one do not become a memory full of rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH_ROWS = 50_000
_BATCH_BYTES = 32 << 20  # of the values of one batch, dictionaries written out
_MOST_ROWS_A_BYTE = 20  # this and what follows: more than any true file has; what says that it has more is not read
_MOST_BYTES_A_BYTE, _BYTES_MORE = 1000, 64 << 20  # of values, for each byte of the file
_MOST_GROUP_BYTES = 512 << 20  # of one row group: 100,000 rows with paths of the greatest length


@contextmanager
def opened(path: Path, called: str) -> "Iterator[pq.ParquetFile]":
    """A file whose text stays in dictionaries while it is read. Raises CatalogError where it says that it is more than a file of its size can be."""
    import pyarrow.parquet as pq

    size_bytes = path.stat().st_size
    with pq.ParquetFile(path) as file:
        told = file.metadata
        groups = [told.row_group(number) for number in range(told.num_row_groups)]
        _check(called, "rows", max(told.num_rows, sum(group.num_rows for group in groups)), size_bytes, _MOST_ROWS_A_BYTE * size_bytes)
        _check(called, "bytes", sum(group.total_byte_size for group in groups), size_bytes, _most_bytes(size_bytes))
        _check(called, "bytes in a group of rows", max((group.total_byte_size for group in groups), default=0), size_bytes, _MOST_GROUP_BYTES)
        texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        yield file


def batches(file: "pq.ParquetFile", wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of an `opened` file, without dictionaries; the values of a batch take no more than 32 MiB, or it has one row."""
    for batch in file.iter_batches(_BATCH_ROWS):
        for begin, end in pairwise(_ends(_row_bytes(batch))):
            columns = zip(batch.slice(begin, end - begin).columns, wanted, strict=True)
            yield pa.RecordBatch.from_arrays([column if column.type == field.type else column.cast(field.type) for column, field in columns], schema=wanted)


def limited(found: Iterator[pa.RecordBatch], path: Path, called: str) -> Iterator[pa.RecordBatch]:
    """Batches, while they do not hold more than a file of that size can. Raises CatalogError."""
    size_bytes, seen = path.stat().st_size, 0
    for batch in found:
        seen += batch.nbytes
        _check(called, "bytes", seen, size_bytes, _most_bytes(size_bytes))
        yield batch


def _most_bytes(size_bytes: int) -> int:
    return _BYTES_MORE + _MOST_BYTES_A_BYTE * size_bytes


def _check(called: str, what: str, told: int, size_bytes: int, most: int) -> None:
    if told > most:
        raise CatalogError(f"{called}: says that it has {told} {what} in {size_bytes} bytes")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _row_bytes(batch: pa.RecordBatch) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The bytes of the text of each row, as if each had its own."""
    found = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            lengths = pc.binary_length(column.dictionary).cast(pa.int64())
            found += lengths.take(column.indices).fill_null(0).to_numpy(zero_copy_only=False)
    return found


def _ends(row_bytes: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> list[int]:
    """Where batches begin and end whose rows are not more than they may."""
    total, ends = np.cumsum(row_bytes), [0]
    while ends[-1] < len(total):
        before = int(total[ends[-1] - 1]) if ends[-1] else 0
        ends.append(max(ends[-1] + 1, int(np.searchsorted(total, before + _BATCH_BYTES, side="right"))))
    return ends
