"""A reader's connection reads one snapshot and nothing else."""

from pathlib import Path

import duckdb
import pytest

from catalog import config, connect, derive
from tests.catalog.estates import NOON, write_scan


@pytest.fixture
def connection(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    write_scan(tmp_path, "work", {"a": {}})
    return connect.connect(tmp_path, derive.derive(tmp_path, config.parse({"volumes": {"work": {"url": "/x"}}}), NOON))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "ATTACH '/etc/passwd' AS x",
        "COPY (SELECT 1) TO '/tmp/outside.csv'",
        "INSTALL httpfs",
    ],
)
def test_nothing_outside_the_catalog_can_be_reached(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    with pytest.raises(duckdb.Error):
        connection.execute(query).fetchall()


@pytest.mark.parametrize(
    "view",
    ["entries", "files", "assets", "copies", "duplicate_groups", "duplicates_by_scope", "rollup", "history", "problems", "digests", "volumes",
     "scans", "snapshots", "snapshot", "classes", "exceptions", "files_before"],
)  # fmt: skip
def test_every_view_opens_on_a_small_snapshot(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    assert len(connection.sql(f"SELECT * FROM {view}").fetchall()) <= 1 or view == "rollup"
