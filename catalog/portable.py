"""DuckDB's SQL as Spark's: what is known to mean the same is translated, some is written anew so that it does, and all else is refused.

A list of what is allowed, since a translator of text says nothing where a function has another meaning elsewhere. See docs/cluster.md and ADR 0036.
"""

from collections.abc import Callable, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.optimizer.annotate_types import TypeAnnotator, annotate_types
from sqlglot.optimizer.qualify import qualify

from catalog import portable_values as values_of
from catalog.errors import RefusedError
from catalog.portable_values import kind_of, refusal

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
_HUGE = frozenset({exp.DataType.Type.INT128, exp.DataType.Type.UINT128})
_COERCED = {
    **{kind: others | (_HUGE if kind in _WHOLE else set()) for kind, others in TypeAnnotator.COERCES_TO.items()},
    exp.DataType.Type.INT128: {exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT, exp.DataType.Type.DECIMAL},
}
_MOMENTS = exp.DataType.TEMPORAL_TYPES
_KNOWN: Any = Dialect.get_or_raise("duckdb").EXPRESSION_METADATA  # sqlglot's own ways to tell types
_CAST_NAMES = "TINYINT SMALLINT INT BIGINT BOOLEAN TEXT VARCHAR DATE TIMESTAMP TIMESTAMPNTZ DATETIME DOUBLE DECIMAL"
_CASTS = frozenset(exp.DataType.Type[name] for name in _CAST_NAMES.split())
_FUNCTIONS = frozenset({"bit_count"})  # that sqlglot has no name for
_SPANS = {"to_seconds": "SECOND", "to_minutes": "MINUTE", "to_hours": "HOUR", "to_days": "DAY"}
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
    if not isinstance(node, (exp.Placeholder, exp.Parameter)):
        return node
    value = values[node.name]
    return exp.cast(exp.Literal.string(repr(value)), "DOUBLE") if isinstance(value, float) else exp.convert(value)


def _type_of_sum(annotator: _Node, node: _Node) -> None:
    _KNOWN[exp.Sum]["annotator"](annotator, node)
    if kind_of(node) in _WHOLE:
        node.type = exp.DataType.Type.INT128


def _type_of_difference(annotator: _Node, node: _Node) -> None:
    _KNOWN[exp.Sub]["annotator"](annotator, node)
    if kind_of(node.this) in _MOMENTS and kind_of(node.expression) in _MOMENTS:
        node.type = exp.DataType.Type.INTERVAL


def _qualified(tree: exp.Expr, schema: Schema, what: str) -> exp.Expr:
    """With every column's table and type told, and stars written out."""
    from sqlglot.errors import SqlglotError

    for node in list(tree.find_all(exp.Anonymous)):  # before types are looked for, that these do not have
        if node.name.lower() in _SPANS:
            number = node.expressions[0]
            whole = number.find(exp.Literal) if number.find(exp.Trunc) else None  # INTERVAL 1 HOUR, as DuckDB writes it in its views
            node.replace(exp.Mul(this=exp.paren((whole or number).copy()), expression=_one(_SPANS[node.name.lower()])))
    told: Any = {**_KNOWN, exp.Sum: {"annotator": _type_of_sum}, exp.Sub: {"annotator": _type_of_difference}, exp.Div: {"returns": exp.DataType.Type.DOUBLE}}
    try:
        qualified = qualify(tree, schema=dict(schema), dialect="duckdb", quote_identifiers=True, validate_qualify_columns=True)
        return annotate_types(qualified, schema=dict(schema), dialect="duckdb", expression_metadata=told, coerces_to=_COERCED)
    except SqlglotError as error:
        raise RefusedError(f"{what}: it cannot be read well enough to be run on the cluster: {str(error).splitlines()[0]}") from error


def _one(unit: str) -> exp.Interval:
    return exp.Interval(this=exp.Literal.string("1"), unit=exp.var(unit))


def _allow(node: exp.Expr, what: str) -> None:
    if type(node).__name__ not in ALLOWED and not (isinstance(node, exp.Anonymous) and node.name.lower() in _FUNCTIONS):
        raise refusal(node, what)
    if isinstance(node, exp.Substring):  # while what it takes is as it was written
        values_of.check_substring(node, what)


def _as_it_is(node: exp.Expr, _what: str) -> exp.Expr:
    return node


def _number(node: _Node, what: str) -> exp.Expr:
    """A number with a point is a DECIMAL in DuckDB, which its `/` and every DOUBLE beside it make a DOUBLE."""
    if node.is_string or node.this.isdigit() or isinstance(node.parent, exp.Interval):
        return node  # type: ignore[no-any-return]  # a node
    digits = node.this.lower().partition("e")[0].replace(".", "").strip("0")
    if len(digits) > _MOST_DIGITS or not ("e" in node.this.lower() or _is_beside_double(node)):
        raise refusal(node, what, "a number with a point is the same only with few digits and beside a DOUBLE; CAST(... AS DOUBLE) makes one")
    return _double(node)


