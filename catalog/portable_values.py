"""Rules of `catalog.portable` for texts, lists and times: each gives what means the same in Spark, or refuses."""

import re
from typing import Any

import sqlglot
from sqlglot import exp

from catalog.errors import RefusedError

_Node = Any  # one of sqlglot, that has no types for what a node of each kind has

_UNITS = frozenset({"YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"})
_PLAIN_PATTERN = re.compile(r"(?:[A-Za-z0-9/_ ,;=@%&~'\"<>:!#-]|[\^$.*+|]|\((?!\?)|\)|\?|\\[.\\/+*?()|\[\]{}^$-]|\[\^?[A-Za-z0-9/_ .,-]+\])*")
_MADE_PATTERNS = {("omissions", "text"), ("exceptions", "controls")}  # by this program, of what is the same everywhere
_BLOBS = frozenset({exp.DataType.Type.BLOB, exp.DataType.Type.BINARY, exp.DataType.Type.VARBINARY})
LISTS = frozenset({exp.DataType.Type.ARRAY, exp.DataType.Type.LIST})


def refusal(node: exp.Expr, what: str, why: str = "it is not known to mean the same there") -> RefusedError:
    """The error for a construct."""
    return RefusedError(f"{what}: {node.sql('duckdb', comments=False)[:120]} cannot be run on the cluster: {why}; --engine local answers")


def kind_of(node: exp.Expr) -> exp.DType | None:
    """The type of what a node gives, None where it is not known."""
    return None if node.type is None or node.type.this == exp.DataType.Type.UNKNOWN else node.type.this


def text(node: _Node, what: str) -> exp.Expr:
    """Numbers with a fraction are written otherwise elsewhere: 1e+16 and 1.0E16. Lists are put together otherwise where one is NULL."""
    parts = [node.this] if isinstance(node, exp.Cast) else list(node.flatten()) if isinstance(node, exp.DPipe) else node.expressions
    for part in parts:
        if kind_of(part) in (*exp.DataType.FLOAT_TYPES, exp.DataType.Type.DECIMAL):
            raise refusal(node, what, "a number with a fraction is written otherwise there")
        if kind_of(part) in LISTS | _BLOBS:
            raise refusal(node, what, "a list or bytes are no text there")
    return node  # type: ignore[no-any-return]  # a node


def like(node: _Node, what: str) -> exp.Expr:
    """A backslash in a pattern is itself in DuckDB, and takes the meaning of the next character away elsewhere."""
    for part in node.expression.walk():
        if isinstance(part, exp.Column) and not (isinstance(part.parent, exp.Cast) and kind_of(part) in exp.DataType.INTEGER_TYPES):
            raise refusal(node, what, "a pattern that is made of columns may hold what means something else there")
        if isinstance(part, exp.Literal) and part.is_string:
            part.set("this", part.this.replace("\\", "\\\\"))
    return node  # type: ignore[no-any-return]  # a node


def regexp(node: _Node, what: str) -> exp.Expr:
    """A pattern that somebody writes may use only what is the same everywhere, and stands there; of columns only this program's own."""
    pattern = node.expression
    columns, literals = list(pattern.find_all(exp.Column)), list(pattern.find_all(exp.Literal))
    made = bool(columns) and all(_is_made(column) for column in columns)
    if not (made or isinstance(pattern, exp.Literal)) or not all(_PLAIN_PATTERN.fullmatch(literal.this) for literal in literals):
        raise refusal(node, what, "only a plain regular expression is the same in other engines")
    if node.args.get("flag"):
        raise refusal(node, what, "flags of a regular expression are others there")
    return node  # type: ignore[no-any-return]  # a node


def _is_made(column: exp.Column) -> bool:
    select = column.find_ancestor(exp.Select)
    tables = {table.alias_or_name: table.name for table in select.find_all(exp.Table)} if select is not None else {}
    return (tables.get(column.table, ""), column.name) in _MADE_PATTERNS


def check_substring(node: _Node, what: str) -> None:
    """Characters before the first count in DuckDB, and do not elsewhere; a length below nothing goes backward."""
    start, length = node.args["start"], node.args.get("length")
    if not _is_from(start, 1) or (length is not None and start.sql() != "1" and not _is_from(length, 0)):
        raise refusal(node, what, "only from 1 on, with no length below 0, it is the same")


