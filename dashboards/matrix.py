"""The matrix of groups and threats: what is known to survive, three-valued, a cell leading to the assets behind it."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from catalog.words import THREATS
from dashboards import asking, marks
from dashboards.marks import literal

GROUPS = {"class": "Data classes", "volume": "Volumes", "owner": "Owners", "folder": "Top folders"}
_NONE = ("○", "rgba(184,67,58,.62)")  # of what nothing is known to survive
_BANDS = (
    (100.0, "●", "rgba(46,139,87,.45)"),
    (80.0, "◕", "rgba(46,139,87,.22)"),
    (50.0, "◑", "rgba(201,138,27,.30)"),
    (0.0, "◔", "rgba(207,107,53,.34)"),
)
SAID = (
    "Share of the assets that are known to survive, rounded down: ○ none, ● all; ? are those of which it is not known. Click a cell to see the files behind it."
)
LINES = 200  # the most that a matrix shows


@dataclass(frozen=True)
class Cell:
    """A group and a threat."""

    name: str
    threat: str


def draw(by: str, key: str) -> Cell | None:
    """Draw the matrix and give the cell that was clicked."""
    answer = asking.report("coverage", {"by": by}, limit=LINES * len(THREATS))
    lines: dict[str, dict[str, Any]] = {}
    for row in answer.dicts():
        lines.setdefault(row["name"], {})[row["threat"]] = row
    names = list(lines)
    frame = pd.DataFrame(
        {
            "name": [name or "(none)" for name in names],
            **{threat: [_said(lines[name][threat]) for name in names] for threat in THREATS},
            "assets": [lines[name][THREATS[0]]["assets"] for name in names],
            "bytes": [lines[name][THREATS[0]]["bytes"] for name in names],
        }
    )
    colours = {threat: [_colour(lines[name][threat]) for name in names] for threat in THREATS}
    styled = frame.style.format({"bytes": lambda value: marks.human(int(value), "bytes"), "assets": "{:,}"})
    for threat in THREATS:
        styled = styled.apply(lambda _, threat=threat: colours[threat], subset=[threat])
    event: Any = st.dataframe(
        styled,
        key=key,
        hide_index=True,
        height="auto",
        column_config={"name": GROUPS[by], **marks.THREATS},
        on_select="rerun",
        selection_mode="single-cell",
    )
    if answer.more:
        st.caption(f"The first {LINES:,} groups; files have all of them.")
    cells = event.selection.get("cells")
    if not cells or cells[0][0] >= len(names):
        return None
    place, column = cells[0]
    return Cell(names[place], column if column in THREATS else "")


def condition(by: str, cell: Cell) -> str:
    """The condition over the columns of `assets` that gives the assets behind a cell; those that do not surely survive, where it names a threat."""
    group = {
        "class": lambda name: f"data_class = {literal(name)}",
        "volume": lambda name: f"volume = {literal(name)}",
        "owner": lambda name: f"owner = {literal(name)}" if name else "(owner IS NULL OR owner = '')",
        "folder": _folder,
    }[by](cell.name)
    return f"{group} AND {cell.threat} <> 'yes'" if cell.threat in THREATS else group


def _folder(name: str) -> str:
    volume, _, folder = name.partition(":")
    inside = f"starts_with(path, {literal(folder + '/')})" if folder else "strpos(path, '/') = 0"
    return f"volume = {literal(volume)} AND {inside}"


def _said(row: dict[str, Any]) -> str:
    if row["waived"]:
        return f"{marks.human(row['covered_pct'], '%')} % · waived"
    if row["covered_pct"] is None:
        return "–"  # noqa: RUF001  # a dash stands for: nothing to divide
    unknown = f" · {row['unknown_assets']:,} ?" if row["unknown_assets"] else ""
    return f"{_band(row)[0]} {marks.human(row['covered_pct'], '%')} %{unknown}"


def _colour(row: dict[str, Any]) -> str:
    if row["waived"] or row["covered_pct"] is None:
        return ""
    return f"background-color: {_band(row)[1]}"


def _band(row: dict[str, Any]) -> tuple[str, str]:
    return next((sign, colour) for least, sign, colour in _BANDS if row["covered_pct"] >= least) if row["covered_assets"] else _NONE
