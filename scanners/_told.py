"""From what others wrote of a volume that is not looked at to entries: kept in files, sorted, one row a path, with the folders above."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog import glob, names
from catalog.errors import UnreachableError
from catalog.schema import TIME_FLAGS
from scanners import Settings, Sink, _naming
from scanners._nodes import flags

COLUMNS = frozenset(
    {"dir", "name", "path_hash", "extension", "type", "size_bytes", "modified_at", "modified_ns", "time_flags", "digest", "attested_at", "attested_level"}
)
LISTED, ATTESTED, READ = 0, 1, 2  # verification levels
EMPTY = hashlib.sha256().digest()
_BATCH_ROWS = 32_768
_MEMORY = "128MB"  # beyond it DuckDB goes to disk
_MOST_PATH_BYTES, _MOST_FOLDERS = 4096, 256  # of one path: each folder above it is an entry
_FOLDERS_A_FILE, _FOLDERS_MORE = 4, 100_000  # more than that tells of somebody who wants to fill a disk
_MOST_PROBLEMS = 1_000  # of one file
_GREATEST_SIZE = 2**63 - 1
SKEW_US = 3_600_000_000  # between the clocks of who wrote and of who scans
_WORDS = ("dir", "type", "extension")
_ROWS = pa.schema(
    [
        ("dir", pa.string()), ("name", pa.string()), ("type", pa.string()), ("size_bytes", pa.int64()), ("modified_us", pa.int64()),
        ("modified_ns", pa.int32()), ("time_flags", pa.int32()), ("digest", pa.binary()), ("told_us", pa.int64()), ("level", pa.int32()),
        ("claim", pa.int8()), ("stands", pa.bool_()),
        ("why", pa.string()), ("others", pa.string()), ("order_us", pa.int64()), ("row", pa.int64()),
    ]
)  # fmt: skip
_SORTED = "SELECT * FROM read_parquet($files, hive_partitioning = false) ORDER BY dir, name, order_us, row"
_FOLDERS = "SELECT dir FROM read_parquet($files, hive_partitioning = false) ORDER BY dir"


class Claim(IntEnum):
    """What one line says of a file."""

    TOLD = 0  # it was there
    VERIFIED = 1  # and what was read of it was what had been read before
    FAILED = 2  # it was there, and not what it had been, or nobody can say what it was
    GONE = 3  # it is there no more


class ChangedError(Exception):
    """What tells of a volume was changed while it was read, or cannot be what it seems."""


class RefusedPathError(ValueError):
    """A path that no file of the volume can have."""


class Claims:
    """What is told of a volume, in files until it is put together. The folder is removed when the block ends."""

    def __init__(self, settings: Settings, sink: Sink) -> None:
        self.settings, self.sink = settings, sink
        self._folder = sink.room() / "told"
        self._spools: list[_Spool] = []
        self._told_us: list[int] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        self._shared = self.spool()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for spool in self._spools:
            spool.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def source(self, called: str, below: bytes = b"") -> "Iterator[Source]":
        """Keep what one file says, which is `called` so in problems, of the folder `below` the root; of a file that ends by an error nothing is kept."""
        source = Source(self, called, below)
        try:
            yield source
        except BaseException:
            source.drop()
            raise
        source.keep(self._shared)

    def of(self, told_us: int) -> None:
        """Take the time that a file as a whole is of: the volume is known no better than by the oldest."""
        self._told_us = [min(told_us, self.settings.started_us, *self._told_us)]

    @property
    def latest_us(self) -> int:
        """The latest time that can be right: others are later than now."""
        return self.settings.started_us + SKEW_US

    def spool(self) -> "_Spool":
        """A new file for rows, that is read with the others if it is not dropped."""
        self._spools.append(_Spool(self._folder / f"{len(self._spools)}.parquet", self.settings.started_us))
        return self._spools[-1]

    def write(self) -> None:
        """Give the sink all entries, and the problems with those that are not what they were. Raises UnreachableError."""
        if self._told_us:
            self.sink.told(self._told_us[0])
        for spool in self._spools:
            spool.close()
        files = [str(spool.file) for spool in self._spools if spool.file.is_file()]
        if not files:
            return
        with duckdb.connect(config={"memory_limit": _MEMORY, "threads": 1, "temp_directory": str(self._folder / "spill")}) as connection:
            files.append(self._write_folders(connection, files))
            for rows in _folded(connection.sql(_SORTED, params={"files": files}).to_arrow_reader(_BATCH_ROWS)):
                self._write_rows(rows.filter(pc.and_(rows["stands"], pc.not_equal(rows["claim"], int(Claim.GONE)))))
        pa.default_memory_pool().release_unused()  # what comes next needs it

    def _write_rows(self, rows: pa.Table) -> None:
        found = rows if self.settings.exclude is None or not len(rows) else rows.filter(pc.invert(_left_out(rows, self.settings.exclude)))
        self.sink.exclude(len(rows) - len(found))
        if len(found):
            self.sink.write(_entries(found))
            for row in found.filter(pc.equal(found["claim"], int(Claim.FAILED))).select(["dir", "name", "why"]).to_pylist():
                self.sink.problem(row["dir"] + row["name"], "read", row["why"], None, hides_below=False)

    def _write_folders(self, connection: duckdb.DuckDBPyConnection, files: list[str]) -> str:
        """A file of the folders above all files, each once. Raises UnreachableError."""
        file, before, written, rows = self._folder / "folders.parquet", "", 0, 0
        with pq.ParquetWriter(file, _ROWS, compression="zstd", compression_level=1) as writer:
            for batch in connection.sql(_FOLDERS, params={"files": files}).to_arrow_reader(_BATCH_ROWS):
                rows += batch.num_rows
                places: list[tuple[str, str]] = []
                for directory in batch["dir"].dictionary_encode().dictionary.to_pylist():
                    if directory != before:
                        places += _new_folders(before, directory)
                        before = directory
                written += len(places)
                if written > rows * _FOLDERS_A_FILE + _FOLDERS_MORE:
                    raise UnreachableError(f"volume {self.settings.volume}: more than {_FOLDERS_A_FILE} folders for each file: nobody's files lie so")
                if places:
                    writer.write_table(_of_folders(places))
        return str(file)


class Source:
    """One file that tells of a volume, while it is read."""

    def __init__(self, claims: Claims, called: str, below: bytes) -> None:
        self.called = called
        self._claims, self._below, self._started_us = claims, below, claims.settings.started_us
        self._rows: list[_Row] = []
        self._own: _Spool | None = None
        self._problems = 0

    def add(
        self,
        path: bytes,
        *,
        told_us: int,
        level: int,
        order_us: int | None = None,
        kind: str = "file",
        size_bytes: int | None = None,
        modified_us: int | None = None,
        modified_ns: int = 0,
        time_flags: int = 0,
        digest: bytes | None = None,
        claim: Claim = Claim.TOLD,
        stands: bool = True,
        why: str | None = None,
        others: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Take what is said of one path, relative to the folder that the file is of. What does not stand counts only if a later line says it again.

        `others` are its digests by other algorithms: no entry has them, they can but contradict each other.
        Of several lines that of the greatest `order_us` (absent: `told_us`) is the last. Raises RefusedPathError, also for a size that no file has.
        """
        directory, name = place(self._below + path)
        if digest == EMPTY:
            size_bytes = size_bytes or 0
        if size_bytes is not None and not 0 <= size_bytes <= _GREATEST_SIZE:
            raise RefusedPathError(f"a size of {size_bytes} bytes is none")
        told_us = min(told_us, self._started_us)
        order_us = told_us if order_us is None else order_us
        told = json.dumps(dict(others)) if others else None
        self._rows.append(
            (directory, name, kind, size_bytes, modified_us, modified_ns, time_flags, digest, told_us, level, int(claim), stands, why, told, order_us)
        )
        if len(self._rows) >= _BATCH_ROWS:
            self._own = self._own or self._claims.spool()
            self._own.add(self._rows)
            self._rows = []

    def refuse(self, line: int | str, why: str, path: bytes | None = None) -> None:
        """Tell of a line that says nothing that can be kept; of very many only that there are more."""
        self._problems += 1
        if self._problems <= _MOST_PROBLEMS:
            where = names.escape((self._below if path is None else self._below + path).strip(b"/"))
            more = "; there are more such lines, which are not told of" if self._problems == _MOST_PROBLEMS else ""
            told = f"line {line}" if isinstance(line, int) else line
            self._claims.sink.problem(where, "name", f"{self.called}, {told}: {why}{more}", None, hides_below=False)

    def keep(self, shared: "_Spool") -> None:
        """Keep what was said, with that of others."""
        shared.add(self._rows)

    def drop(self) -> None:
        """Keep nothing of it."""
        if self._own:
            self._own.close()
            self._own.file.unlink(missing_ok=True)


