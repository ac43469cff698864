"""From listings of many recovery points to versions: one row a path and version, with the first and the last recovery point that hold it."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog import glob, hashes, names
from catalog.schema import TIME_FLAGS

_BATCH_ROWS = 65_536
_MEMORY = "128MB"  # beyond it DuckDB goes to disk
_WORDS = ("dir", "type", "extension")
# Of folders and links the newest state is kept; of a file what its content may differ by is a version.
_VERSIONS = """
SELECT
    dir, name, type, size_bytes,
    arg_max(modified_us, last) AS modified_us, arg_max(modified_ns, last) AS modified_ns,
    arg_max(changed_us, last) AS changed_us, arg_max(changed_ns, last) AS changed_ns,
    arg_max(time_flags, last) AS time_flags, arg_max(mode, last) AS mode, arg_max(uid, last) AS uid, arg_max(gid, last) AS gid,
    min(first) AS first, max(last) AS last, bool_or(newest) AS newest
FROM read_parquet($files, hive_partitioning = false) INNER JOIN trees USING (tree)
GROUP BY dir, name, type, size_bytes, CASE WHEN type = 'file' THEN modified_us END, CASE WHEN type = 'file' THEN modified_ns END
ORDER BY dir, name, last DESC, modified_us, modified_ns, size_bytes, type
"""


@dataclass(frozen=True)
class Tree:
    """Which recovery points have a tree, by their places in the order of time; `newest`: one of these is the newest of its series."""

    number: int
    first: int
    last: int
    newest: bool


class Listings:
    """Listings in files of their own until they are put together. The folder is removed when the block ends."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files = folder, list[str]()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, tree: int, batches: Iterator[pa.Table]) -> None:
        """Keep the listing of a tree. A listing that ends by an error is not kept."""
        file, writer = self._folder / f"{tree}.parquet", None
        try:
            for batch in batches:
                rows = batch.append_column("tree", pa.array(np.full(len(batch), tree, np.int32)))
                writer = writer or pq.ParquetWriter(file, rows.schema, compression="zstd", compression_level=1)
                writer.write_table(rows)
        finally:
            if writer:
                writer.close()
        if writer:
            self._files.append(str(file))

    def versions(self, trees: Sequence[Tree], points: Sequence[str], exclude: str | None) -> Iterator[tuple[dict[str, pa.Array], int]]:
        """The entries of what some trees hold, sorted by `dir, name`, in batches, each with the number of rows that are left out.

        `points` are the ids of recovery points in the order of time.
        """
        if not self._files or not trees:
            return
        ids = pa.array(points, pa.string())
        with duckdb.connect(config={"memory_limit": _MEMORY, "threads": 1, "temp_directory": str(self._folder / "spill")}) as connection:
            columns = {
                "tree": [t.number for t in trees],
                "first": [t.first for t in trees],
                "last": [t.last for t in trees],
                "newest": [t.newest for t in trees],
            }
            connection.register("trees", pa.table(columns))
            for batch in connection.sql(_VERSIONS, params={"files": self._files}).to_arrow_reader(_BATCH_ROWS):
                kept = batch if exclude is None else batch.filter(pc.invert(_left_out(batch, exclude)))
                if kept.num_rows:
                    yield _entries(kept, ids), batch.num_rows - kept.num_rows
                else:
                    yield {}, batch.num_rows


def _left_out(batch: pa.RecordBatch, exclude: str) -> pa.Array:
    return glob.excluded(exclude, pc.binary_join_element_wise(batch["dir"], batch["name"], pc.if_else(pc.equal(batch["type"], "dir"), "/", ""), ""))


def _entries(batch: pa.RecordBatch, ids: pa.Array) -> dict[str, pa.Array]:
    """The columns of `schema.ENTRIES` that a backup tells."""
    flags = batch["time_flags"].to_numpy()
    columns = {name: batch[name] for name in ("dir", "name", "type", "size_bytes", "time_flags", "mode", "uid", "gid")}
    for time in ("modified", "changed"):
        outside = pa.array(flags & TIME_FLAGS[f"{time}_range"] != 0)
        columns[f"{time}_at"] = pc.if_else(outside, None, batch[f"{time}_us"]).view(pa.timestamp("us"))
        columns[f"{time}_ns"] = pc.if_else(outside, None, batch[f"{time}_ns"])
    paths = pc.binary_join_element_wise(batch["dir"], batch["name"], "").to_pylist()
    columns["path_hash"] = pa.array([hashes.of_path(names.unescape(path)) for path in paths], pa.int64())
    columns["extension"] = pa.array(map(names.extension, batch["name"].to_pylist()), pa.string())
    columns["is_latest"] = batch["newest"]
    columns["first_recovery_point"], columns["last_recovery_point"] = ids.take(batch["first"]), ids.take(batch["last"])
    return {name: column.dictionary_encode() if name in _WORDS else column for name, column in columns.items()}
