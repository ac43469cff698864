"""Predicates and queries that users write: parsed, held against an allow-list, and printed anew before they run."""

import functools
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from catalog.errors import ConfigError

if TYPE_CHECKING:
    import duckdb
    from sqlglot import exp

MAX_LENGTH = 20_000
MAX_TOKENS = 2_000
MAX_DEPTH = 30
MAX_VALUE_BYTES = 64 << 10  # that literals may grow to
MAX_COLUMNS_IN_VALUE = 8  # as many times as long as a column's value may a text become

_OPERATORS = "And Or Not Paren EQ NEQ LT LTE GT GTE Between In Is Like ILike Escape Add Sub Mul Div IntDiv Mod Neg DPipe NullSafeEQ NullSafeNEQ"
_VALUES = "Literal Boolean Null Column Identifier Interval Var DataType Cast"
_FUNCTIONS = {
    "Abs": "abs", "Case": "CASE", "Coalesce": "coalesce", "Concat": "concat", "Contains": "contains", "EndsWith": "ends_with", "Extract": "extract",
    "Greatest": "greatest", "If": "CASE", "Least": "least", "Left": "left", "Length": "length", "Lower": "lower", "Nullif": "nullif",
    "RegexpLike": "regexp_matches", "Replace": "replace", "Right": "right", "StartsWith": "starts_with", "StrPosition": "strpos",
    "Substring": "substring", "Trim": "trim", "Upper": "upper", "Year": "year", "Month": "month", "Day": "day",
}  # fmt: skip
_ALLOWED = frozenset([*_OPERATORS.split(), *_VALUES.split(), *_FUNCTIONS])
_BOOLEAN_NAMES = "EQ NEQ LT LTE GT GTE Between In Is Like ILike Contains EndsWith RegexpLike StartsWith Boolean NullSafeEQ NullSafeNEQ"
_BOOLEAN = frozenset(_BOOLEAN_NAMES.split())
_TYPES = frozenset({"DATE", "TIMESTAMP", "VARCHAR", "TEXT", "BIGINT", "DOUBLE"})
_UNITS = frozenset({"DAY", "HOUR", "MINUTE", "SECOND", "WEEK", "MONTH", "YEAR"})
# One value of each type: a comparison of unlike types fails on it here, and not on the first unlucky file.
_SAMPLES = {"VARCHAR": "'a'", "BLOB": "'a'::BLOB", "BOOLEAN": "TRUE", "DATE": "DATE '2026-01-01'", "TIMESTAMP": "TIMESTAMP '2026-01-01 00:00:00'"}

_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
_REFUSED_FUNCTIONS = frozenset({
    "getenv", "getvariable", "current_setting", "set_config", "nextval", "currval", "query", "query_table", "txid_current", "in_search_path",
    "current_database", "current_schema", "current_schemas", "current_user", "session_user", "user", "current_catalog", "current_query", "write_log",
    "version", "error", "sleep_ms", "add_parquet_key", "get_block_size", "json_execute_serialized_sql", "parse_duckdb_log_message",
})  # fmt: skip
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_SYSTEM_PREFIXES = ("sqlite_", "duckdb_", "pg_", "information_schema", "pragma_")
_REFUSED_PREFIXES = ("read_", "pragma_", "duckdb_", "parquet_", "sniff_", "json_serialize", "json_deserialize", "from_json_strict", "which_secret", "pg_")


def check(text: str, columns: Mapping[str, str] | Collection[str], where_found: str) -> str:
    """A user's predicate, safe to put behind WHERE: one boolean expression over those columns, printed anew.

    `columns` may map names to DuckDB types, then the types must fit too. `where_found` begins the error's text, as in
    'classes.core.select'. Raises ConfigError that names what is refused and what is allowed.
    """
    tree = _parse(text, where_found)
    for node in tree.walk():
        _allow(node, columns, where_found)
    _refuse_growth(tree, where_found)
    if not _is_boolean(tree, columns):
        raise ConfigError(f"{where_found}: {text!r} is not a condition; write one that is true or false, as in \"path LIKE 'contracts/%'\"")
    printed = tree.sql("duckdb", identify=True, comments=False)
    if isinstance(columns, Mapping):
        _try(printed, columns, where_found)
    return printed