_Row = tuple[str, str, str, int | None, int | None, int, int, bytes | None, int, int, int, bool, str | None, str | None, int]


class _Spool:
    """A file of rows."""

    def __init__(self, file: Path, started_us: int) -> None:
        self.file, self._started_us = file, started_us
        self._rows: list[_Row] = []
        self._writer: pq.ParquetWriter | None = None
        self._count = 0

    def add(self, rows: list[_Row]) -> None:
        """Take rows."""
        self._rows += rows
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left; a file without rows is not made."""
        if self._rows:
            self._flush()
        if self._writer:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        columns = dict(zip(_ROWS.names[:-1], map(list, zip(*self._rows, strict=True)), strict=True))
        arrays = {field.name: pa.array(columns[field.name], field.type) for field in _ROWS if field.name in columns}
        arrays["time_flags"] = pa.array(arrays["time_flags"].to_numpy() | flags("modified", arrays["modified_us"], arrays["modified_ns"], self._started_us))
        arrays["row"] = pa.array(np.arange(self._count, self._count + len(self._rows)))
        self._count += len(self._rows)
        self._writer = self._writer or pq.ParquetWriter(self.file, _ROWS, compression="zstd", compression_level=1)
        self._writer.write_table(pa.table(arrays, _ROWS))
        self._rows = []


def place(path: bytes) -> tuple[str, str]:
    """The escaped `dir` and `name` of a path as somebody wrote it; a leading slash and `.` lead nowhere. Raises RefusedPathError."""
    if len(path) > _MOST_PATH_BYTES:
        raise RefusedPathError(f"a path of more than {_MOST_PATH_BYTES} bytes")
    parts = path.split(b"/")
    if b"" in parts or b"." in parts or b".." in parts:
        if parts[-1] in (b"", b"."):
            raise RefusedPathError("it names no file")
        if b".." in parts:
            raise RefusedPathError("'..' leads out of what it is of")
        parts = [part for part in parts if part not in (b"", b".")]
    if b"\0" in path:
        raise RefusedPathError("a name with a NUL, which no file has")
    if len(parts) > _MOST_FOLDERS:
        raise RefusedPathError(f"a path of more than {_MOST_FOLDERS} folders")
    directory = names.escape(b"/".join(parts[:-1])) + "/" if len(parts) > 1 else ""
    return directory, names.escape(parts[-1])


def _new_folders(before: str, directory: str) -> Iterator[tuple[str, str]]:
    """The folders at and above a directory that are not at or above the one before it, in the order of their paths."""
    at = directory.find("/")
    while at >= 0:
        if not before.startswith(directory[: at + 1]):
            above, _, name = directory[:at].rpartition("/")
            yield f"{above}/" if above else "", name
        at = directory.find("/", at + 1)


def _of_folders(places: list[tuple[str, str]]) -> pa.Table:
    dirs, last = zip(*places, strict=True)
    count = len(places)
    known = {"dir": pa.array(dirs), "name": pa.array(last), "type": pa.array(["dir"] * count), "size_bytes": pa.array([0] * count, pa.int64())}
    known |= {
        "time_flags": pa.array([0] * count, pa.int32()),
        "stands": pa.array([True] * count),
        "order_us": pa.array([0] * count, pa.int64()),
        "row": pa.array([0] * count, pa.int64()),
    }
    known |= {"claim": pa.array([int(Claim.TOLD)] * count, pa.int8())}
    return pa.table({field.name: known.get(field.name, pa.nulls(count, field.type)) for field in _ROWS}, _ROWS)


def _folded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """One row a path of sorted rows."""
    last: dict[str, Any] | None = None
    for batch in filter(len, batches):
        rows = pa.Table.from_batches([batch]).cast(_ROWS)
        if _has_repeated(rows):
            found = []
            for row in rows.to_pylist():
                if last is not None and (last["dir"], last["name"]) == (row["dir"], row["name"]):
                    last = fold(last, row)
                else:
                    found += [last] if last else []
                    last = row
            yield pa.Table.from_pylist(found, _ROWS)
        else:
            first = rows.slice(0, 1).to_pylist()[0]
            if last is not None and (last["dir"], last["name"]) == (first["dir"], first["name"]):
                first, last = fold(last, first), None
            head = pa.Table.from_pylist([*([last] if last else []), *([first] if len(rows) > 1 else [])], _ROWS)
            yield pa.concat_tables([head, rows.slice(1, max(0, len(rows) - 2))])
            last = rows.slice(len(rows) - 1).to_pylist()[0] if len(rows) > 1 else first
    if last is not None:
        yield pa.Table.from_pylist([last], _ROWS)


def _has_repeated(rows: pa.Table) -> bool:
    same = pc.and_(*(pc.equal(rows[name].slice(1), rows[name].slice(0, len(rows) - 1)) for name in ("dir", "name")))
    return bool(pc.any(same, min_count=0).as_py())


def fold(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What two lines say of one path, of which the second was written later, or stands below the first."""
    if "dir" in (before["type"], after["type"]):
        return before if after["type"] == "dir" else after
    found = dict(after)
    found["stands"] = before["stands"] or after["stands"]
    if before["claim"] == Claim.FAILED and after["claim"] == Claim.TOLD:
        found |= {"claim": before["claim"], "why": before["why"]}
    if before["claim"] == Claim.GONE or after["claim"] in (Claim.FAILED, Claim.GONE):
        return found
    earlier, later = (json.loads(row["others"] or "{}") for row in (before, after))
    differ = any(None not in (before[key], after[key]) and before[key] != after[key] for key in ("size_bytes", "modified_us", "digest"))
    differ |= any(later.get(algorithm, digits) != digits for algorithm, digits in earlier.items())
    differ |= after["size_bytes"] == 0 and before["digest"] not in (None, EMPTY)
    if differ and before["told_us"] == after["told_us"]:
        return found | {"claim": int(Claim.FAILED), "why": "what is told of it at one time contradicts itself: nobody can say what it was"}
    if not differ:  # what the earlier line says holds on; its digest is as old as that line
        found["others"] = json.dumps(earlier | later) if earlier or later else None
        if after["size_bytes"] is None:
            found["size_bytes"] = before["size_bytes"]
        if after["modified_us"] is None:
            found |= {key: before[key] for key in ("modified_us", "modified_ns", "time_flags")}
        if after["digest"] is None and before["digest"] is not None:
            found |= {key: before[key] for key in ("digest", "told_us", "level")}
    return found


