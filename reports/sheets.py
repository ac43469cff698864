"""Answers as spreadsheets: one workbook, written row by row, in which no text is computed or becomes a link."""

from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from reports import cells, terminal
from reports.state import day, iso

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from reports.render import Answer

ROWS_A_SHEET = 1_048_575  # what a sheet holds below its heading
_LONGEST = 32_767  # characters of a cell
_EXACT = 2**53  # whole numbers above it are not exact in a spreadsheet
_OPTIONS = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "nan_inf_to_errors": False}


def write(found: "Answer", out: IO[bytes]) -> int:
    """Write the workbook: sheet `About`, then the rows, on as many sheets as they need. Gives the number of rows; the same answer gives the same bytes."""
    import xlsxwriter

    with xlsxwriter.Workbook(out, _OPTIONS) as book:
        book.set_properties({"title": cells.clean(found.title), "comments": "Written by Lastcopy", "created": found.state.as_of})
        about, bold = book.add_worksheet("About"), book.add_format({"bold": True})
        rows, cut = _rows(found, book, bold)
        _about(found, about, bold, cut)
    return rows


def _rows(found: "Answer", book: "Workbook", bold: "Format") -> tuple[int, int]:
    """How many rows were written, and how many texts were cut off at the longest that a cell holds."""
    names = [column.name for column in found.columns]
    sheet, rows, cut = _sheet(book, "Rows", names, bold), 0, 0
    for batch in found.batches:
        for row in cells.plain(batch).to_pylist():
            if rows and rows % ROWS_A_SHEET == 0:
                sheet = _sheet(book, f"Rows {rows // ROWS_A_SHEET + 1}", names, bold)
            cut += _row(sheet, rows % ROWS_A_SHEET + 1, row)
            rows += 1
    return rows, cut


def _sheet(book: "Workbook", name: str, names: list[str], bold: "Format") -> "Worksheet":
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(names):
        sheet.set_column(place, place, 48 if column in terminal.LONG else 16)
        sheet.write_string(0, place, cells.clean(column), bold)
    return sheet


def _row(sheet: "Worksheet", line: int, row: Mapping[str, Any]) -> int:
    cut = 0
    for place, value in enumerate(row.values()):
        if value is None:
            continue
        if isinstance(value, bool):
            sheet.write_boolean(line, place, value)
        elif isinstance(value, int | float) and abs(value) <= _EXACT:
            sheet.write_number(line, place, value)
        else:
            text = str(value)
            cut += len(text) > _LONGEST
            sheet.write_string(line, place, text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
    return cut


def _about(found: "Answer", sheet: "Worksheet", bold: "Format", cut: int) -> None:
    state = found.state
    warnings = [*state.warnings, *found.warnings, *([f"{cut:,} texts are longer than a cell holds, and end in …; csv has them whole"] if cut else [])]
    lines = [
        ("Title", found.title),
        ("Question", found.question),
        ("Snapshot", state.snapshot_id),
        ("As of", iso(state.as_of)),
        ("Complete", "yes" if state.complete else "no"),
        *[("Unknown", line) for line in terminal.headline(state).splitlines()],
        *[(f"Volume {v.volume}", f"{v.state}, scanned {day(v.scanned_at)} UTC" if v.scanned_at else "never scanned") for v in state.volumes],
        *[("Warning", warning) for warning in warnings],
        *[(f"Column {column.name}", f"{column.meaning}{f', in {column.unit}' if column.unit else ''}") for column in found.columns],
    ]
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, 1, 110)
    for place, (name, value) in enumerate(lines):
        sheet.write_string(place, 0, cells.clean(name), bold)
        sheet.write_string(place, 1, cells.clean(value)[:_LONGEST])
