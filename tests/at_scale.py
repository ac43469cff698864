"""`python -m tests.at_scale FOLDER [--entries N]`: every report of a made-up catalog on this machine and on a cluster, held against one another.

The cluster is Sail, or Apache Spark where SPARK_HOME names one, as `make spark` installs it. Ends with 1 where a report has other rows, or another order.
"""

import argparse
import sys
import time
from pathlib import Path

from duckdb import DuckDBPyConnection

import reports
from benchmarks import synthetic
from catalog import config, connect, derive, far_views, snapshot, spark
from catalog.errors import RefusedError
from reports import cluster
from tests import full_spark


def main() -> int:
    """Make the catalog if it is not there, then compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.at_scale", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--only", action="append", choices=reports.names())
    given = parser.parse_args()
    root = given.folder / "catalog"
    if not root.exists():
        given.folder.mkdir(parents=True, exist_ok=True)
        synthetic.write(given.folder, given.entries)
        derive.derive(root, config.load(given.folder / "lastcopy.toml"), synthetic.AS_OF)
    with full_spark.or_sail(given.folder / "cluster") as address, spark.connected(address) as session, connect.connect(root, snapshot.find(root)) as here:
        there = far_views.FarViews(session, here)
        return int(not all([_same(name, there, here) for name in given.only or reports.names()]))


def _same(name: str, there: far_views.FarViews, here: DuckDBPyConnection) -> bool:
    """Whether a report has the same rows in the same order; says so, and how long each took."""
    report = reports.load(name)
    began = time.monotonic()
    wanted = report.run(here).to_arrow_table()
    between = time.monotonic()
    try:
        found = cluster.answered(there, here, report).to_arrow_table()
    except RefusedError as error:
        print(f"{name}: refused: {error}", flush=True)
        return False
    same: bool = found.schema == wanted.schema and found.combine_chunks().equals(wanted.combine_chunks())
    print(
        f"{name}: {wanted.num_rows:,} rows, {'equal' if same else 'NOT EQUAL'}, {between - began:.1f} s here, {time.monotonic() - between:.1f} s there",
        flush=True,
    )
    return same


if __name__ == "__main__":
    sys.exit(main())
