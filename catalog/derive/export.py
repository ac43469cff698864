"""Writes what was derived as new files of the catalog's tables, and commits each table while the next one is made."""

import datetime
import itertools
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from catalog import table
from catalog.columns import INT
from catalog.derive import memory
from catalog.derive.expressions import parquet, quoted, sql_type
from catalog.derived import STORED_FILES
from catalog.schema import TABLES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY_A_FILE_BYTES = 600  # that is joined to be written
_GREATEST = 2**63 - 1
_JOINED = ("verdicts", "files")  # by numbers of one derivation: where one is missing both are made
# Dictionaries only for words: of sizes, times and names they are larger than what they replace, and take a quarter more time.
_PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000, WRITE_BLOOM_FILTER false"


class Export:
    """The derived tables of one snapshot on their way into the catalog. A context, at whose good end all of them are committed."""

    def __init__(self, connection: "DuckDBPyConnection", root: Path, snapshot_id: str, sql: Callable[[str], str]) -> None:
        """`sql` gives the text of a derived table's SELECT by its name."""
        self._connection, self._root, self._sql = connection, root, sql
        self._partition = {"snapshot_id": snapshot_id}
        self._app_id = f"{snapshot_id}-{secrets.token_hex(2)}"
        self._committing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._commits: list[Future[int]] = []
        self._joined_are_stored = all(table.named(root, name, snapshot_id=[snapshot_id]) for name in _JOINED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._committing.shutdown(cancel_futures=kind is not None)
        if kind is None:
            for commit in self._commits:
                commit.result()

    def write(self, name: str) -> list[str]:
        """Write a derived table; gives its files. One that an older snapshot still has stays as it is."""
        stored = table.files(self._root, name, snapshot_id=self._partition.values())
        if stored and (name not in _JOINED or self._joined_are_stored):
            return stored
        typed = _typed(name)
        written = []
        for share in self._shares() if name == "files" else ["TRUE"]:
            path = table.new_path(name, self._partition)
            file = self._root / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            query = f"SELECT {typed} FROM ({self._sql(name)}) AS derived WHERE {share}"
            rows = memory.execute(self._connection, f"COPY ({query}) TO {quoted(str(file))} ({_PARQUET})")[0][0]
            written.append(table.NewFile(path, file.stat().st_size, rows, self._partition))
        self._commits.append(self._committing.submit(self._commit, self._commits[-1:], name, written, stored))
        return [str(self._root / name / file.path) for file in written]

    def _commit(self, before: list[Future[int]], name: str, written: list[table.NewFile], stored: list[str]) -> int:
        """Commit a table, if the one before it was: `files` never stand without their `verdicts`."""
        for commit in before:
            commit.result()
        return table.commit(self._root, name, written, self._app_id, stored)

    def _shares(self) -> list[str]:
        """Conditions that part all files by their entry id into shares whose joins fit into memory: joins over disk take three times as long."""
        [(files,)] = self._connection.execute("SELECT count(*) FROM items").fetchall()
        count = -(-files * _MEMORY_A_FILE_BYTES // memory.limit_bytes(self._connection))
        if count <= 1:
            return ["TRUE"]
        places = [n / count for n in range(1, count)]
        [(edges,)] = self._connection.execute(f"SELECT approx_quantile(entry_id, {places}) FROM items").fetchall()
        return [f"entry_id > {low} AND entry_id <= {high}" for low, high in itertools.pairwise([-1, *sorted(set(edges)), _GREATEST])]


def _typed(name: str) -> str:
    """The columns of a derived table in their stored types. Sums beyond 8 EiB become the greatest number there is; the scans have problems that say so."""
    return ", ".join(f'CAST({_least(field)} AS {sql_type(field.type)}) AS "{field.name}"' for field in TABLES[name])


def _least(column: pa.Field) -> str:
    """A number as it can be stored; `least` by itself takes a null for the greater one."""
    return f'CASE WHEN "{column.name}" IS NOT NULL THEN least("{column.name}", {_GREATEST}) END' if column.type == INT else f'"{column.name}"'


def tables(connection: "DuckDBPyConnection", root: Path, snapshot_id: str, as_of: datetime.datetime, sql: Callable[[str], str]) -> None:
    """Write and commit every derived table of a snapshot. Writes to the catalog only; drops what it no longer needs."""
    with Export(connection, root, snapshot_id, sql) as exported:
        for name in ("copies", "duplicate_groups", "verdicts"):
            exported.write(name)
        files = exported.write("files")
        connection.execute(f"CREATE OR REPLACE TEMP VIEW stored_files AS SELECT * FROM {parquet(files, STORED_FILES)}")
        connection.execute("DROP VIEW outcomes; DROP TABLE evidence; DROP TABLE asset_outcomes")
        create_strays(connection, sql)
        exported.write("orphans")
        connection.execute("DROP VIEW assets; DROP TABLE items; DROP TABLE strays")
        _sum(connection, as_of, sql)
        for name in ("rollup", "history"):
            exported.write(name)


def create_strays(connection: "DuckDBPyConnection", sql: Callable[[str], str]) -> None:
    """Make what `orphans` is written from. Whether a file is a copy is read from the stored files: nothing has to be joined for it again."""
    for step in ("strays", "stray_dirs", "stray_homes", "stray_sizes"):
        memory.execute(connection, f"CREATE OR REPLACE TEMP TABLE {step} AS {sql(step)}")


def _sum(connection: "DuckDBPyConnection", as_of: datetime.datetime, sql: Callable[[str], str]) -> None:
    """Make the sums that `rollup` and `history` are written from."""
    connection.execute("CREATE OR REPLACE TEMP VIEW stored_verdicts AS SELECT * FROM verdicts")
    connection.execute("CREATE OR REPLACE TEMP VIEW volumes AS SELECT volume, role, clock FROM volume_facts")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW files AS {sql('file_rows')}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE this_snapshot AS SELECT TIMESTAMP '{as_of.isoformat(' ')}' AS as_of")
    connection.execute("CREATE OR REPLACE TEMP TABLE groupings AS SELECT unnest(['owner', 'extension', 'media_type', 'age']) AS by")
    for step in ("all_dirs", "dir_sums", "folders", "folder_sums", "file_sums", "key_sums"):
        memory.execute(connection, f"CREATE OR REPLACE TEMP TABLE {step} AS {sql(step)}")
