"""What the cluster's SQL is made of: each construct gives there what it gives here, or is refused by name."""

from collections.abc import Iterator
from contextlib import closing

import duckdb
import pytest
import sqlglot
from pyspark.errors import PySparkException

from catalog import far_views, portable, spark
from catalog.errors import RefusedError
from catalog.far_views import FarViews
from tests import full_spark

ROWS = """
CREATE TABLE t AS SELECT * FROM (VALUES
    (1, 10, 2.5::DOUBLE, 'a', '\\x41\\_b', TIMESTAMP '2026-01-31 23:59:59.5', DATE '2026-02-28', TRUE, ['x', 'y'], 'ab'::BLOB),
    (2, 9223372036854775807, 2.675::DOUBLE, 'Ä', 'it''s', TIMESTAMP '2026-02-01 00:00:00', DATE '2024-02-29', FALSE, [], '\\xFF\\x00'::BLOB),
    (3, 4611686018427387904, -0.125::DOUBLE, '', 'a/b/c', TIMESTAMP '1969-12-31 23:00:00', DATE '1970-01-01', NULL, NULL, NULL),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ['z'], ''::BLOB)
) AS t(id, size, ratio, word, path, moment, day, flag, names, digest)
"""
SAME = {
    "sums beyond 64 bits": "SELECT sum(size) > 9223372036854775807 AS x FROM t",
    "shares of sums beyond 64 bits": "SELECT sum(size) * 1000 // sum(size) AS x, (sum(size) * 1000 // sum(size)) / 10.0 AS y FROM t",
    "whole numbers divided": "SELECT id / 2 AS x, id // 2 AS y, -id // 2 AS z, -id % 3 AS u FROM t ORDER BY id",
    "numbers with a point": "SELECT ratio * 1.1 AS x, ratio / 3.3 AS y, id / 0.5 + 0.25 AS z, 0.5 <= -ratio AS u FROM t ORDER BY id",
    "ranges": "SELECT ratio BETWEEN -0.5 AND 2.5 AS x FROM t ORDER BY id",
    "rounding": "SELECT floor(ratio * 100.0 + 0.5) / 100.0 AS x, floor(ratio) AS z, CAST(ratio AS BIGINT) AS u FROM t ORDER BY id",
    "nulls in texts": "SELECT concat(word, '-', path) AS x, word || '-' AS y, coalesce(word, '?') AS z FROM t ORDER BY id",
    "backslashes": "SELECT path LIKE '\\x%' AS x, path = '\\x41\\_b' AS y, path LIKE '%\\__' AS z FROM t ORDER BY id",
    "quotes": "SELECT path = 'it''s' AS x, path LIKE 'it''%' AS y FROM t ORDER BY id",
    "nulls last": "SELECT id, row_number() OVER (ORDER BY word, id) AS x FROM t ORDER BY word, id",
    "texts in the order of their bytes": "SELECT min(word) AS x, max(word) AS y FROM t",
    "parts of texts": "SELECT split_part(path, '/', 2) AS x, substr(path, 2, 3) AS y, length(word) AS z, lower(hex(digest)) AS u FROM t ORDER BY id",
    "beginnings and ends": "SELECT starts_with(path, 'a') AS x, ends_with(path, 'c') AS y, contains(path, '\\') AS z FROM t ORDER BY id",
    "lists": "SELECT array_to_string(names, ',') AS x, names IS NULL AS y, list_contains(names, word) AS z, list_contains(names, 'x') AS u FROM t ORDER BY id",
    "lists as rows": "SELECT name FROM (SELECT unnest(names) AS name FROM t) AS n ORDER BY name",
    "days between midnights": "SELECT date_diff('day', moment, TIMESTAMP '2026-02-01 00:00:00') AS x, date_diff('day', day, DATE '2026-03-01')  AS y "
    "FROM t ORDER BY id",
    "parts of times": "SELECT date_trunc('day', moment) AS x, extract(HOUR FROM moment) AS y, CAST(moment AS VARCHAR) AS z FROM t ORDER BY id",
    "spans": "SELECT moment - 3 * INTERVAL '1' DAY AS x, moment + INTERVAL 1 MONTH AS y, moment + to_seconds(id) AS z FROM t ORDER BY id",
    "conditions in sums": "SELECT count(*) FILTER (WHERE flag) AS x, sum(id) FILTER (WHERE word <> '') AS y, count(DISTINCT word) AS z, bool_and(flag) AS u "
    "FROM t",
    "joined texts": "SELECT string_agg(word, ',' ORDER BY id DESC) AS x, string_agg(word, ',' ORDER BY word) FILTER (WHERE id > 1) AS y FROM t",
    "nulls compared": "SELECT word IS DISTINCT FROM 'a' AS x, word IS NOT DISTINCT FROM NULL AS y, greatest(id, size) AS z, nullif(id, 1) AS u "
    "FROM t ORDER BY id",
    "bits": "SELECT bit_or(id) AS x, bit_count(bit_or(size)) AS y, bit_or(id) & 6 AS z, ~bit_or(id) | 1 AS u, 1 | 2 & 4 AS v FROM t",
    "whole numbers worked out": "SELECT size // 2 + id AS x, size // 3 - id * 2 AS y, -id AS z, sum(size) OVER () * 3 - size AS u FROM t ORDER BY id",
    "sums beyond 64 bits beside a DOUBLE": "SELECT sum(size) * sum(ratio) * 0.1 AS x FROM t",
    "what lies between times": "SELECT moment - date_trunc('day', moment) > moment - date_trunc('hour', moment) AS x FROM t ORDER BY id",
    "unions by name": "SELECT id, word FROM t UNION ALL BY NAME SELECT word, id FROM t ORDER BY id, word",
    "windows": "SELECT lag(size) OVER (ORDER BY id) AS x, sum(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS y FROM t ORDER BY id",
}
REFUSED = {
    "quantile_cont(ratio, 0.5)": "QUANTILE",
    "list(word ORDER BY word)": "ARRAY_AGG",
    "names[1:2]": r"\[1",
    "date_diff('month', moment, moment)": "DATE_DIFF",
    "arg_max(word, id, 2)": "ARG_MAX",
    "CAST(CAST(ratio AS DECIMAL(9, 2)) AS INTEGER)": "CAST",
    "CAST(ratio AS VARCHAR)": "CAST",
    "concat(word, ratio)": "CONCAT",
    "round(ratio, 2)": "ROUND",
    "CAST(ratio AS DECIMAL(9, 2))": "CAST",
    "avg(id)": "AVG",
    "word ILIKE 'A'": "ILIKE",
    "word LIKE path": "LIKE",
    "regexp_matches(word, '\\d')": "REGEXP",
    "regexp_matches(word, '(?i)a')": "REGEXP",
    "moment + INTERVAL '3 months 2 days'": "INTERVAL",
    "isodow(moment)": "ISODOW",
    "now()": "NOW",
    "random()": "RAND",
    "hash(word)": "HASH",
    "some_function_of_tomorrow(id)": "SOME_FUNCTION_OF_TOMORROW",
    "ratio > 9007199254740993.5": "9007199254740993.5",
    "id * 0.1": "0.1",
    "id * 0.1 * ratio": "0.1",
    "size >= id * 0.55": "0.55",
    "id BETWEEN 0.1 AND 0.3": "0.[13]",
    "0.1 + 0.2": "0.2",
    "sum(size * 1.5)": "1.5",
    "CAST(2.5 AS BIGINT)": "2.5",
    "CAST(2.5 AS DECIMAL(9, 1))": "2.5",
    "CAST(word AS BLOB)": "CAST",
    "CAST(digest AS VARCHAR)": "CAST",
    "CAST(moment AS TIMESTAMPTZ)": "CAST",
    "CAST(names AS VARCHAR)": "CAST",
    "CAST(ratio AS FLOAT)": "CAST",
    "extract(SECOND FROM moment)": "EXTRACT",
    "extract(HOUR FROM moment - TIMESTAMP '2026-03-01')": "EXTRACT",
    "moment - TIMESTAMP '2026-01-01' > INTERVAL '1' MONTH": "INTERVAL",
    "moment - TIMESTAMP '2026-01-01' BETWEEN INTERVAL 1 DAY AND INTERVAL 2 DAY": "INTERVAL",
    "day + INTERVAL 1 DAY": "day",
    "day - DATE '2026-01-01'": "day",
    "substr(path, 0, 2)": "SUBSTRING",
    "substr(path, -2)": "SUBSTRING",
    "substr(path, id)": "SUBSTRING",
    "substr(path, length(word) - 1)": "SUBSTRING",
    "substr(path, 3, -2)": "SUBSTRING",
    "split_part(path, '', 1)": "SPLIT_PART",
    "split_part(path, word, 1)": "SPLIT_PART",
    "array_to_string(names, NULL)": "ARRAY_TO_STRING",
    "array_to_string(names, word)": "ARRAY_TO_STRING",
    "concat(names, names)": "CONCAT",
    "names || names": "names",
    "concat(digest, word)": "CONCAT",
    "list_contains(names, NULL)": "ARRAY_CONTAINS",
    "DISTINCT ON (word) word": "DISTINCT ON",
    "sum(DISTINCT id)": "SUM",
    "~id + 2": "~",
    "bit_count(id)": "BIT_COUNT",
    "bit_count(bit_or(id))": "BIT_COUNT",
    "regexp_matches(path, word)": "REGEXP",
    "regexp_matches(path, concat('a', word))": "REGEXP",
}
TOO_LARGE = ("size + size", "size * 4", "-size - 10", "size - (-size)", "2 * size", "id + size + size")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect()) as opened:
        opened.execute(ROWS)
        yield opened


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with full_spark.or_sail(tmp_path_factory.mktemp("cluster")) as address:
        yield address


