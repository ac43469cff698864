"""From listings of many recovery points to versions: one row a path and version, with the first and the last recovery point that hold it."""

import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog import glob
from catalog.schema import TIME_FLAGS
from scanners import _naming

_BATCH_ROWS = 32_768
_MEMORY = "128MB"  # beyond it DuckDB goes to disk
LACKING = "not all that it is made of is stored in the repository with its exact size: it cannot be restored"
# Read once, soon: what takes longer to make small than to write is not made small.
_STORED = {"compression": "lz4", "use_dictionary": ["dir", "type", "mode", "uid", "gid", "tree"], "write_statistics": False}
_WORDS = ("dir", "type", "extension", "restore_state", "fs_id")
# A sort spills what does not fit in memory, however much it is; groups are then found between neighbours.
_SORTED = """
SELECT * EXCLUDE (tree)
FROM read_parquet($files, hive_partitioning = false) INNER JOIN trees USING (tree)
ORDER BY
    dir, name, type, size_bytes, CASE WHEN type = 'file' THEN modified_us END NULLS FIRST, CASE WHEN type = 'file' THEN modified_ns END NULLS FIRST,
    digest NULLS FIRST, content NULLS FIRST, last, first
"""
_LINKED = """
SELECT links.* EXCLUDE (source, size_bytes), files.size_bytes
FROM read_parquet($links, hive_partitioning = false) AS links
LEFT JOIN (
    SELECT dir || name AS path, max(size_bytes) AS size_bytes
    FROM read_parquet($files, hive_partitioning = false)
    WHERE type = 'file' AND size_bytes IS NOT NULL AND path IN (SELECT source FROM read_parquet($links, hive_partitioning = false))
    GROUP BY ALL
) AS files ON links.source = files.path
"""
# That two versions of a file differ by, `content` being a number of its pieces; of folders and links the newest state is kept.
_OF_VERSIONS = ("size_bytes", "modified_us", "modified_ns", "digest", "content")


@dataclass(frozen=True)
class Tree:
    """Which recovery points have a tree, by their places in the order of time; `newest`: one of these is the newest of its series."""

    number: int
    first: int
    last: int
    newest: bool