def _left_out(rows: pa.Table, exclude: str) -> pa.Array:
    return glob.excluded(
        exclude, pc.binary_join_element_wise(rows["dir"], rows["name"], pc.if_else(pc.equal(rows["type"], "dir"), "/", ""), "").combine_chunks()
    )


def _entries(rows: pa.Table) -> dict[str, pa.Array]:
    """The columns of `schema.ENTRIES` that are told."""
    rows = rows.combine_chunks()
    given = {name: rows[name].chunk(0) if rows[name].num_chunks == 1 else rows[name].combine_chunks() for name in rows.column_names}
    outside = pa.array(given["time_flags"].to_numpy() & TIME_FLAGS["modified_range"] != 0)
    columns = {name: given[name] for name in ("dir", "name", "type", "size_bytes", "time_flags", "digest")}
    columns["modified_at"] = pc.if_else(outside, None, given["modified_us"]).view(pa.timestamp("us"))
    columns["modified_ns"] = pc.if_else(pc.or_(outside, given["modified_us"].is_null()), None, given["modified_ns"])
    columns["attested_at"] = given["told_us"].view(pa.timestamp("us"))
    columns["attested_level"] = given["level"]
    columns["path_hash"] = _naming.path_hashes(given["dir"], given["name"])
    columns["extension"] = _naming.extensions(given["name"])
    return {name: column.dictionary_encode() if name in _WORDS else column for name, column in columns.items()}