def _is_beside_double(node: _Node) -> bool:
    """Whether DuckDB makes a number a DOUBLE before it does anything with it."""
    while isinstance(node.parent, (exp.Paren, exp.Neg)):
        node = node.parent
    parent = node.parent
    if isinstance(parent, exp.Div):
        return True
    if isinstance(parent, exp.Cast):
        return bool(parent.to.this == exp.DataType.Type.DOUBLE)
    if isinstance(parent, exp.Between):
        return node is not parent.this and _is_double(parent.this)
    if isinstance(parent, (exp.Add, exp.Sub, exp.Mul, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)):
        return _is_double(parent.expression if node is parent.this else parent.this)
    return False


def _is_double(node: _Node) -> bool:
    """A number with a point is none, though its type is said to be so."""
    while isinstance(node, (exp.Paren, exp.Neg)):
        node = node.this
    return kind_of(node) == exp.DataType.Type.DOUBLE and not isinstance(node, exp.Literal)


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
            raise refusal(node, what, "// of what is not known to be whole numbers")
    return exp.IntDiv(this=_wide(node.this), expression=_wide(node.expression))


def _checked(node: _Node, what: str) -> exp.Expr:
    """What is worked out of whole numbers and does not fit is an error in DuckDB, and in one engine another number: made of wider ones it has to fit."""
    if isinstance(node, exp.Neg):
        sides = [] if isinstance(node.this, exp.Literal) else [node.this]
    else:
        values_of.moved(node, what)
        sides = [node.this, node.expression]
    if not sides or not all(_is_whole(side) for side in sides):
        return node  # type: ignore[no-any-return]  # a node
    made = exp.paren(type(node)(**dict(zip(("this", "expression"), map(_wide, sides), strict=False))))
    return _of_type(made, "DECIMAL(38, 0)") if any(_is_huge(side) for side in sides) else _of_type(exp.cast(made, "BIGINT"), "BIGINT")


def _of_type(node: exp.Expr, kind: str) -> exp.Expr:
    node.type = exp.DataType.build(kind)
    return node


def _is_huge(node: _Node) -> bool:
    return node.type.this not in _WHOLE or node.type.this in _HUGE


def _wide(node: _Node) -> exp.Expr:
    inner = node.unnest()
    if kind_of(inner) == exp.DataType.Type.DECIMAL:
        return node.copy()  # type: ignore[no-any-return]  # a node
    digits = max(10, len(inner.this)) if isinstance(inner, exp.Literal) else 38
    return exp.cast(exp.paren(node.copy()), f"DECIMAL({digits}, 0)")


def _bits(node: _Node, _what: str) -> exp.Expr:
    """In parentheses, for & comes before | elsewhere."""
    return exp.paren(node.copy())


def _not_bits(node: _Node, what: str) -> exp.Expr:
    """`~1 + 2` is `~(1 + 2)` in DuckDB."""
    if isinstance(node.parent, (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod)):
        raise refusal(node.parent, what, "~ takes more with it there; write parentheses")
    return node  # type: ignore[no-any-return]  # a node


def _function(node: _Node, what: str) -> exp.Expr:
    if kind_of(node.expressions[0]) != exp.DataType.Type.BIGINT:
        raise refusal(node, what, "only of a BIGINT it has as many bits there")
    return node  # type: ignore[no-any-return]  # a node


def _distinct(node: _Node, what: str) -> exp.Expr:
    if node.args.get("on"):
        raise refusal(node.parent, what, "DISTINCT ON takes other rows there")
    return node  # type: ignore[no-any-return]  # a node


def _sum(node: _Node, what: str) -> exp.Expr:
    """Sums of whole numbers have 128 bits in DuckDB; 64 would be an error in one engine, and another number in the next."""
    summed = node.this
    if isinstance(summed, exp.Distinct) or (not _is_whole(summed) and kind_of(summed) not in (exp.DataType.Type.DOUBLE, exp.DataType.Type.DECIMAL)):
        raise refusal(node, what, "a sum of what is not known to be numbers")
    if _is_whole(summed):
        return exp.Sum(this=exp.cast(exp.paren(summed.copy()), "DECIMAL(38, 0)"))
    return node  # type: ignore[no-any-return]  # a node


