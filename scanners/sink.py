"""Where a shard's rows go: Parquet files of the catalog that no log names yet, and a list of the directories that are left."""

import contextlib
import itertools
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog import table
from catalog.schema import ENTRIES, PROBLEMS
from scanners import Segment, ShardRecord

_SEGMENT_PLACES = 2_000
_SEGMENTS = 16  # at least, where there are as many directories
_PROBLEM_ROWS = 10_000  # kept in memory


@dataclass(frozen=True)
class Target:
    """Which scan's files are written, and how much at a time."""

    root: Path  # of the catalog
    scan_id: str
    volume: str

    @property
    def journal(self) -> Path:
        """The folder of what is known of a scan that is not published."""
        return self.root / ".scans" / self.scan_id

    @property
    def partition(self) -> dict[str, str]:
        """The partition values of the scan's files."""
        return {"scan_id": self.scan_id, "volume": self.volume}


class ParquetSink:
    """One shard's files: made when the first row comes, on disk when `finish` gives the record."""

    def __init__(self, target: Target, number: int, budget_entries: int, budget_seconds: float, *, alone: bool = True) -> None:
        """`number` is the shard's; it makes entry ids unique. Not `alone`: another process may run the same shard at the same time, and one of both counts."""
        self._target, self._number = target, number
        self._budget_entries, self._until = budget_entries, time.monotonic() + budget_seconds
        self._leavings = f"left-{number}" if alone else f"left-{number}.{uuid.uuid4().hex}"
        self._files: dict[str, tuple[str, Any]] = {}
        self._problems: list[dict[str, Any]] = []
        self._left: list[Segment] = []
        self._told_us: int | None = None
        self._rows = self._file_rows = self._bytes = self._linked = self._problem_rows = self._hiding = self._excluded = self._point_rows = 0

    def spent(self, unwritten: int) -> bool:
        """Whether the budget of entries or seconds is used up."""
        return self._rows + unwritten >= self._budget_entries or time.monotonic() > self._until

    def write(self, columns: Mapping[str, pa.Array]) -> None:
        """Take rows: one row group each time."""
        rows = len(columns["name"])
        first = (self._number << 32) + self._rows
        known = {**columns, "entry_id": pa.array(np.arange(first, first + rows))}
        arrays = [_typed(known[f.name], f.type) if f.name in known else pa.nulls(rows, f.type) for f in ENTRIES]
        self._writer("entries").write_batch(pa.RecordBatch.from_arrays(arrays, schema=ENTRIES))
        self._count(columns)
        self._rows += rows

    def problem(self, path: str, stage: str, error: str, errno: int | None, hides_below: bool, inode: int | None = None) -> None:
        """Take a problem."""
        seen_at = datetime.now(UTC).replace(tzinfo=None)
        self._problems.append({"path": path, "stage": stage, "error": error, "errno": errno, "hides_below": hides_below, "seen_at": seen_at, "inode": inode})
        self._problem_rows += 1
        self._hiding += hides_below
        if len(self._problems) >= _PROBLEM_ROWS:
            self._write_problems()

    def problems(self, rows: pa.Table) -> None:
        """Take problems that are known already: rows of `schema.PROBLEMS`."""
        if len(rows):
            self._writer("problems").write_table(rows)
            self._problem_rows += len(rows)
            self._hiding += pc.sum(rows["hides_below"]).as_py()

    def recovery_points(self, rows: pa.Table) -> None:
        """Take recovery points."""
        self._writer("recovery_points").write_table(rows)
        self._point_rows += len(rows)

    def told(self, at_us: int) -> None:
        """Take the time that what others tell is of."""
        self._told_us = at_us

    def room(self) -> Path:
        """A folder for what does not fit in memory: it is removed with the scan's journal."""
        return self._target.journal

    def exclude(self, count: int) -> None:
        """Count entries that were left out on purpose."""
        self._excluded += count

    def leave(self, places: Iterable[str]) -> None:
        """Write directories that are not yet visited into the journal's folder, in groups that can be given to several shards."""
        waiting = list(places)
        if not waiting:
            return
        size = min(_SEGMENT_PLACES, max(1, len(waiting) // _SEGMENTS))
        file = self._target.journal / self._leavings
        with file.open("ab") as out:
            for first in range(0, len(waiting), size):
                group = waiting[first : first + size]
                self._left.append(Segment(file.name, out.tell(), len(group)))
                out.write("".join(f"{place}\n" for place in group).encode())
            out.flush()
            os.fsync(out.fileno())

    def finish(self) -> ShardRecord:
        """Close the files and give the record. They are on disk before it if there is more to come; else the commit sees to that."""
        self._write_problems()
        sizes = {name: self._close(name) for name in self._files}
        return ShardRecord(
            number=self._number,
            entries=self._files["entries"][0] if "entries" in self._files else None,
            entries_size_bytes=sizes.get("entries", 0),
            rows=self._rows,
            files=self._file_rows,
            bytes=self._bytes,
            linked=self._linked,
            problems=self._files["problems"][0] if "problems" in self._files else None,
            problems_size_bytes=sizes.get("problems", 0),
            problem_rows=self._problem_rows,
            hiding=self._hiding,
            excluded=self._excluded,
            recovery_points=self._files["recovery_points"][0] if "recovery_points" in self._files else None,
            recovery_points_size_bytes=sizes.get("recovery_points", 0),
            recovery_point_rows=self._point_rows,
            told_us=self._told_us,
            left=tuple(self._left),
        )

    def _writer(self, name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
        if name not in self._files:
            path = table.new_path(name, self._target.partition)
            self._files[name] = path, table.writer(self._target.root, name, path)
        return self._files[name][1]

    def _close(self, name: str) -> int:
        path, writer = self._files[name]
        writer.close()
        descriptor = os.open(self._target.root / name / path, os.O_RDONLY)
        with contextlib.closing(os.fdopen(descriptor)):
            if self._left or self._number:
                os.fsync(descriptor)
            return os.fstat(descriptor).st_size

    def _write_problems(self) -> None:
        if self._problems:
            self._writer("problems").write_table(pa.Table.from_pylist(self._problems, PROBLEMS))
            self._problems = []

    def _count(self, columns: Mapping[str, pa.Array]) -> None:
        """Count files and their bytes; those with several links are counted apart, for the bytes belong to the last of them."""
        types = columns["type"] if pa.types.is_dictionary(columns["type"].type) else columns["type"].dictionary_encode()
        names = types.dictionary.to_pylist()
        is_file = np.isin(types.indices.to_numpy(), [place for place, name in enumerate(names) if name in ("file", "object")])
        alone = is_file
        if "link_count" in columns:
            alone = is_file & (columns["link_count"].to_numpy(zero_copy_only=False) <= 1)
        self._file_rows += int(is_file.sum())
        self._linked += int(is_file.sum()) - int(alone.sum())
        self._bytes += sum(columns["size_bytes"].fill_null(0).to_numpy(zero_copy_only=False)[alone].tolist())


def _typed(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    return array if array.type == wanted else array.cast(wanted)


def read_places(folder: Path, segments: Iterable[Segment]) -> list[str]:
    """The directories of some segments."""
    found: list[str] = []
    for segment in segments:
        with (folder / segment.file).open("rb") as lines:
            lines.seek(segment.offset)
            found += [line.rstrip(b"\n").decode() for line in itertools.islice(lines, segment.count)]
    return found
