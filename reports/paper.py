"""Answers as documents for people: HTML, and PDF of the same template, for an auditor's folder."""

import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from catalog.errors import MissingExtraError
from reports import cells, terminal
from reports.state import counted, day, iso

if TYPE_CHECKING:
    from jinja2 import Template

    from reports.render import Answer

PDF_ROWS = 1000  # a page of rows takes a tenth of a second to lay out
_PDF_LETTERS = 500  # of a cell: laying out one word takes time with the square of its letters
_WEIGHTS = {"long": 40, "list": 18, "number": 5, "": 9}  # letters of a column's width beside its heading
_TEMPLATE = Path(__file__).parent / "paper.html"


@dataclass(frozen=True)
class Heading:
    """A column as the document shows it. `kind` is a class of its style sheet, '' for none; `share_pct` is its part of a printed line."""

    heading: str
    meaning: str
    kind: str
    share_pct: int

    @property
    def number(self) -> bool:
        """Whether its values stand on the right."""
        return self.kind == "number"


def html(found: "Answer", out: IO[bytes]) -> int:
    """Write a page that stands alone: no script, no other file. All rows; gives their number."""
    page = _Page(found, sys.maxsize, sys.maxsize)
    for part in _template().generate(**page.values()):
        out.write(part.encode())
    return page.rows


def pdf(found: "Answer", out: IO[bytes], rows: int = PDF_ROWS) -> int:
    """Write a tagged, paginated PDF of the first rows and give their number; the same answer gives the same bytes. Raises MissingExtraError."""
    try:
        import weasyprint
    except (ImportError, OSError) as error:  # OSError: the package is there, Pango is not
        raise MissingExtraError(
            f"PDF needs WeasyPrint and Pango: pip install 'lastcopy[pdf]', and as root apt-get install libpango-1.0-0 libpangoft2-1.0-0 ({error}); "
            "--format html needs neither"
        ) from error
    weasyprint.LOGGER.setLevel("ERROR")  # that a font lacks a letter, or a rule is for screens, is no concern of who asked
    page = _Page(found, rows, _PDF_LETTERS)
    text = _template().render(**page.values())
    paper = io.BytesIO()
    weasyprint.HTML(string=text, url_fetcher=_Closed()).write_pdf(paper, pdf_tags=True)
    out.write(paper.getvalue())
    return page.rows


class _Closed:
    """Fetches nothing: a document is made of what it holds."""

    def __call__(self, url: str, *_: object, **__: object) -> object:
        raise ValueError(f"{url}: a report refers to nothing outside itself")

    fetch = __call__


class _Page:
    """What the template shows. Rows are counted while it reads them."""

    def __init__(self, found: "Answer", most: int, letters: int) -> None:
        self.found = found
        self.most = most
        self.letters = letters
        self.rows = 0
        self.cut = 0
        self.more = False
        self.columns = [column for column in found.columns if column.name in (found.table or [column.name])]

    def values(self) -> dict[str, Any]:
        found = self.found
        return {
            "title": cells.clean(found.title),
            "question": cells.clean(found.question),
            "as_of_iso": iso(found.state.as_of),
            "page_words": _in_style(f"{found.title} · snapshot {found.state.snapshot_id}, as of {day(found.state.as_of)} UTC"),
            "head": [*terminal.footer(found.state), *terminal.headline(found.state).splitlines()],
            "warnings": [cells.clean(warning) for warning in (*found.state.warnings, *found.warnings)],
            "columns": self._headings(),
            "rows": self._rows(),
            "left_out": self._left_out,
        }

    def _headings(self) -> list[Heading]:
        named = [(terminal.heading(column), column.meaning, _kind(column.name, column.unit)) for column in self.columns]
        weights = [_WEIGHTS[kind] + max(map(len, heading.split()), default=0) for heading, _, kind in named]
        return [
            Heading(cells.clean(head), cells.clean(meaning), kind, 100 * own // sum(weights)) for (head, meaning, kind), own in zip(named, weights, strict=True)
        ]

    def _rows(self) -> Iterator[list[str]]:
        for batch in self.found.batches:
            part = cells.safe(batch).select([column.name for column in self.columns]).slice(0, self.most - self.rows)
            for row in part.to_pylist():
                yield [self._cell(terminal.human(row[column.name], column.unit)) for column in self.columns]
            self.rows += part.num_rows
            if part.num_rows < batch.num_rows:
                self.more = True
                return

    def _cell(self, text: str) -> str:
        if len(text) <= self.letters:
            return text
        self.cut += 1
        return text[: self.letters] + "…"

    def _left_out(self) -> list[str]:
        hidden = len(self.found.columns) - len(self.columns)
        cut = [f"{counted(self.cut, 'text')} longer than {self.letters} letters end in …; csv, xlsx and html have them whole."] if self.cut else []
        return [*(["No rows."] if not self.rows else []), *terminal.left_out(self.rows, self.more, hidden), *cut]


def _kind(name: str, unit: str) -> str:
    return "number" if unit in terminal.RIGHT else "long" if name in terminal.LONG else "list" if unit == "list" else ""


def _in_style(text: str) -> str:
    """Text within quotes of a style sheet, where the template's own escaping does not hold."""
    return re.sub(r"[^\w .,:·/+-]", " ", text)


def _template() -> "Template":
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_TEMPLATE.read_text("utf-8"))
