"""DuckDB's SQL as Spark's: what is known to mean the same is translated, some is written anew so that it does, and all else is refused.

A list of what is allowed, since a translator of text says nothing where a function has another meaning elsewhere. See docs/cluster.md and ADR 0036.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from catalog.errors import RefusedError

_Node = Any  # one of sqlglot, that has no types for what a node of each kind has
Schema = Mapping[str, Mapping[str, str]]  # table -> column -> type of DuckDB

_QUERY = "Select From Where Group Having Order Ordered With CTE Subquery Table TableAlias Join Union Distinct Alias Limit Column Star Identifier Paren Tuple"
_VALUES = "Literal Boolean Null Cast TryCast DataType DataTypeParam Interval Var Case If In Is Between Like Neg Coalesce Nullif Greatest Least"
_OPERATORS = "And Or Not EQ NEQ LT LTE GT GTE NullSafeEQ NullSafeNEQ Add Sub Mul Div IntDiv Mod DPipe BitwiseAnd BitwiseOr BitwiseNot"
_NUMBERS = "Abs Floor Sqrt"
_TEXTS = "Concat Contains EndsWith StartsWith Length Lower LowerHex Replace SplitPart Substring Translate RegexpLike ArrayToString ArrayContains Explode"
_TIMES = "DateDiff Extract TimestampTrunc"
_SUMS = "Count Sum Min Max Avg Filter LogicalAnd LogicalOr BitwiseOrAgg GroupConcat Window WindowSpec RowNumber Lag Lead FirstValue"
ALLOWED = frozenset(" ".join((_QUERY, _VALUES, _OPERATORS, _NUMBERS, _TEXTS, _TIMES, _SUMS)).split())

_WHOLE = exp.DataType.INTEGER_TYPES
_FUNCTIONS = frozenset({"bit_count"})  # that sqlglot has no name for
_SPANS = {"to_seconds": "SECOND", "to_minutes": "MINUTE", "to_hours": "HOUR", "to_days": "DAY"}
_UNITS = frozenset({"YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"})
_PLAIN_PATTERN = re.compile(r"(?:[A-Za-z0-9/_ ,;=@%&~'\"<>:!#-]|[\^$.*+|]|\((?!\?)|\)|\?|\\[.\\/+*?()|\[\]{}^$-]|\[\^?[A-Za-z0-9/_ .,-]+\])*")
_NO_FRACTION, _HALF = "CAST(4503599627370496 AS DOUBLE)", "CAST(0.5 AS DOUBLE)"  # a DOUBLE of 2**52 is whole
_MOST_DIGITS = 15  # of a number that a DOUBLE tells from its neighbours


def to_spark(query: exp.Expr, schema: Schema, values: Mapping[str, Any] | None = None, what: str = "query") -> str:
    """A query of DuckDB as one of Spark with the same answer; `values` of its parameters become literals.

    `schema` has the tables that it reads. Raises RefusedError that begins with `what` and names the first construct that is not known to mean the same.
    """
    tree: Any = query.transform(lambda node: _literal(node, values or {}))
    tree = _qualified(tree, schema, what)
    nodes = list(tree.walk(bfs=False))
    for node in nodes:
        _allow(node, what)
    for node in reversed(nodes):  # children before parents
        made = _REWRITES.get(type(node), _as_it_is)(node, what)
        if made is not node:
            made.type = made.type or node.type
            node.replace(made)
    written: str = tree.sql("spark", comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE)
    return written


def _literal(node: exp.Expr, values: Mapping[str, Any]) -> exp.Expr:
    if isinstance(node, (exp.Placeholder, exp.Parameter)):
        return exp.convert(values[node.name])
    return node


def _qualified(tree: exp.Expr, schema: Schema, what: str) -> exp.Expr:
    """With every column's table and type told, and stars written out."""
    from sqlglot.errors import SqlglotError

    for node in list(tree.find_all(exp.Anonymous)):  # before types are looked for, that these do not have
        if node.name.lower() in _SPANS:
            number = node.expressions[0]
            whole = number.find(exp.Literal) if number.find(exp.Trunc) else None  # INTERVAL 1 HOUR, as DuckDB writes it in its views
            node.replace(exp.Mul(this=exp.paren((whole or number).copy()), expression=_one(_SPANS[node.name.lower()])))
    try:
        qualified = qualify(tree, schema=dict(schema), dialect="duckdb", quote_identifiers=True, validate_qualify_columns=True)
        return annotate_types(qualified, schema=dict(schema), dialect="duckdb")
    except SqlglotError as error:
        raise RefusedError(f"{what}: it cannot be read well enough to be run on the cluster: {str(error).splitlines()[0]}") from error


