"""Parquet files of a few bytes that would be a memory full of rows."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import foreign
from catalog.errors import CatalogError

MiB = 1 << 20


def _written(tmp_path: Path, text: str, rows: int, **options: bool) -> Path:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"n": pa.array(range(rows), pa.int64()), "text": pa.array([text] * rows)}), path, compression="zstd", store_schema=False, **options)
    return path


def test_a_text_that_stands_in_every_row_is_given_in_batches_that_fit_into_memory_and_not_for_ever(tmp_path: Path) -> None:
    path = _written(tmp_path, "x" * 20_000, 25_000)
    before, seen = pa.total_allocated_bytes(), 0
    with foreign.opened(path, "x") as file:
        found = foreign.limited(foreign.batches(file, pq.read_schema(path)), path, "x")
        while seen < 2_000:
            batch = next(found)
            assert batch["text"].type == pa.string()
            assert pa.total_allocated_bytes() - before < 128 * MiB
            seen += batch.num_rows
        with pytest.raises(CatalogError, match=r"x: says that it has \d+ bytes in \d+ bytes"):
            list(found)


def test_what_is_no_more_than_it_can_be_is_given_as_it_is(tmp_path: Path) -> None:
    path = _written(tmp_path, "x" * 2_000, 25_000)
    with foreign.opened(path, "x") as file:
        found = list(foreign.limited(foreign.batches(file, pq.read_schema(path)), path, "x"))
    assert len(found) > 1
    assert pa.Table.from_batches(found).equals(pq.read_table(path))


def test_a_group_of_rows_that_says_that_it_is_vast_is_not_read(tmp_path: Path) -> None:
    path = _written(tmp_path, "x" * 20_000, 25_000, use_dictionary=False)
    with pytest.raises(CatalogError, match="bytes in"), foreign.opened(path, "x"):
        pass