def select(text: str, tables: Collection[str], where_found: str = "query") -> str:
    """A user's query if it is one single SELECT over those tables (WITH is allowed); neither files, settings nor the environment can be read.

    It is parsed by the engine that will run it. Raises ConfigError that names what is refused.
    """
    import duckdb

    if len(text) > MAX_LENGTH:
        raise ConfigError(f"{where_found}: longer than {MAX_LENGTH} characters")
    with duckdb.connect() as connection:
        try:
            statements = connection.extract_statements(text)
            row = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone()
        except duckdb.Error as error:
            raise ConfigError(f"{where_found}: {_first_line(error)}") from error
    if len(statements) != 1:
        raise ConfigError(f"{where_found}: {len(statements)} statements; write one single SELECT")
    tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    if tree["error"] or len(tree["statements"]) != 1:
        raise ConfigError(f"{where_found}: only a SELECT may run ({str(tree.get('error_message', 'not a query')).splitlines()[0]})")
    _allow_query(list(_dicts(tree)), {name.lower() for name in tables}, where_found)
    return text.strip().rstrip(";")


def _parse(text: str, where_found: str) -> "exp.Expr":
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        _refuse_size(text, where_found)
        trees = sqlglot.parse(f"SELECT 1 WHERE\n{text}\n", dialect="duckdb")
    except (SqlglotError, RecursionError) as error:
        raise ConfigError(f"{where_found}: {text[:200]!r} is not a SQL condition: {_first_line(error)}") from error
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, exp.Select) or {key for key, value in tree.args.items() if value} != {"expressions", "where"} or len(tree.selects) != 1:
        raise ConfigError(f"{where_found}: {text[:200]!r} is more than one condition; write one expression without ';', FROM, ORDER BY or UNION")
    condition: exp.Expr = tree.args["where"].this
    return condition


def _refuse_size(text: str, where_found: str) -> None:
    from sqlglot.dialects.duckdb import DuckDB
    from sqlglot.tokenizer_core import TokenType

    if len(text) > MAX_LENGTH:
        raise ConfigError(f"{where_found}: longer than {MAX_LENGTH} characters; put long lists into a label table")
    tokens = DuckDB().tokenize(text)
    depth = deepest = run = 0
    for token in tokens:
        opens = token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE)
        closes = token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END)
        run = run + 1 if token.token_type in (TokenType.NOT, TokenType.DASH, TokenType.TILDE, TokenType.PLUS) else 0
        depth += opens - closes
        deepest = max(deepest, depth, run)
    if len(tokens) > MAX_TOKENS or deepest > MAX_DEPTH:
        raise ConfigError(f"{where_found}: more than {MAX_TOKENS} words or {MAX_DEPTH} levels; put long lists into a label table")


def _allow(node: "exp.Expr", columns: Collection[str], where_found: str) -> None:
    kind = type(node).__name__
    if kind not in _ALLOWED:
        allowed = ", ".join(sorted(set(_FUNCTIONS.values())))
        raise ConfigError(
            f"{where_found}: {_shown(node)} is not allowed here; allowed are comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, arithmetic and {allowed}"
        )
    if kind == "Column" and ([part.name for part in node.parts] != [node.name] or node.name not in columns):  # type: ignore[attr-defined]  # only a Column has parts
        raise ConfigError(f"{where_found}: there is no column {_shown(node)}; columns are {', '.join(columns)}")
    if kind == "DataType" and (node.sql("duckdb").upper().split("(")[0] not in _TYPES or node.expressions):
        raise ConfigError(f"{where_found}: no conversion to {_shown(node)}; allowed are {', '.join(sorted(_TYPES))}")
    if kind == "Var" and node.name.upper() not in _UNITS:
        raise ConfigError(f"{where_found}: {_shown(node)} is not a unit of time; units are {', '.join(sorted(_UNITS))}")
    if kind == "In" and (not node.expressions or node.args.get("query") or node.args.get("unnest") or node.args.get("field")):
        raise ConfigError(f"{where_found}: IN takes a list of values, unlike {_shown(node)}")