def test_every_construct_that_is_let_through_gives_the_same_there(cluster: str, connection: duckdb.DuckDBPyConnection) -> None:
    different = {}
    with spark.connected(cluster) as session:
        seen = FarViews(session, connection)
        for name, query in SAME.items():
            wanted = connection.sql(query).to_arrow_table()
            found = seen.frame(query, {}, name).toArrow().rename_columns(wanted.column_names).cast(wanted.schema)
            if found.to_pylist() != wanted.to_pylist():
                different[name] = (found.to_pylist(), wanted.to_pylist())
    assert different == {}


@pytest.mark.parametrize("expression", REFUSED)
def test_what_is_not_known_to_be_the_same_is_refused_by_name(expression: str, connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(RefusedError, match=rf"(?s)^report r: .*{REFUSED[expression]}.*cannot be run on the cluster: .*--engine local"):
        portable.to_spark(sqlglot.parse_one(f"SELECT {expression} AS x FROM t", read="duckdb"), far_views.schema_of(connection), {}, "report r")


def test_a_whole_number_that_does_not_fit_is_an_error_there_too(cluster: str, connection: duckdb.DuckDBPyConnection) -> None:
    with spark.connected(cluster) as session:
        seen = FarViews(session, connection)
        for expression in TOO_LARGE:
            with pytest.raises(duckdb.OutOfRangeException):
                connection.sql(f"SELECT {expression} AS x FROM t").fetchall()
            with pytest.raises(PySparkException, match=r"(?i)overflow|cast|out of range"):
                seen.frame(f"SELECT {expression} AS x FROM t", {}, expression).toArrow()


def test_a_parameter_with_a_fraction_is_a_double_as_it_is_here(cluster: str, connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT id * $share AS x, id * $share > 0.3 AS y FROM t ORDER BY id"
    with spark.connected(cluster) as session:
        found = FarViews(session, connection).frame(query, {"share": 0.1}, "q").toArrow().to_pylist()
    assert found == connection.sql(query, params={"share": 0.1}).to_arrow_table().to_pylist()


def test_values_are_texts_and_never_sql(cluster: str, connection: duckdb.DuckDBPyConnection) -> None:
    hostile = ["'; DROP TABLE t; --", "\\'", "it''s", "\\", "$x", "\n", "${spark.x}", "x' OR 'a'='a"]
    with spark.connected(cluster) as session:
        seen = FarViews(session, connection)
        assert [seen.frame("SELECT $x AS x FROM t WHERE id = 1", {"x": text}, "q").toArrow()["x"].to_pylist() for text in hostile] == [[one] for one in hostile]
