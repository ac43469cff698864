"""How much memory a derivation takes: little by default, what the configuration says, and the same files in any."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from catalog import config, connect, derive, table
from catalog.derive import export, memory
from catalog.errors import CatalogError
from tests.catalog.estates import NOON, write_scan

MEBIBYTE = 1024**2


def test_without_a_limit_a_derivation_takes_little_memory_and_more_for_many_entries(tmp_path: Path) -> None:
    assert memory.limit_bytes(derive._open(tmp_path, config.parse({}))) == 256 * MEBIBYTE
    assert memory.limit_bytes(derive._open(tmp_path, config.parse({}), 8 * MEBIBYTE)) == 512 * MEBIBYTE


def test_a_limit_of_the_configuration_holds_as_it_is(tmp_path: Path) -> None:
    limited = config.parse({"catalog": {"memory_limit": "128 MiB"}})
    assert memory.limit_bytes(derive._open(tmp_path, limited, 8 * MEBIBYTE)) == 128 * MEBIBYTE


@pytest.mark.slow
def test_files_that_are_written_in_shares_are_all_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_MEMORY_A_FILE_BYTES", 16 * MEBIBYTE)
    names = [f"folder-{number % 7}/file-{number:03}" for number in range(100)]
    write_scan(tmp_path, "work", {name: {} for name in names})
    made = derive.derive(tmp_path, config.parse({"volumes": {"work": {"url": "/work", "role": "primary"}}}), NOON)
    assert len(table.files(tmp_path, "files", snapshot_id=[made.snapshot_id])) > 1
    rows = connect.connect(tmp_path, made).sql("SELECT path FROM files ORDER BY path").fetchall()
    assert rows == [(name,) for name in sorted(names)]


NAMES = [f"folder-{number % 7}/file-{number:03}" for number in range(100)]


def _derived(root: Path, **catalog: str) -> list[tuple[str, ...]]:
    write_scan(root, "work", {name: {} for name in NAMES})
    made = derive.derive(root, config.parse({"catalog": catalog, "volumes": {"work": {"url": "/work", "role": "primary"}}}), NOON)
    return connect.connect(root, made).sql("SELECT path FROM files ORDER BY path").fetchall()


def test_what_does_not_fit_gets_more_memory_where_nobody_set_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derive, "_LEAST_MEMORY_BYTES", 4 * MEBIBYTE)
    assert _derived(tmp_path) == [(name,) for name in sorted(NAMES)]


def test_a_limit_in_which_nothing_fits_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"does not fit into 4 MiB of memory; set .catalog. memory_limit higher"):
        _derived(tmp_path, memory_limit="4 MiB")


def test_a_join_is_begun_in_as_many_buckets_as_fit_into_a_third_of_the_memory() -> None:
    assert [memory.buckets(rows, 1024 * MEBIBYTE) for rows in (0, 2_700_000, 2_800_000, 26_000_000)] == [1, 1, 2, 10]


def test_where_a_bucket_does_not_fit_what_is_left_is_done_in_smaller_ones(tmp_path: Path) -> None:
    connection = derive._open(tmp_path, config.parse({"catalog": {"memory_limit": "8 MiB", "threads": 1}}))
    connection.execute("CREATE TEMP TABLE one AS SELECT range AS number FROM range(60_000)")
    connection.execute("CREATE TEMP TABLE two AS SELECT range AS number, 'text ' || range AS text FROM range(60_000)")
    query = "SELECT o.number, string_agg(t.text) AS texts FROM one AS o INNER JOIN two AS t ON o.number = t.number GROUP BY 1"
    with pytest.raises(CatalogError, match="does not fit"):
        memory.execute(connection, f"CREATE TEMP TABLE whole AS {query}")
    memory.create_in_buckets(connection, "joined", query, {"one": "number", "two": "number"})
    assert connection.execute("SELECT count(*), count(DISTINCT number) FROM joined").fetchall() == [(60_000, 60_000)]


class _Scarce:
    """A connection in which nothing fits but in one thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def execute(self, query: str) -> duckdb.DuckDBPyConnection:
        if query.endswith("AS answer") and self.threads() > 1:
            raise duckdb.OutOfMemoryException("it does not fit")
        return self.connection.execute(query)

    def threads(self) -> int:
        [(threads,)] = self.connection.execute("SELECT current_setting('threads')").fetchall()
        return int(threads)


def test_what_fits_in_one_thread_gives_its_rows_and_the_threads_back() -> None:
    scarce: Any = _Scarce(duckdb.connect(config={"threads": 2}))
    assert memory.execute(scarce, "SELECT 42 AS answer") == [(42,)]
    assert scarce.threads() == 2
