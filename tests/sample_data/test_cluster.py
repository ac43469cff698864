"""The demo's reports on a cluster: the rows that this machine gives."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import reports
from catalog import connect, far_views, snapshot, spark
from catalog.errors import RefusedError
from reports import cluster
from tests import full_spark
from tests.lastcopy.program import run
from tests.sample_data.conftest import Demo


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with full_spark.or_sail(tmp_path_factory.mktemp("cluster")) as address:
        yield address


@pytest.fixture(scope="module")
def seen(server: str, connection: duckdb.DuckDBPyConnection) -> Iterator[far_views.FarViews]:
    with spark.connected(server) as session:
        yield far_views.FarViews(session, connection)


@pytest.fixture(scope="module")
def connection(demo: Demo) -> Iterator[duckdb.DuckDBPyConnection]:
    root = demo.folder / "catalog"
    with connect.connect(root, snapshot.find(root)) as opened:
        yield opened


SUMMARIES = ("coverage", "overview", "volumes", "owners")


@pytest.mark.parametrize("name", [name if name in SUMMARIES else pytest.param(name, marks=pytest.mark.slow) for name in reports.names()])
def test_every_report_has_the_same_rows_in_the_same_order(name: str, seen: far_views.FarViews, connection: duckdb.DuckDBPyConnection) -> None:
    wanted = reports.load(name).run(connection).to_arrow_table()
    found = cluster.answered(seen, connection, reports.load(name)).to_arrow_table()
    assert found.schema == wanted.schema
    assert found.to_pylist() == wanted.to_pylist()


def test_a_condition_is_held_here_where_the_cluster_lets_it_pass_through_sums(server: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Sail 0.7 gives a sum over nothing for each line that a condition leaves out."""
    wanted = reports.load("overview").run(connection, where="name = 'dormant'").to_arrow_table().to_pylist()
    assert len(wanted) == 1
    assert cluster.answer(server, connection, reports.load("overview"), where="name = 'dormant'").to_arrow_table().to_pylist() == wanted


@pytest.mark.parametrize("trusted", [True, False])
def test_parameters_conditions_and_limits_are_those_of_this_machine(
    trusted: bool, server: str, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(far_views.FarViews, "filters_truly", trusted)
    report, params, where = reports.load("coverage"), {"by": "folder"}, "covered_assets < assets AND name LIKE 'projects%'"
    wanted = report.run(connection, params, where, 3).to_arrow_table().to_pylist()
    assert len(wanted) == 3
    assert cluster.answer(server, connection, report, params, where, 3).to_arrow_table().to_pylist() == wanted


def test_a_condition_that_may_mean_something_else_there_is_refused(server: str, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_views.FarViews, "filters_truly", True)
    with pytest.raises(RefusedError, match=r"report assets: .*ILIKE.* cannot be run on the cluster"):
        cluster.answer(server, connection, reports.load("assets"), where="path ILIKE '%A'")


@pytest.mark.slow
def test_the_command_prints_what_it_prints_without_a_cluster(demo: Demo, server: str) -> None:
    here = run("report", "coverage", "--format", "json", folder=demo.folder)
    there = run("report", "coverage", "--format", "json", "--engine", "spark", folder=demo.folder, SPARK_REMOTE=server)
    assert json.loads(there.out) == json.loads(here.out)
    assert there.err == here.err


def test_a_catalog_whose_path_is_a_pattern_is_refused(demo: Demo, server: str, tmp_path: Path) -> None:
    (tmp_path / "a[b]").symlink_to(demo.folder)
    root = tmp_path / "a[b]" / "catalog"
    with connect.connect(root, snapshot.find(root)) as opened, pytest.raises(RefusedError, match="for a pattern"):
        cluster.answer(server, opened, reports.load("largest"))
