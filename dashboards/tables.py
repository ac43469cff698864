"""Tables of answers: sizes for people, words with their signs, the file of exactly what is shown, and what was clicked."""

from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboards import asking, marks
from dashboards.asking import Answer
from reports import Column, Value, render
from reports.terminal import RIGHT, heading

_BADGES = {
    "no": "#b8433a", "unprotected": "#b8433a", "lost": "#b8433a", "not_met": "#b8433a", "failed": "#b8433a", "never_scanned": "#b8433a",
    "unknown": "#c98a1b", "partly": "#c98a1b", "incomplete": "#c98a1b",
    "yes": "#2e8b57", "protected": "#2e8b57", "survives": "#2e8b57", "met": "#2e8b57", "complete": "#2e8b57",
}  # fmt: skip
_SIGNED = {"status", "status_before", "outcome", "state", "user_error", "ransomware", "system_failure", "facility_outage", "result"}
_WORDS = {"threat", "reasons", "recall", "signal", "match", "freshness"}  # whose values are our own words, which files have with low lines
_TWO_LINES_PIXELS, _WIDE_PIXELS = 64, 400  # above four times the size of the font, text is wrapped
_MOMENT_PIXELS = 128
FORMATS = tuple(form for form in render.FORMATS if form not in ("table", "json", "md"))


def draw(
    answer: Answer, key: str, columns: Sequence[str] = (), *, click: bool = False, words: Sequence[str] = (), wide: Sequence[str] = ()
) -> dict[str, Any] | None:
    """Draw an answer, by default the columns of its report's table; with `click` give the row of the cell that was clicked.

    `words` are further columns of our own words, `wide` those with sentences, which take two lines.
    """
    wanted = columns or answer.table or tuple(column.name for column in answer.columns)
    of = {column.name: column for column in answer.columns}
    shown = [of[name] for name in wanted if name in of]
    if not answer.rows.num_rows:
        st.caption("No rows.")
        return None
    rows = answer.dicts()
    event: Any = st.dataframe(
        _styled(rows, shown, _WORDS.union(words)),
        key=key,
        hide_index=True,
        height="auto",
        row_height=_TWO_LINES_PIXELS if wide else None,
        placeholder="–",  # noqa: RUF001  # a dash stands for: nothing
        column_config={column.name: _configured(column, wide=column.name in wide) for column in shown},
        on_select="rerun" if click else "ignore",
        selection_mode="single-cell",
    )
    if answer.more:
        st.caption(f"The first {len(rows):,} rows; files have all of them.")
    cells = event.selection.get("cells") if click else None
    return rows[cells[0][0]] if cells and cells[0][0] < len(rows) else None


def _styled(rows: Sequence[Mapping[str, Any]], shown: Sequence[Column], words: Set[str]) -> Any:  # noqa: ANN401  # pandas' Styler, which has no type of its own here
    frame = pd.DataFrame([[_value(row[column.name], column) for column in shown] for row in rows], columns=[column.name for column in shown], dtype=object)
    styled = frame.style.format({column.name: _formatter(column, words) for column in shown})
    signed = [column.name for column in shown if column.name in _SIGNED]
    return styled.map(_colour, subset=signed) if signed else styled


def _value(value: object, column: Column) -> object:
    return marks.human(value, column.unit) if column.unit in ("list", "SHA-256") or isinstance(value, bool) else value


def _formatter(column: Column, words: Set[str]) -> Any:  # noqa: ANN401  # a function of any value
    if column.name in words:
        return lambda value: marks.human(value, column.unit).replace("_", " ")
    if column.unit == "hours":
        return lambda value: marks.human(value, "%")  # to one decimal
    if column.name in _SIGNED:
        return lambda value: marks.signed(None if value is None else str(value))
    return lambda value: marks.money(value) if column.unit == "money" and isinstance(value, float) else marks.human(value, column.unit)


def _colour(value: object) -> str:
    found = _BADGES.get(str(value))
    return f"color: {found}; font-weight: 600" if found else ""


def _configured(column: Column, *, wide: bool) -> Any:  # noqa: ANN401  # a column's configuration, a dictionary of Streamlit's own
    said = f"{column.meaning}{f' ({column.unit})' if column.unit else ''}"
    width = _WIDE_PIXELS if wide else _MOMENT_PIXELS if column.unit == "UTC" else None  # by itself it is as wide as what the first rows have
    return st.column_config.Column(heading(column), help=said, alignment=_side(column), width=width)


def _side(column: Column) -> Any:  # noqa: ANN401  # a word of Streamlit's own
    return "right" if column.unit in RIGHT or column.unit == "hours" else "left"


def downloads(name: str, key: str, params: Mapping[str, Value] | None = None, where: str | None = None, *, against: str = "") -> None:
    """Draw buttons that give all rows of a report as a file, filtered as the page shows it, and the command that says the same."""
    seen = asking.view(against)
    with st.container(horizontal=True, vertical_alignment="center"):
        for form in FORMATS:
            st.download_button(
                form.upper(),
                data=partial(asking.export, seen, name, form, params, where),
                file_name=marks.file_name(name, seen.snapshot_id) + f".{form}",
                key=f"{key}-{form}",
                on_click="ignore",
                icon=":material/download:",
                type="tertiary",
            )
    st.code(command(name, params, where, against), language=None, wrap_lines=True)


def command(name: str, params: Mapping[str, Value] | None = None, where: str | None = None, against: str = "") -> str:
    """The command line that gives the same rows."""
    words = [word for key, value in (params or {}).items() for word in (f"--{key.replace('_', '-')}", str(value))]
    words += ["--where", where] if where else []
    words += ["--against", against] if against else []
    return marks.command("report", name, *words, "--snapshot", asking.view().snapshot_id)