def _is_from(node: _Node, least: int) -> bool:
    """Whether a number is known to be no less: a literal, or a length and a literal."""
    inner = node.unnest()
    if isinstance(inner, exp.Add) and isinstance(inner.this, exp.Length):
        inner = inner.expression
    return isinstance(inner, exp.Literal) and str(inner.this).isdigit() and int(inner.this) >= least


def split_part(node: _Node, what: str) -> exp.Expr:
    """An empty separator parts all characters in DuckDB."""
    separator = node.args["delimiter"]
    if not isinstance(separator, exp.Literal) or not separator.this:
        raise refusal(node, what, "only with a separator that stands there and is not empty it is the same")
    return node  # type: ignore[no-any-return]  # a node


def joined(node: _Node, what: str) -> exp.Expr:
    """A separator that is NULL is none in DuckDB, and makes all NULL elsewhere."""
    if not isinstance(node.expression, exp.Literal):
        raise refusal(node, what, "only with a separator that stands there it is the same")
    return node  # type: ignore[no-any-return]  # a node


def contained(node: _Node, what: str) -> exp.Expr:
    """Whether a list has a value: in DuckDB a list with a NULL in it has no other for that, and an empty one has no NULL."""
    names, value = node.this, node.expression
    if isinstance(value, exp.Null):
        raise refusal(node, what, "what has a NULL is not the same there")
    has = f"COALESCE(ARRAY_CONTAINS({names.sql('spark')}, {value.sql('spark')}), FALSE)"
    if isinstance(value, exp.Literal):
        written = f"CASE WHEN {names.sql('spark')} IS NOT NULL THEN {has} END"
    else:
        of_null = f"CASE WHEN SIZE({names.sql('spark')}) = 0 THEN FALSE END"
        written = f"CASE WHEN {names.sql('spark')} IS NULL THEN NULL WHEN {value.sql('spark')} IS NULL THEN {of_null} ELSE {has} END"
    made: exp.Expr = sqlglot.parse_one(written, read="spark")
    made.type = exp.DataType.build("BOOLEAN")
    return exp.paren(made, copy=False)


def date_diff(node: _Node, what: str) -> exp.Expr:
    """Days are counted by midnights in DuckDB."""
    if str(node.args.get("unit") or "DAY").strip("'").upper() != "DAY":
        raise refusal(node, what, "only days between two times are the same")
    return exp.Anonymous(this="DATEDIFF", expressions=[exp.cast(node.this.copy(), "DATE"), exp.cast(node.expression.copy(), "DATE")])


def interval(node: _Node, what: str) -> exp.Expr:
    """A span of one unit."""
    if str(node.args.get("unit")).upper().rstrip("S") not in _UNITS or not isinstance(node.this, exp.Literal) or not str(node.this.this).isdigit():
        raise refusal(node, what, "only a whole number of one unit is the same")
    return node  # type: ignore[no-any-return]  # a node


def unit(node: _Node, what: str) -> exp.Expr:
    """Of a span the parts are others there; seconds have a fraction there."""
    wanted, of = (node.args["unit"], node.this) if isinstance(node, exp.TimestampTrunc) else (node.this, node.expression)
    known = _UNITS - ({"SECOND"} if isinstance(node, exp.Extract) else set())
    if str(wanted.name).upper() not in known or kind_of(of) not in exp.DataType.TEMPORAL_TYPES:
        raise refusal(node, what, f"only of times, by {', '.join(sorted(known))}, it is the same")
    return node  # type: ignore[no-any-return]  # a node


def compared(node: _Node, what: str) -> exp.Expr:
    """A month is 30 days in DuckDB where spans are compared: only what lies between two times is the same span everywhere."""
    for side in (node.this, *(node.args.get(name) for name in ("expression", "low", "high")), *node.expressions):
        if side is not None and kind_of(side) == exp.DataType.Type.INTERVAL and (not isinstance(side.unnest(), exp.Sub) or side.find(exp.Interval)):
            raise refusal(node, what, "spans are compared otherwise there")
    return node  # type: ignore[no-any-return]  # a node


def moved(node: _Node, what: str) -> exp.Expr:
    """A DATE and a span are a TIMESTAMP in DuckDB, and two DATEs a number."""
    if exp.DataType.Type.DATE in (kind_of(node.this), kind_of(node.expression)):
        raise refusal(node, what, "a DATE with something added or taken away is of another type there")
    return node  # type: ignore[no-any-return]  # a node
