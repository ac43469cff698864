"""A user's predicate reaches SQL only if it is one condition over known columns; a user's query only if it is one SELECT over the views."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import predicate
from catalog.errors import ConfigError

COLUMNS = {
    "path": "VARCHAR", "name": "VARCHAR", "size_bytes": "BIGINT", "modified_at": "TIMESTAMP", "is_latest": "BOOLEAN", "digest": "BLOB", "mode": "INTEGER",
}  # fmt: skip
TABLES = ("files", "volumes")

ALLOWED = {
    "path LIKE 'x%'": "\"path\" LIKE 'x%'",
    "path LIKE 'x' OR TRUE --": "\"path\" LIKE 'x' OR TRUE",
    "path = name /* a */ AND /* b */ TRUE": '"path" = "name" AND TRUE',
    "path LIKE 'a!%' ESCAPE '!'": "\"path\" LIKE 'a!%' ESCAPE '!'",
    "size_bytes > 1_000": '"size_bytes" > 1000',
    "modified_at < DATE '2026-01-01' - INTERVAL 30 DAY": "\"modified_at\" < CAST('2026-01-01' AS DATE) - INTERVAL '30' DAY",
    "(is_latest)": '("is_latest")',
    "path NOT IN ('a', 'it''s')": "NOT \"path\" IN ('a', 'it''s')",
    "lower(name) = 'a' AND size_bytes BETWEEN 1 AND 3": 'LOWER("name") = \'a\' AND "size_bytes" BETWEEN 1 AND 3',
    "regexp_matches(path, '^a.*b$')": "REGEXP_MATCHES(\"path\", '^a.*b$')",
    "path IS NOT NULL": 'NOT "path" IS NULL',
    r"path = 'a\xff'": r""""path" = 'a\xff'""",
}
REFUSED = [
    "1=1; DROP TABLE x", "(SELECT 1)", "(SELECT TRUE)", "path IN (SELECT name)", "EXISTS (SELECT 1)", "path LIKE ANY (SELECT 1)", "path IN name", "path IN ()",
    "path = 'a' UNION SELECT TRUE", "TRUE UNION (SELECT TRUE UNION SELECT FALSE)", "TRUE LIMIT 1", "TRUE GROUP BY 1", "TRUE ORDER BY 1", "TRUE QUALIFY 1=1",
    "read_text('/etc/passwd') = ''", "path = getenv('X')", "current_setting('x') = 'a'", "now() < modified_at", "random() < 0.5", "nextval('s') = 1",
    "COLUMNS(*) = 1", "* = 1", "#1 = 1", "$x = 1", "? = 1", "@x", "path::JSON = 'x'", "CAST(path AS INTEGER[]) = [1]", "TRY_CAST(path AS BIGINT) > 1",
    "list_filter([1], x -> x = 1) = [1]", "lambda x: x", "path[1:2] = 'a'", "{'a': 1}", "unnest([1]) = 1", "path GLOB 'x*'", "path COLLATE NOCASE = 'a'",
    "files.path = 'x'", "main.files.path = 'x'", "secret = 'x'", '"no such" = 1', "size_bytes", "size_bytes > 1 AND size_bytes", "'text'", "1", "",
    "TRUE)) OR ((TRUE", "TRUE, TRUE", "TRUE AS x", "sum(size_bytes) > 1", "row_number() OVER () = 1", "path > 5", "size_bytes LIKE 'a'", "modified_at > 'soon'",
    "'unclosed", "path = 'a' --\n; DROP TABLE x", "/* unclosed",
]  # fmt: skip
HUGE = [
    "(" * 5000 + "TRUE" + ")" * 5000,
    "NOT " * 400 + "TRUE",
    "- " * 400 + "1 = 1",
    "CASE WHEN " * 200 + "TRUE",
    "path = 'a' OR " * 1000 + "TRUE",
    "1 +" * 5000 + "1 = 1",
]


@pytest.mark.parametrize("text", ALLOWED)
def test_a_condition_over_known_columns_is_printed_anew(text: str) -> None:
    assert predicate.check(text, COLUMNS, "here") == ALLOWED[text]
    duckdb.execute(
        f"SELECT TRUE FROM (SELECT 'a' AS path, 'a' AS name, 1 AS size_bytes, NULL::TIMESTAMP AS modified_at, TRUE AS is_latest) WHERE {ALLOWED[text]}"
    ).fetchall()


def test_a_tilde_finds_a_pattern_anywhere_in_the_text() -> None:
    for text, found in (("path ~ 'b'", True), ("path ~ '^b$'", False), ("path !~ 'b'", False)):
        assert duckdb.execute(f"SELECT {predicate.check(text, COLUMNS, 'here')} FROM (SELECT 'abc' AS path)").fetchall() == [(found,)]


@pytest.mark.parametrize("text", REFUSED)
def test_anything_else_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^classes.core.select: "):
        predicate.check(text, COLUMNS, "classes.core.select")


@pytest.mark.parametrize("text", HUGE, ids=range(len(HUGE)))
def test_what_is_too_long_or_too_deep_is_refused_and_nothing_crashes(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^here: "):
        predicate.check(text, COLUMNS, "here")


def grown(levels: int) -> str:
    """A text of 100 to the power of some levels."""
    text = "'aaaa'"
    for _ in range(levels):
        text = f"replace({text}, 'a', '{'a' * 100}')"
    return text


@pytest.mark.parametrize(
    "text",
    [
        f"length({grown(4)}) >= 0",
        f"length(concat({', '.join([grown(2)] * 3)})) >= 0",
        f"length(CASE WHEN size_bytes > 1 THEN {grown(2)} || {grown(2)} ELSE path END) >= 0",
        "length(replace(replace(path, 'a', 'bbbbbbbb'), 'b', 'ccc')) > 1",
        f"({' || '.join(['path'] * 9)}) = 'x'",
        "replace(path, path, 'x') = 'y'",
        "replace(path, 'x', upper('y')) = 'y'",
    ],
)
def test_a_text_that_may_grow_without_measure_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"may become longer than|replace takes literals"):
        predicate.check(text, COLUMNS, "where")


def test_a_text_may_grow_a_little() -> None:
    printed = predicate.check(f"replace(path, '&', 'and') || path = 'x' AND length({grown(2)}) > 0", COLUMNS, "where")
    assert "REPLACE" in printed


@pytest.mark.slow
def test_a_long_flat_condition_is_allowed() -> None:
    text = " OR ".join(f"path = '{n}'" for n in range(480))
    assert predicate.check(text, COLUMNS, "here").count("OR") == 479


def test_the_error_names_what_is_refused_and_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match=r"GETENV\('X'\).* is not allowed here; allowed are .*LIKE.*starts_with"):
        predicate.check("path = getenv('X')", COLUMNS, "here")
    with pytest.raises(ConfigError, match="no column 'sise_bytes'; columns are path, name, size_bytes"):
        predicate.check("sise_bytes > 1", COLUMNS, "here")


def test_names_alone_are_enough_where_types_are_not_known() -> None:
    assert predicate.check("path > 'a'", {"path"}, "here") == "\"path\" > 'a'"
    with pytest.raises(ConfigError, match="is not a condition"):
        predicate.check("path", {"path"}, "here")


@given(st.text(max_size=40))
def test_any_text_is_either_refused_or_reads_nothing_but_its_row(text: str) -> None:
    try:
        printed = predicate.check(f"path = {text}", {"path": "VARCHAR"}, "here")
    except ConfigError:
        return
    with duckdb.connect() as connection:
        connection.execute("SET enable_external_access = false")
        assert len(connection.execute(f"SELECT path FROM (SELECT 'a' AS path) WHERE {printed}").fetchall()) <= 1


@pytest.mark.slow
@given(st.text(max_size=30))
def test_any_text_quoted_as_a_literal_compares_with_exactly_that_text(text: str) -> None:
    literal = "'" + text.replace("'", "''") + "'"
    if "\0" in text:
        return
    printed = predicate.check(f"path = {literal}", {"path": "VARCHAR"}, "here")
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT count(*) FROM (SELECT $1 AS path) WHERE {printed}", [text]).fetchall() == [(1,)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "FROM files",
        "WITH a AS (SELECT * FROM files) SELECT * FROM a;",
        "SELECT path FROM files WHERE volume IN (SELECT volume FROM volumes)",
        "SELECT x FROM unnest([1, 2]) AS t (x)",
        "SELECT volume, count(*) FROM files GROUP BY ALL HAVING count(*) > 1 UNION ALL SELECT 'a', 1",
    ],
)
def test_one_select_over_the_views_may_run(text: str) -> None:
    assert predicate.select(text, TABLES) == text.rstrip(";")


@pytest.mark.parametrize(
    "text",
    [
        "", "SELECT 1; SELECT 2", "COPY files TO 'x'", "ATTACH 'x'", "PRAGMA version", "SET x = 1", "INSTALL x", "CALL pragma_version()", "EXPLAIN SELECT 1",
        "INSERT INTO files VALUES (1)", "CREATE TABLE x AS SELECT 1", "DROP TABLE files", "SHOW TABLES", "DESCRIBE files", "FROM (SHOW files)", "SELECT $1",
        "SELECT * FROM 'x.csv'", "FROM 'x.parquet'", "SELECT * FROM read_csv('x')", "SELECT read_blob('x')", "FROM glob('*')", "SELECT getenv('x')",
        "SELECT main.getenv('x')", "SELECT path FROM files ORDER BY getenv('x')", "SELECT sum(1) FILTER (WHERE getenv('x') = '') OVER () FROM files",
        "WITH a AS (FROM read_text('x')) SELECT 1", "SELECT current_setting('x')", "SELECT getvariable('x')", "SELECT * FROM duckdb_settings()",
        "SELECT * FROM information_schema.tables", "SELECT * FROM query('SELECT 1')", "SELECT * FROM duckdb_secrets()", "SELECT * FROM secrets",
        "SELECT t.* FROM (WITH \"x.csv\" AS (SELECT 1) SELECT 1) AS a, \"x.csv\" AS t", "WITH sqlite_master AS (SELECT 1) SELECT * FROM sqlite_master",
        "SELECT t.* FROM (WITH \"/etc/passwd\" AS (SELECT 1) SELECT 1) AS a, \"/etc/passwd\" AS t",
        "SELECT " + "(" * 3000 + "1" + ")" * 3000, "SELECT 1 WHERE 1 IN (SELECT 1 FROM 'y.csv')",
    ],
)  # fmt: skip
def test_any_other_statement_file_or_setting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^query: "):
        predicate.select(text, TABLES)