def _one(unit: str) -> exp.Interval:
    return exp.Interval(this=exp.Literal.string("1"), unit=exp.var(unit))


def _allow(node: exp.Expr, what: str) -> None:
    if type(node).__name__ not in ALLOWED and not (isinstance(node, exp.Anonymous) and node.name.lower() in _FUNCTIONS):
        raise _refusal(node, what)


def _refusal(node: exp.Expr, what: str, why: str = "it is not known to mean the same there") -> RefusedError:
    return RefusedError(f"{what}: {node.sql('duckdb', comments=False)[:120]} cannot be run on the cluster: {why}; --engine local answers")


def _as_it_is(node: exp.Expr, _what: str) -> exp.Expr:
    return node


def _number(node: _Node, what: str) -> exp.Expr:
    """A number with a point is a DECIMAL in DuckDB, which its `/` and every DOUBLE beside it make a DOUBLE."""
    if node.is_string or node.this.isdigit() or isinstance(node.parent, (exp.Interval, exp.Cast)):
        return node  # type: ignore[no-any-return]  # a node
    if len(node.this.replace(".", "").strip("0")) > _MOST_DIGITS or not isinstance(node.parent, _ARITHMETIC):
        raise _refusal(node, what, "a number of so many digits, or in such a place, is not the same in other engines")
    return _double(node)


_ARITHMETIC = (exp.Div, exp.Mul, exp.Add, exp.Sub, exp.Neg, exp.Paren, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.Alias)


def _div(node: _Node, _what: str) -> exp.Expr:
    """`/` is of DOUBLEs in DuckDB, whatever stands beside it."""
    made = exp.Div(this=_double(exp.paren(node.this.copy())), expression=_double(exp.paren(node.expression.copy())))
    made.type = exp.DataType.build("DOUBLE")
    return made


def _double(node: _Node) -> exp.Expr:
    made = exp.cast(node.copy(), "DOUBLE")
    made.type = made.to
    return made


def _int_div(node: _Node, what: str) -> exp.Expr:
    """`//` of whole numbers, in numbers so wide that a product before it is no less than in DuckDB, where sums have 128 bits."""
    for side in (node.this, node.expression):
        if not _is_whole(side):
            raise _refusal(node, what, "// of what is not known to be whole numbers")
    return exp.IntDiv(this=_wide(node.this), expression=_wide(node.expression))


def _mul(node: _Node, _what: str) -> exp.Expr:
    """A product of whole numbers that does not fit is an error in DuckDB, and in one engine another number: it is made of wider ones, and has to fit here."""
    return _wide(node) if _is_whole(node.this) and _is_whole(node.expression) else node


def _wide(node: exp.Expr) -> exp.Expr:
    inner = node.unnest()
    if isinstance(inner, exp.Mul):
        return exp.paren(exp.Mul(this=_wide(inner.this), expression=_wide(inner.expression)))
    return exp.cast(exp.paren(node.copy()), "DECIMAL(38, 0)" if not isinstance(inner, exp.Literal) else "DECIMAL(10, 0)")


def _count(node: _Node, _what: str) -> exp.Expr:
    return node if node.this is not None else exp.Count(this=exp.Star())  # `count()`, as DuckDB writes `count(*)` in its views


