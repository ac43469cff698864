"""Numbers the steps of a plan, cuts them into chunks, and writes the two files of its folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lifecycle import planning
from lifecycle.draft import Draft
from lifecycle.manifest import REFUSALS, STEPS

STEPS_FILE = "steps.parquet"
REFUSALS_FILE = "refusals.parquet"
CHUNK_STEPS = 128
CHUNK_BYTES = 256 << 20
_ROWS = 16_384

_REFUSED = """
SELECT s.volume, s.path, coalesce(l.size_bytes, s.size_bytes) AS size_bytes, r.reason, r.detail
FROM refused AS r
INNER JOIN sources AS s ON r.id = s.id
LEFT JOIN looked AS l ON r.id = l.id
ORDER BY s.rank, s.volume, s.path
"""


def write(draft: Draft, folder: Path) -> None:
    """Write `steps.parquet` and `refusals.parquet` of a settled draft into a folder."""
    numbers = _Numbers()
    _write(folder / STEPS_FILE, STEPS, (numbers.of(batch) for batch in _batches(draft, planning.sql("steps"), action=draft.action.NAME)))
    _write(folder / REFUSALS_FILE, REFUSALS, (pa.Table.from_batches([batch]) for batch in _batches(draft, _REFUSED)))


class _Numbers:
    """Steps from 1; a chunk is full at so many steps or bytes, holds one pair of volumes, and never parts the names of one file."""

    def __init__(self) -> None:
        self._step = 0
        self._chunk = 0
        self._steps_in, self._bytes_in = 0, 0
        self._last: tuple[Any, ...] = ()

    def of(self, batch: pa.RecordBatch) -> pa.Table:
        """The rows with their numbers, as STEPS."""
        columns = [batch.column(name).to_pylist() for name in ("volume", "target_volume", "unit", "size_bytes")]
        chunks = [self._next(volume, target, unit, size or 0) for volume, target, unit, size in zip(*columns, strict=True)]
        steps = pa.array(range(self._step + 1, self._step + 1 + len(chunks)), pa.int64())
        self._step += len(chunks)
        rows = pa.Table.from_batches([batch]).drop_columns(["unit"])
        return rows.append_column("step", steps).append_column("chunk", pa.array(chunks, pa.int64()))

    def _next(self, volume: str, target: str | None, unit: int, size_bytes: int) -> int:
        same_volumes, same_file = (volume, target) == self._last[:2], (volume, unit) == (self._last[:1] + self._last[2:])
        full = self._steps_in >= CHUNK_STEPS or self._bytes_in + size_bytes > CHUNK_BYTES
        if not same_volumes or (full and not same_file):
            self._chunk += 1
            self._steps_in, self._bytes_in = 0, 0
        self._steps_in += 1
        self._bytes_in += 0 if same_file else size_bytes
        self._last = (volume, target, unit)
        return self._chunk


def _batches(draft: Draft, text: str, **params: object) -> Iterator[pa.RecordBatch]:
    found = draft.connection.sql(text, params=params)
    assert found is not None  # noqa: S101  # a SELECT gives a relation
    yield from found.to_arrow_reader(_ROWS)


def _write(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in tables:
            writer.write_table(rows.select(schema.names).cast(schema))
