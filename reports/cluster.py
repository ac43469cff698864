"""The answer of a report, computed by a cluster: its rows are those that this machine would give."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from catalog import far_views, predicate, spark

if TYPE_CHECKING:
    import duckdb

    from reports import Report


def answer(
    remote: str,
    connection: "duckdb.DuckDBPyConnection",
    report: "Report",
    params: Mapping[str, object] | None = None,
    where: str | None = None,
    limit: int | None = None,
) -> "duckdb.DuckDBPyRelation":
    """As `Report.run`, but the rows come from the cluster; the files of the catalog are read there, at the same place.

    Raises RefusedError that names a construct which is not known to mean the same there, and as `spark.connected` and `Report.run`.
    """
    with spark.connected(remote) as session:
        return answered(far_views.FarViews(session, connection), connection, report, params, where, limit)


def answered(
    seen: far_views.FarViews,
    connection: "duckdb.DuckDBPyConnection",
    report: "Report",
    params: Mapping[str, object] | None = None,
    where: str | None = None,
    limit: int | None = None,
) -> "duckdb.DuckDBPyRelation":
    """The same over far views of the connection that are there already."""
    what = f"report {report.name}"
    text, values = report.query(connection, params, where, limit)
    wanted = connection.sql(text, params=values)
    if not seen.filters_truly:
        text, values = report.query(connection, params)
    frame = seen.frame(text, values, what)
    with spark.foreseen(what):
        rows = frame.toArrow()
    kinds = dict(zip(wanted.columns, map(str, wanted.types), strict=True))
    found = connection.from_arrow(rows).project(", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in kinds.items()))
    if where and not seen.filters_truly:
        found = found.filter(predicate.check(where, kinds, f"{what}, where"))
    return found if limit is None else found.limit(limit)