def _sum(node: _Node, what: str) -> exp.Expr:
    """Sums of whole numbers have 128 bits in DuckDB; 64 would be an error in one engine, and another number in the next."""
    summed = node.this
    if _is_whole(summed):
        return exp.Sum(this=exp.cast(exp.paren(summed.copy()), "DECIMAL(38, 0)"))
    if summed.type is None or summed.type.this not in (*exp.DataType.FLOAT_TYPES, exp.DataType.Type.DECIMAL):
        raise _refusal(node, what, "a sum of what is not known to be numbers")
    return node  # type: ignore[no-any-return]  # a node


def _is_whole(node: exp.Expr) -> bool:
    """Whether a node gives whole numbers; sums of them were made wide before."""
    if isinstance(node, (exp.Paren, exp.Cast)) and node.meta.get("whole"):
        return True
    return node.type is not None and (node.type.this in _WHOLE or node.type.sql("duckdb") in ("DECIMAL(38, 0)", "HUGEINT", "INT128"))


def _cast(node: _Node, what: str) -> exp.Expr:
    """A cast to whole numbers rounds in DuckDB: a DOUBLE to the even one of two, and cuts off elsewhere."""
    wanted = node.to.this
    if wanted in (exp.DataType.Type.INT128, exp.DataType.Type.UINT128):
        return exp.cast(node.this.copy(), "DECIMAL(38, 0)")
    known = node.this.type.this if node.this.type is not None else None
    if (
        wanted in _WHOLE
        and not isinstance(node.this, exp.Null)
        and known not in _WHOLE | {exp.DataType.Type.BOOLEAN, exp.DataType.Type.NULL} | exp.DataType.TEXT_TYPES
    ):
        if known not in exp.DataType.FLOAT_TYPES:
            raise _refusal(node, what, "a cast to whole numbers rounds, and elsewhere cuts off")
        return _even(node)
    if wanted == exp.DataType.Type.DECIMAL and known in exp.DataType.FLOAT_TYPES:
        raise _refusal(node, what, "a number with a fraction is rounded otherwise there; take floor")
    if wanted in exp.DataType.TEXT_TYPES:
        return _as_text(node, what)
    return node  # type: ignore[no-any-return]  # a node


def _as_text(node: _Node, what: str) -> exp.Expr:
    """Numbers with a fraction are written otherwise elsewhere: 1e+16 and 1.0E16."""
    parts = [node.this] if isinstance(node, exp.Cast) else list(node.flatten()) if isinstance(node, exp.DPipe) else node.expressions
    for part in parts:
        if part.type is not None and part.type.this in (*exp.DataType.FLOAT_TYPES, exp.DataType.Type.DECIMAL):
            raise _refusal(node, what, "a number with a fraction is written otherwise there")
    return node  # type: ignore[no-any-return]  # a node


def _like(node: _Node, what: str) -> exp.Expr:
    """A backslash in a pattern is itself in DuckDB, and takes the meaning of the next character away elsewhere."""
    for part in node.expression.walk():
        if isinstance(part, exp.Column) and not (isinstance(part.parent, exp.Cast) and _is_whole(part)):
            raise _refusal(node, what, "a pattern that is made of columns may hold what means something else there")
        if isinstance(part, exp.Literal) and part.is_string:
            part.set("this", part.this.replace("\\", "\\\\"))
    return node  # type: ignore[no-any-return]  # a node


def _regexp(node: _Node, what: str) -> exp.Expr:
    """A pattern that somebody writes may use only what is the same everywhere; those of columns are made by `catalog.glob`, for all engines."""
    pattern = node.expression
    if (not isinstance(pattern, exp.Literal) or not _PLAIN_PATTERN.fullmatch(pattern.this)) and not pattern.find(exp.Column):
        raise _refusal(node, what, "only a plain regular expression is the same in other engines")
    if node.args.get("flag"):
        raise _refusal(node, what, "flags of a regular expression are others there")
    return node  # type: ignore[no-any-return]  # a node


def _even(node: _Node) -> exp.Expr:
    """A DOUBLE as the whole number next to it, of two the even one."""
    number = f"({node.this.sql('spark')})"
    below, rest = f"FLOOR({number})", f"({number} - FLOOR({number}))"
    more = f"CASE WHEN {rest} > {_HALF} OR ({rest} = {_HALF} AND {below} % 2 <> 0) THEN 1 ELSE 0 END"
    whole = f"CASE WHEN ABS({number}) >= {_NO_FRACTION} THEN CAST({number} AS BIGINT) ELSE {below} + {more} END"
    return _typed(f"CAST({whole} AS {node.to.sql('spark')})", node.to)


