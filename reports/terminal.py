"""Answers for people: tables with human sizes and dates, the unknown share above them and what they rest on below."""

import datetime
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports import Column, cells
from reports.state import State, age, counted, day, percent

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STYLES = {
    "no": "red",
    "unprotected": "red",
    "unknown": "yellow",
    "partly": "yellow",
    "yes": "green",
    "protected": "green",
    "incomplete": "yellow",
    "failed": "red",
}
_WIDEST_WORD, _WIDEST_PATH, _NARROWEST_PATH = 24, 40, 16  # longer values are folded
LONG = {"path", "folder", "moved_from", "condition", "error"}
RIGHT = {"bytes", "files", "count", "days", "%", "money", "level"}


@dataclass(frozen=True)
class Look:
    """How a table is drawn: its width in characters, whether in colour, and the most rows that it shows."""

    width: int = 120
    color: bool = False
    rows: int = 1000


@dataclass(frozen=True)
class Drawing:
    """What a table shows: `hidden` columns are left out of it, and `more` rows."""

    title: str
    question: str
    columns: tuple[Column, ...]
    hidden: int
    rows: tuple[dict[str, Any], ...]
    more: bool


def draw(drawing: Drawing, state: State, warnings: Sequence[str], look: Look) -> str:
    """A table as text, with its headline, its footer and the warnings; without one control character but newlines and, if wanted, colours."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    texts = [{column.name: human(row[column.name], column.unit) for column in drawing.columns} for row in drawing.rows]
    shown = _fitting(drawing.columns, texts, look.width)
    for column, width in shown:
        drawn.add_column(
            Text(heading(column)),
            justify="right" if column.unit in RIGHT else "left",
            overflow="fold",
            min_width=min(width, _NARROWEST_PATH if column.name in LONG else _WIDEST_WORD),
        )
    for text in texts:
        drawn.add_row(*(Text(text[column.name], _STYLES.get(text[column.name], "")) for column, _ in shown))
    paper = io.StringIO()
    console = Console(file=paper, width=look.width, force_terminal=look.color, no_color=not look.color, highlight=False, markup=False, emoji=False)
    console.print(Text(cells.clean(f"{drawing.title}: {drawing.question}" if drawing.question else drawing.title), "bold"))
    console.print(Text(headline(state)))
    console.print()
    console.print(drawn)
    hidden = drawing.hidden + len(drawing.columns) - len(shown)
    for line in _below(drawing, hidden, state, warnings):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in paper.getvalue().splitlines()) + "\n"


def headline(state: State) -> str:
    """How much of the whole has an unknown status, and how much an unknown answer to some threat, a line each: in files and in bytes."""
    files, size = percent(state.unknown_assets, state.assets), percent(state.unknown_bytes, state.asset_bytes)
    said = f"Status unknown: {files} of {state.assets:,} assets, {size} of {human(state.asset_bytes, 'bytes')}."
    files, size = percent(state.threat_unknown_assets, state.assets), percent(state.threat_unknown_bytes, state.asset_bytes)
    return f"{said}\nAt least one threat unknown: {files} of the assets, {size} of the bytes."


def footer(state: State) -> list[str]:
    """The snapshot, and how old each volume's scan was then."""
    known = [f"{v.volume} {age(v.scanned_at, state.as_of)}{'' if v.state == 'complete' else f' ({v.state})'}" for v in state.volumes if v.scanned_at]
    never = [v.volume for v in state.volumes if v.scanned_at is None]
    lines = [f"Snapshot {state.snapshot_id}, as of {day(state.as_of)} UTC{'' if state.complete else ', incomplete'}."]
    if known:
        lines.append(f"Age of scans at that time: {', '.join(known)}.")
    if never:
        lines.append(f"Never scanned: {', '.join(never)}.")
    return [cells.clean(line) for line in lines]


def human(value: object, unit: str = "") -> str:  # noqa: PLR0911  # one return a type
    """A value for people. Sizes and percentages are rounded down; nothing is '–'."""  # noqa: RUF002  # a dash stands for: nothing
    if value is None:
        return "–"  # noqa: RUF001  # as above
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime.datetime):
        return day(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int):
        return size(value) if unit == "bytes" else f"{value:,}"
    if isinstance(value, float):
        return f"{value:.1f}" if unit == "%" else f"{value:,.2f}"
    text = cells.clean(str(value))
    return f"{text[:12]}…" if unit == "SHA-256" else text.replace(",", ", ") if unit == "list" else text


def money(amount: float) -> str:
    """An amount with two decimals, or with two digits that are not zero where it is less: a small estate costs something too."""
    decimals = 2 if not amount or abs(amount) >= 0.01 else 1 - math.floor(math.log10(abs(amount)))
    return f"{amount:,.{decimals}f}"


def size(size_bytes: int) -> str:
    """A size in the greatest binary unit that it fills, to one decimal, rounded down."""
    step = max(0, min((abs(size_bytes).bit_length() - 1) // 10, len(_UNITS) - 1))
    if step == 0:
        return f"{size_bytes} B"
    tenths = abs(size_bytes) * 10 >> (10 * step)
    return f"{'-' if size_bytes < 0 else ''}{tenths // 10}.{tenths % 10} {_UNITS[step]}"


def _fitting(columns: Sequence[Column], texts: Sequence[dict[str, str]], width: int) -> list[tuple[Column, int]]:
    """The first columns that fit, with the width of their longest word or value."""
    from rich.cells import cell_len

    shown: list[tuple[Column, int]] = []
    used = 0
    for column in columns:
        head = max(map(cell_len, heading(column).split()))
        needed = max([head, *(cell_len(text[column.name]) for text in texts)])
        used += min(needed, max(_NARROWEST_PATH, min(_WIDEST_PATH, width // 3)) if column.name in LONG else _WIDEST_WORD) + 2
        if shown and used > width + 2:
            break
        shown.append((column, needed))
    return shown


def heading(column: Column) -> str:
    """A column's name for people, without what its values say themselves."""
    name = column.name.removesuffix("_bytes") if column.unit == "bytes" and column.name != "bytes" else column.name
    return name.removesuffix("_at").removesuffix("_pct").replace("_", " ") + (" %" if column.unit == "%" else "")


def _below(drawing: Drawing, hidden: int, state: State, warnings: Sequence[str]) -> list[str]:
    lines = [""]
    if not drawing.rows:
        lines.append("No rows.")
    return [*lines, *left_out(len(drawing.rows), drawing.more, hidden), *footer(state), *(f"Warning: {cells.clean(warning)}" for warning in warnings)]


def left_out(rows: int, more: bool, columns: int) -> list[str]:
    """The line that says what is not shown of an answer, and where it is; none where all is."""
    omitted = [f"rows after the first {rows:,}" if rows != 1 else "rows after the first"] if more else []
    omitted += [counted(columns, "column")] if columns else []
    return [f"Left out: {' and '.join(omitted)}; csv, json, jsonl, md, parquet and xlsx have all."] if omitted else []