def _cast(node: _Node, what: str) -> exp.Expr:
    """A cast to whole numbers rounds in DuckDB: a DOUBLE to the even one of two, and cuts off elsewhere."""
    wanted, known = node.to.this, kind_of(node.this)
    if isinstance(node.this, exp.Null):
        return node  # type: ignore[no-any-return]  # a node
    if wanted == exp.DataType.Type.INT128 and (known is None or _is_whole(node.this)):
        return exp.cast(node.this.copy(), "DECIMAL(38, 0)")
    if wanted not in _CASTS or (known is not None and known not in _CASTS | {exp.DataType.Type.INT128, exp.DataType.Type.NULL}):
        raise refusal(node, what, "a cast between such types is not the same there")
    if wanted in _WHOLE and known not in _WHOLE | {exp.DataType.Type.BOOLEAN, exp.DataType.Type.NULL} | exp.DataType.TEXT_TYPES:
        if known != exp.DataType.Type.DOUBLE and not _is_whole(node.this):
            raise refusal(node, what, "a cast to whole numbers rounds, and elsewhere cuts off")
        return _even(node) if known == exp.DataType.Type.DOUBLE else node
    if wanted == exp.DataType.Type.DECIMAL and known == exp.DataType.Type.DOUBLE:
        raise refusal(node, what, "a number with a fraction is rounded otherwise there; take floor")
    if wanted in exp.DataType.TEXT_TYPES:
        return values_of.text(node, what)
    return node  # type: ignore[no-any-return]  # a node


def _count(node: _Node, _what: str) -> exp.Expr:
    return node if node.this is not None else exp.Count(this=exp.Star())  # `count()`, as DuckDB writes `count(*)` in its views


def _is_whole(node: exp.Expr) -> bool:
    """Whether a node gives whole numbers; sums of them were made wide before."""
    if isinstance(node, (exp.Paren, exp.Cast)) and node.meta.get("whole"):
        return True
    return node.type is not None and (node.type.this in _WHOLE or node.type.sql("duckdb") in ("DECIMAL(38, 0)", "HUGEINT", "INT128"))


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
        raise refusal(node, what, "of what is no DOUBLE it is of another type there")
    number = f"({node.this.sql('spark')})"
    return _typed(f"CASE WHEN ABS({number}) >= {_NO_FRACTION} THEN {number} ELSE CAST(FLOOR({number}) AS DOUBLE) END", node.this.type)


def _typed(text: str, kind: _Node) -> exp.Expr:
    made: exp.Expr = sqlglot.parse_one(text, read="spark")
    made.type = kind
    return made


def _avg(node: _Node, what: str) -> exp.Expr:
    if not _is_float(node.this):
        raise refusal(node, what, "a mean of anything but DOUBLEs is worked out otherwise there; divide a sum by a count")
    return node  # type: ignore[no-any-return]  # a node


def _is_float(node: exp.Expr) -> bool:
    return node.type is not None and node.type.this in exp.DataType.FLOAT_TYPES


def _try_cast(node: _Node, what: str) -> exp.Expr:
    if node.to.this not in _WHOLE or node.this.type is None or node.this.type.this not in exp.DataType.TEXT_TYPES:
        raise refusal(node, what, "only of a text to whole numbers it is the same")
    return node  # type: ignore[no-any-return]  # a node


def _union(node: _Node, what: str) -> exp.Expr:
    """BY NAME is written out where both sides have the same columns."""
    if node.args.get("by_name"):
        left, right = (side.unnest() for side in (node.left, node.right))
        names, found = [column.alias_or_name for column in left.selects], {column.alias_or_name: column for column in right.selects}
        if not isinstance(right, exp.Select) or sorted(names) != sorted(found):
            raise refusal(node, what, "UNION BY NAME of other columns")
        right.set("expressions", [found[name] for name in names])
        node.set("by_name", False)
    return node  # type: ignore[no-any-return]  # a node


_REWRITES: Mapping[type, Callable[[Any, str], exp.Expr]] = {
    exp.Literal: _number,
    exp.Div: _div,
    exp.IntDiv: _int_div,
    **dict.fromkeys((exp.Mul, exp.Add, exp.Sub, exp.Neg), _checked),
    **dict.fromkeys((exp.BitwiseAnd, exp.BitwiseOr), _bits),
    exp.BitwiseNot: _not_bits,
    exp.Anonymous: _function,
    exp.Distinct: _distinct,
    exp.Sum: _sum,
    exp.Count: _count,
    exp.Cast: _cast,
    exp.TryCast: _try_cast,
    exp.DateDiff: values_of.date_diff,
    exp.Interval: values_of.interval,
    exp.TimestampTrunc: values_of.unit,
    exp.Extract: values_of.unit,
    exp.Union: _union,
    exp.Concat: values_of.text,
    exp.DPipe: values_of.text,
    exp.Like: values_of.like,
    exp.RegexpLike: values_of.regexp,
    exp.Floor: _floor,
    exp.Avg: _avg,
    exp.SplitPart: values_of.split_part,
    exp.ArrayToString: values_of.joined,
    exp.ArrayContains: values_of.contained,
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Between, exp.In), values_of.compared),
}