def _floor(node: _Node, what: str) -> exp.Expr:
    """Of a DOUBLE it is a DOUBLE in DuckDB."""
    if not _is_float(node.this):
        raise _refusal(node, what, "of what is no DOUBLE it is of another type there")
    number = f"({node.this.sql('spark')})"
    return _typed(f"CASE WHEN ABS({number}) >= {_NO_FRACTION} THEN {number} ELSE CAST(FLOOR({number}) AS DOUBLE) END", node.this.type)


def _typed(text: str, kind: _Node) -> exp.Expr:
    made: exp.Expr = sqlglot.parse_one(text, read="spark")
    made.type = kind
    return made


def _avg(node: _Node, what: str) -> exp.Expr:
    if not _is_float(node.this):
        raise _refusal(node, what, "a mean of anything but DOUBLEs is worked out otherwise there; divide a sum by a count")
    return node  # type: ignore[no-any-return]  # a node


def _is_float(node: exp.Expr) -> bool:
    return node.type is not None and node.type.this in exp.DataType.FLOAT_TYPES


def _try_cast(node: _Node, what: str) -> exp.Expr:
    if node.to.this not in _WHOLE or node.this.type is None or node.this.type.this not in exp.DataType.TEXT_TYPES:
        raise _refusal(node, what, "only of a text to whole numbers it is the same")
    return node  # type: ignore[no-any-return]  # a node


def _date_diff(node: _Node, what: str) -> exp.Expr:
    """Days are counted by midnights in DuckDB."""
    if str(node.args.get("unit") or "DAY").strip("'").upper() != "DAY":
        raise _refusal(node, what, "only days between two times are the same")
    return exp.Anonymous(this="DATEDIFF", expressions=[exp.cast(node.this.copy(), "DATE"), exp.cast(node.expression.copy(), "DATE")])


def _interval(node: _Node, what: str) -> exp.Expr:
    if str(node.args.get("unit")).upper().rstrip("S") not in _UNITS or not isinstance(node.this, exp.Literal) or not str(node.this.this).isdigit():
        raise _refusal(node, what, "only a whole number of one unit is the same")
    return node  # type: ignore[no-any-return]  # a node


def _unit(node: _Node, what: str) -> exp.Expr:
    unit = node.args.get("unit") or node.this
    if str(unit.name).upper() not in _UNITS:
        raise _refusal(node, what, f"of times it is the same by {', '.join(sorted(_UNITS))} only")
    return node  # type: ignore[no-any-return]  # a node


def _union(node: _Node, what: str) -> exp.Expr:
    """BY NAME is written out where both sides have the same columns."""
    if node.args.get("by_name"):
        left, right = (side.unnest() for side in (node.left, node.right))
        names, found = [column.alias_or_name for column in left.selects], {column.alias_or_name: column for column in right.selects}
        if not isinstance(right, exp.Select) or sorted(names) != sorted(found):
            raise _refusal(node, what, "UNION BY NAME of other columns")
        right.set("expressions", [found[name] for name in names])
        node.set("by_name", False)
    return node  # type: ignore[no-any-return]  # a node


_REWRITES: Mapping[type, Callable[[Any, str], exp.Expr]] = {
    exp.Literal: _number,
    exp.Div: _div,
    exp.IntDiv: _int_div,
    exp.Mul: _mul,
    exp.Sum: _sum,
    exp.Count: _count,
    exp.Cast: _cast,
    exp.TryCast: _try_cast,
    exp.DateDiff: _date_diff,
    exp.Interval: _interval,
    exp.TimestampTrunc: _unit,
    exp.Extract: _unit,
    exp.Union: _union,
    exp.Concat: _as_text,
    exp.DPipe: _as_text,
    exp.Like: _like,
    exp.RegexpLike: _regexp,
    exp.Floor: _floor,
    exp.Avg: _avg,
}
