"""Reports on a cluster: the rows of this machine, from catalogs on disk, whatever is asked of them."""

import random
from collections.abc import Iterator

import duckdb
import pytest

import reports
from catalog import connect, derive, far_views, spark
from reports import cluster
from tests import sail
from tests.protection import estate as written
from tests.protection import generated
from tests.protection.merged import merge, packs

pytestmark = pytest.mark.slow  # catalogs by chance take half a minute; tests/sample_data asks the demo


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with sail.running() as started:
        yield started.address


@pytest.fixture(scope="module", params=range(2))
def connection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A catalog of two snapshots of an estate by chance, in a folder with a name of its own."""
    root = tmp_path_factory.mktemp("cat") / "a b ü, c'd #e"
    root.mkdir()
    chance = random.Random(request.param)
    estate = merge(packs([generated.estate(chance) for _ in range(6)])[0])
    before = estate.before()
    written.write(root, before)
    derive.derive(root, before.config, estate.as_of - generated.HOUR)
    written.write(root, estate, skip=before)
    with connect.connect(root, derive.derive(root, estate.config, estate.as_of)) as opened:
        yield opened


def test_every_report_has_the_same_rows_in_the_same_order(server: str, connection: duckdb.DuckDBPyConnection) -> None:
    different = []
    with spark.connected(server) as session:
        seen = far_views.FarViews(session, connection)
        for report in map(reports.load, reports.names()):
            wanted, found = (rows.to_arrow_table() for rows in (report.run(connection), cluster.answered(seen, connection, report)))
            if found.schema != wanted.schema or found.to_pylist() != wanted.to_pylist():
                different.append(report.name)
    assert different == []
