"""The views of a reader's connection, on a cluster: what reports read, and what those views are made of."""

import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlglot
from sqlglot import exp

from catalog import portable, spark
from catalog.errors import RefusedError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyspark.sql import DataFrame, SparkSession

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",  # all times of the catalog are naive UTC
    "spark.sql.variable.substitute": "false",  # a text with ${...} is that text
    "spark.sql.ansi.enabled": "true",  # a number that does not fit is an error, never another number
}
_CANARY = "SELECT count(*) AS n FROM (SELECT 'a' AS name, sum(id) AS total FROM range(2)) WHERE name = 'b'"
_SMALL = frozenset({"history"})  # views that have a file a snapshot and few rows
_TYPES = {
    "VARCHAR": "STRING",
    "BIGINT": "BIGINT",
    "INTEGER": "INT",
    "SMALLINT": "SMALLINT",
    "BOOLEAN": "BOOLEAN",
    "BLOB": "BINARY",
    "TIMESTAMP": "TIMESTAMP_NTZ",
    "DATE": "DATE",
    "DOUBLE": "DOUBLE",
    "HUGEINT": "DECIMAL(38, 0)",
}


class FarViews:
    """A connection's views on a cluster, each made when a query needs it first."""

    def __init__(self, session: "SparkSession", connection: "DuckDBPyConnection") -> None:
        """Changes settings of the session."""
        self._session, self._connection = session, connection
        with spark.foreseen("the cluster cannot be asked"):
            for name, value in _SETTINGS.items():
                session.conf.set(name, value)
        self._views: Mapping[str, str] = dict(connection.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall())
        self._schema = schema_of(connection)
        self._made: set[str] = set()

    @functools.cached_property
    def filters_truly(self) -> bool:
        """Whether a condition on an answer can be left to the cluster: one engine lets it pass through a sum, and gives sums that nobody asked for."""
        with spark.foreseen("the cluster cannot be asked"):
            return bool(self._session.sql(_CANARY).toArrow()["n"][0].as_py() == 0)

    def frame(self, query: str, values: Mapping[str, Any], what: str) -> "DataFrame":
        """The answer of a query over the views, computed when it is read. Raises RefusedError as `portable.to_spark`."""
        written = self._written(sqlglot.parse_one(query, read="duckdb"), values, what)
        with spark.foreseen(what):
            return self._session.sql(written)

    def _written(self, tree: exp.Expr, values: Mapping[str, Any], what: str) -> str:
        for name in _tables(tree):
            self._make(name, what)
        return portable.to_spark(tree, self._schema, values, what)

    def _make(self, name: str, what: str) -> None:
        if name in self._made or name not in self._schema:
            return
        if name in self._views and name not in _SMALL:
            self._make_view(name, f"{what}, view {name}")
        else:
            self._give(name, self._connection.sql(f'SELECT * FROM "{name}"').to_arrow_table())
        self._made.add(name)

    def _make_view(self, name: str, what: str) -> None:
        tree = sqlglot.parse_one(self._views[name], read="duckdb").expression
        for number, read in enumerate(list(tree.find_all(exp.ReadParquet))):
            read.replace(exp.to_identifier(self._read(f"{name}_files_{number}", read, what)))
        written = self._written(tree, {}, what)
        with spark.foreseen(what):
            self._session.sql(written).createOrReplaceTempView(name)

    def _read(self, name: str, read: exp.ReadParquet, what: str) -> str:
        """Make a view over Parquet files; gives its name. What a folder says in its name of the files in it is a column of theirs."""
        described = self._connection.execute(f"DESCRIBE SELECT * FROM {read.sql('duckdb')}").fetchall()
        self._schema[name] = {column: kind for column, kind, *_ in described}
        folders: dict[str, list[str]] = defaultdict(list)
        for literal in read.expressions[0].find_all(exp.Literal):
            folders[str(Path(literal.this).parent)].append(literal.this)
        with spark.foreseen(what):
            frames = [self._frame(name, folder, files) for folder, files in folders.items()]
            functools.reduce(lambda left, right: left.union(right), frames).createOrReplaceTempView(name)
        self._made.add(name)
        return name

    def _frame(self, name: str, folder: str, files: list[str]) -> "DataFrame":
        told = dict(part.split("=", 1) for part in Path(folder).parts if "=" in part)
        given = {column: told[column] for column in self._schema[name] if column in told}
        columns = {column: _TYPES[kind] for column, kind in self._schema[name].items() if column not in given}
        found = self._session.read.schema(", ".join(f"`{column}` {kind}" for column, kind in columns.items())).parquet(*map(_plain, files))
        return found.selectExpr(*(f"`{column}`" if column in columns else f"'{given[column]}' AS `{column}`" for column in self._schema[name]))

    def _give(self, name: str, rows: pa.Table) -> None:
        kinds = [(field, self._schema[name][field]) for field in rows.column_names]
        columns = ", ".join(f"`{field}` {_spark_type(kind)}" for field, kind in kinds)
        with spark.foreseen(f"table {name}"):
            self._session.createDataFrame(rows, columns).createOrReplaceTempView(name)


def schema_of(connection: "DuckDBPyConnection") -> dict[str, dict[str, str]]:
    """The columns of each view and table of a connection, with their types."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    asked = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index"
    for table, column, kind in connection.execute(asked).fetchall():
        found[table][column] = kind
    return dict(found)


def _plain(file: str) -> str:
    """A path as Spark takes it. Raises RefusedError where it would look for what fits a pattern; one engine knows no other way to write such a path."""
    if re.search(r"[\\\[\]{}*?]", file):
        raise RefusedError(
            f"{file}: a cluster takes a path with one of \\ [ ] {{ }} * ? for a pattern; the catalog must lie elsewhere for it, --engine local answers"
        )
    return file


def _spark_type(kind: str) -> str:
    return f"ARRAY<{_TYPES[kind.removesuffix('[]')]}>" if kind.endswith("[]") else _TYPES[kind]


def _tables(tree: exp.Expr) -> Iterator[str]:
    """The names of the tables that a query reads; those of its WITH are among them."""
    yield from dict.fromkeys(table.name for table in tree.find_all(exp.Table))