def _refuse_growth(tree: "exp.Expr", where_found: str) -> None:
    """Refuse what makes long texts out of short ones: an engine can be brought down by one value."""
    grown: dict[int, tuple[int, int]] = {}  # by node: bytes that come of literals, and times the bytes of a column
    for node in reversed(list(tree.walk(bfs=True))):  # so that the parts come before the whole
        kind, parts = type(node).__name__, [grown[id(part)] for part in node.iter_expressions()]
        literal, columns = (sum(sizes) if kind in {"Concat", "DPipe"} else max(sizes, default=0) for sizes in ([one[axis] for one in parts] for axis in (0, 1)))
        if kind == "Replace":
            literal, columns = (size * _factor(node, where_found) for size in grown[id(node.this)])
        elif kind == "Literal":
            literal = len(node.name.encode())
        elif kind == "Column":
            columns = 1
        if literal > MAX_VALUE_BYTES or columns > MAX_COLUMNS_IN_VALUE:
            most = f"{MAX_VALUE_BYTES} bytes, or {MAX_COLUMNS_IN_VALUE} times a column's"
            raise ConfigError(f"{where_found}: {_shown(node)} may become longer than {most}")
        grown[id(node)] = literal, columns


def _factor(replacing: "exp.Expr", where_found: str) -> int:
    """How many times longer a text may become by a replacement."""
    old, new = (replacing.args.get(key) for key in ("expression", "replacement"))
    if type(old).__name__ != "Literal" or type(new).__name__ != "Literal" or old is None or new is None:
        raise ConfigError(f"{where_found}: replace takes literals for what is replaced and by what, unlike {_shown(replacing)}")
    return max(1, math.ceil(len(new.name.encode()) / max(1, len(old.name.encode()))))


def _is_boolean(tree: "exp.Expr", columns: Mapping[str, str] | Collection[str]) -> bool:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        kind = type(node).__name__
        if kind in {"And", "Or", "Not", "Paren", "Escape"}:  # ESCAPE lies above its LIKE
            waiting.extend(part for part in (node.this, node.args.get("expression")) if part is not None and kind != "Escape")
        elif kind == "Column":
            if not isinstance(columns, Mapping) or columns[node.name].upper() != "BOOLEAN":
                return False
        elif kind not in _BOOLEAN:
            return False
    return True


def _try(printed: str, columns: Mapping[str, str], where_found: str) -> None:
    import duckdb

    row = ", ".join(f"CAST({_SAMPLES.get(kind.upper(), '1')} AS {kind}) AS {_quoted(name)}" for name, kind in columns.items())
    try:
        _laboratory().cursor().execute(f"SELECT ({printed}) FROM (SELECT {row}) AS row_of_samples").fetchall()
    except duckdb.Error as error:
        raise ConfigError(f"{where_found}: {_first_line(error)}") from error


@functools.cache
def _laboratory() -> "duckdb.DuckDBPyConnection":
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET enable_external_access = false")
    connection.execute("SET memory_limit = '256MB'")
    connection.execute("SET threads = 1")
    connection.execute("SET lock_configuration = true")
    return connection


def _allow_query(nodes: list[dict[str, Any]], tables: set[str], where_found: str) -> None:
    ours = {entry["key"].lower() for node in nodes for entry in node.get("cte_map", {}).get("map", [])}
    for name in sorted(ours):  # beyond its scope such a name would be looked for elsewhere: as a file, or among the system's tables
        if not _PLAIN_NAME.fullmatch(name) or name.startswith(_SYSTEM_PREFIXES):
            raise ConfigError(f"{where_found}: WITH {name!r}: name it by letters, digits and underscores, and not as a table of the system")
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE" and (node["table_name"].lower() not in tables | ours or node["schema_name"] or node["catalog_name"]):
            raise ConfigError(f"{where_found}: there is no table {node['table_name']!r}; tables are {', '.join(sorted(tables))}")
        if kind == "TABLE_FUNCTION" and node["function"]["function_name"].lower() not in _TABLE_FUNCTIONS:
            raise ConfigError(f"{where_found}: the table function {node['function'].get('function_name')} is not allowed")
        name = str(node.get("function_name", "")).lower()
        if name in _REFUSED_FUNCTIONS or name.startswith(_REFUSED_PREFIXES) or (node.get("schema") or "").lower() not in ("", "main"):
            raise ConfigError(f"{where_found}: the function {name} is not allowed")
        if kind == "SHOW_REF" or node.get("class") == "PARAMETER":
            raise ConfigError(f"{where_found}: {str(kind).lower()} is not allowed in a query")


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _shown(node: "exp.Expr") -> str:
    return repr(node.sql("duckdb", comments=False)[:100])


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