def lacking(columns: Mapping[str, pa.Array]) -> list[tuple[str, int | None]]:
    """The paths of files that can not be had whole, with the numbers of their versions, each once."""
    lacks = pc.and_(pc.equal(columns["type"], "file"), columns["restore_state"].is_null())
    paths = pc.binary_join_element_wise(columns["dir"].cast(pa.string()), columns["name"], "").filter(lacks)
    return list(dict.fromkeys(zip(paths.to_pylist(), columns["inode"].filter(lacks).to_pylist(), strict=True)))


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
        self.take(batch.append_column("tree", pa.array(np.full(len(batch), tree, np.int32))) for batch in batches)

    def take(self, batches: Iterator[pa.Table]) -> None:
        """Keep the listings of trees; the column `tree` says which row is of which. Listings that end by an error are not kept."""
        file, writer = self._folder / f"{len(self._files)}-{secrets.token_hex(4)}.parquet", None
        try:
            for rows in batches:
                writer = writer or pq.ParquetWriter(file, rows.schema, **_STORED)
                writer.write_table(rows)
        finally:
            if writer:
                writer.close()
        if writer:
            self._files.append(str(file))

    def link(self, tree: int, links: Iterator[pa.Table], first: int) -> list[str]:
        """Keep hard links: rows with a column `source`, which is the path of the file whose size they have, in a listing kept as number `first` or later.

        Gives the paths of those whose file is not there.
        """
        kept = len(self._files)
        self.add(tree, links)
        if len(self._files) == kept:
            return []
        with self._connected() as connection:
            file = self._files.pop()
            found = connection.sql(_LINKED, params={"links": file, "files": self._files[first:] or [file]}).to_arrow_reader(_BATCH_ROWS)
            lost: list[str] = []
            self.take(_told(pa.Table.from_batches([batch]), lost) for batch in found)
        return lost

    def drop(self, first: int) -> None:
        """Keep no listing from number `first` on."""
        del self._files[first:]

    @property
    def count(self) -> int:
        """The number of the next listing."""
        return len(self._files)

    def _connected(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(config={"memory_limit": _MEMORY, "threads": 1, "temp_directory": str(self._folder / "spill")})

    def versions(
        self, trees: Sequence[Tree], points: Sequence[str], exclude: str | None, fs_id: str | None = None
    ) -> Iterator[tuple[dict[str, pa.Array], int]]:
        """The entries of what some trees hold, sorted by `dir, name`, in batches, each with the number of rows that are left out.

        `points` are the ids of recovery points in the order of time, with an `fs_id` the numbers of contents are inodes there: they can be read.
        """
        if not self._files or not trees:
            return
        ids = pa.array(points, pa.string())
        with self._connected() as connection:
            columns = {
                "tree": [t.number for t in trees],
                "first": [t.first for t in trees],
                "last": [t.last for t in trees],
                "newest": [t.newest for t in trees],
            }
            connection.register("trees", pa.table(columns))
            for batch in _merged(connection.sql(_SORTED, params={"files": self._files}).to_arrow_reader(_BATCH_ROWS)):
                kept = batch if exclude is None else batch.filter(pc.invert(_left_out(batch, exclude)))
                if kept.num_rows:
                    yield _entries(kept, ids, fs_id), batch.num_rows - kept.num_rows
                else:
                    yield {}, batch.num_rows


def _told(links: pa.Table, lost: list[str]) -> pa.Table:
    """The links whose size is known; the paths of the others are added to `lost`."""
    unknown = links["size_bytes"].is_null()
    if pc.any(unknown).as_py():
        lost += pc.binary_join_element_wise(links["dir"], links["name"], "").filter(unknown).to_pylist()
        links = links.filter(pc.invert(unknown))
    return links


def _merged(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One row a version of sorted rows: its newest, with the first recovery point of all."""
    left: pa.RecordBatch | None = None
    for batch in batches:
        rows = batch if left is None else pa.Table.from_batches([left, batch]).combine_chunks().to_batches()[0]
        starts = _starts(rows)
        if len(starts) > 1:
            yield _newest(rows.slice(0, starts[-1]), starts[:-1])
        left = rows.slice(starts[-1])
    if left is not None and left.num_rows:
        yield _newest(left, np.zeros(1, np.int64))


def _starts(rows: pa.RecordBatch) -> "np.ndarray[Any, Any]":
    """Where each version begins."""
    if rows.num_rows < 2:
        return np.zeros(1, np.int64)

    def differ(name: str) -> "np.ndarray[Any, Any]":
        before, after = rows[name].slice(0, rows.num_rows - 1), rows[name].slice(1)
        same = pc.or_(pc.fill_null(pc.equal(before, after), False), pc.and_(before.is_null(), after.is_null()))
        return pc.invert(same).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # an array

    other_path = differ("name") | differ("dir") | differ("type")
    if other_path.all():
        return np.arange(rows.num_rows)
    is_file = pc.equal(rows["type"].slice(1), "file").to_numpy(zero_copy_only=False)
    other_version = np.logical_or.reduce([differ(name) for name in _OF_VERSIONS]) & is_file
    return np.concatenate([[0], np.flatnonzero(other_path | other_version) + 1])


def _newest(rows: pa.RecordBatch, starts: "np.ndarray[Any, Any]") -> pa.RecordBatch:
    """The last row of each group, with what holds for all of it."""
    if len(starts) == rows.num_rows:
        return rows
    ends = np.append(starts[1:], rows.num_rows) - 1
    found = rows.take(pa.array(ends))
    for name, of_all in (("first", np.minimum), ("newest", np.logical_or)):
        values = of_all.reduceat(rows[name].to_numpy(zero_copy_only=False), starts)
        found = found.set_column(found.schema.get_field_index(name), name, pa.array(values))
    return found


def _left_out(batch: pa.RecordBatch, exclude: str) -> pa.Array:
    return glob.excluded(exclude, pc.binary_join_element_wise(batch["dir"], batch["name"], pc.if_else(pc.equal(batch["type"], "dir"), "/", ""), ""))


def _entries(batch: pa.RecordBatch, ids: pa.Array, fs_id: str | None) -> dict[str, pa.Array]:
    """The columns of `schema.ENTRIES` that a backup tells."""
    flags = batch["time_flags"].to_numpy()
    columns = {name: batch[name] for name in ("dir", "name", "type", "size_bytes", "time_flags", "mode", "uid", "gid")}
    for time in ("modified", "changed"):
        outside = pa.array(flags & TIME_FLAGS[f"{time}_range"] != 0)
        columns[f"{time}_at"] = pc.if_else(outside, None, batch[f"{time}_us"]).view(pa.timestamp("us"))
        columns[f"{time}_ns"] = pc.if_else(outside, None, batch[f"{time}_ns"])
    columns["path_hash"] = _naming.path_hashes(batch["dir"], batch["name"])
    columns["extension"] = _naming.extensions(batch["name"])
    columns["digest"] = batch["digest"]
    if fs_id is not None:
        columns["inode"] = batch["content"]
        columns["fs_id"] = pc.if_else(batch["content"].is_valid(), pa.scalar(fs_id), pa.scalar(None, pa.string()))
    if "attested_us" in batch.schema.names:  # by the word of somebody, for each version the last
        columns |= {"attested_at": batch["attested_us"].view(pa.timestamp("us")), "attested_level": batch["attested_level"]}
    columns["restore_state"] = pc.if_else(batch["whole"], "whole", pa.scalar(None, pa.string()))
    columns["is_latest"] = batch["newest"]
    columns["first_recovery_point"], columns["last_recovery_point"] = ids.take(batch["first"]), ids.take(batch["last"])
    return {name: column.dictionary_encode() if name in _WORDS else column for name, column in columns.items()}
