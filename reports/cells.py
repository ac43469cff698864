"""Columns of an answer made safe and plain: no control character, no formula, times and digests as text."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog import printable

clean = printable.clean
_FORMULA = r"^[=+\-@\t\r＝＋－＠]"  # noqa: RUF001  # the wide forms start a formula too, in some spreadsheets
_SPACE, _DELETE = 0x20, 0x7F


def safe(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose texts hold no control character; lists and structures become JSON, other columns stay as they are."""
    columns = [_as_text(column) if pa.types.is_nested(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays([_cleaned(column) for column in columns], names=batch.schema.names)


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A safe batch of numbers, flags and texts only: times are ISO 8601 with Z, bytes lower-case hexadecimal, lists and structures JSON."""
    return pa.RecordBatch.from_arrays([_cleaned(_as_text(column)) for column in batch.columns], names=batch.schema.names)


def without_formulas(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A plain batch in which a text that a spreadsheet would compute begins with an apostrophe."""
    return pa.RecordBatch.from_arrays([_guarded(column) for column in batch.columns], names=batch.schema.names)


def _guarded(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    risky = pc.match_substring_regex(column, _FORMULA)
    if not pc.any(risky).as_py():
        return column
    return pc.if_else(risky, pc.binary_join_element_wise(pa.scalar("'"), column, pa.scalar("")), column)


def _as_text(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_timestamp(kind):
        text = pc.replace_substring(column.cast(pa.timestamp("us")).cast(pa.string()), " ", "T", max_replacements=1)
        return pc.replace_substring_regex(text, r"(\.000000)?$", "Z", max_replacements=1)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return column
    if pa.types.is_decimal(kind) and kind.scale == 0 and _fits(column):
        return column.cast(pa.int64())  # a sum of whole numbers is one
    if pa.types.is_dictionary(kind):
        return _as_text(column.dictionary_decode())
    return pa.array([_one_text(value) for value in column.to_pylist()], pa.string())


def _fits(column: pa.Array) -> bool:
    return all(value is None or -(2**63) <= value < 2**63 for value in column.to_pylist())


def _one_text(value: Any) -> str | None:  # noqa: ANN401  # a value of any SQL type, as users' own queries give
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, default=_json_text, ensure_ascii=False) if isinstance(value, list | dict | tuple) else str(value)


def _json_text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _cleaned(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_string(column.type) or _is_printable_ascii(column):
        return column
    unsafe = pc.match_substring_regex(column, printable.RE2)
    if not pc.any(unsafe).as_py():
        return column
    return pa.array([None if text is None else clean(text) for text in column.to_pylist()], pa.string())


def _is_printable_ascii(column: pa.Array) -> bool:
    data = column.buffers()[2]
    if data is None or not data.size:
        return True
    offsets = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, column.offset * 4)
    seen = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return not seen.size or bool(seen.min() >= _SPACE and seen.max() < _DELETE)
