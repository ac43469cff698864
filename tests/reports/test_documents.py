"""Documents for auditors: spreadsheets, HTML and PDF say what they rest on, hold hostile names as text, and are the same bytes twice."""

import datetime
import html.parser
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pypdf
import pytest

from catalog.errors import MissingExtraError
from reports import Column, cells, paper, render, sheets, terminal
from tests.reports.test_render import HOSTILE, RAW, STATE, answer

ROOT = Path(__file__).parents[2]
NAMES = [*HOSTILE, "_x001B_", "no-utf8\\xff\\xfe", "\u05d0\u05d1 rtl \u05d2", "mailto:a@b.c", "https://example.org/", "{=1+1}", "&lt;b&gt;", "a" * 40_000]


def written(found: render.Answer, form: str, look: terminal.Look | None = None) -> bytes:
    out = io.BytesIO()
    render.write(found, form, out, io.StringIO(), look)
    return out.getvalue()


def hostile() -> render.Answer:
    return answer([{"path": name, "owner": name, "size_bytes": number} for number, name in enumerate(NAMES)])


class Reader(html.parser.HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_page_shows_hostile_names_as_text_and_runs_nothing() -> None:
    page = Reader(written(hostile(), "html"))
    assert {"script", "a", "img", "b", "iframe", "link"} & set(page.tags) == set()
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("href", "src")]
    assert "<script>alert(1)</script>" in page.texts
    assert "&lt;b&gt;" in page.texts
    assert not RAW.search("".join(page.texts))


def test_a_page_says_its_snapshot_its_warnings_and_what_is_unknown() -> None:
    text = " ".join(Reader(written(answer([{"a": 1}]), "html")).texts)
    for said in ("Case", "What?", "Snapshot snap-2, as of 2026-11-20 12:00 UTC, incomplete", "Status unknown: 0.3 % of 1,000 assets", "mirror: the scan of"):
        assert said in text


def test_a_page_has_all_rows_and_a_pdf_as_many_as_it_says() -> None:
    rows = [{"path": f"file-{number}", "size_bytes": number} for number in range(60)]
    assert sum(text.startswith("file-") for text in Reader(written(answer(rows), "html")).texts) == 60
    pages = pypdf.PdfReader(io.BytesIO(written(answer(rows), "pdf", terminal.Look(rows=50)))).pages
    text = "\n".join(page.extract_text() for page in pages)
    assert "file-49" in text
    assert "file-50" not in text
    assert "Left out: rows after the first 50" in text


def test_a_pdf_is_paginated_tagged_and_titled() -> None:
    rows = [{"path": f"folder/file-{number}", "size_bytes": number} for number in range(200)]
    found = pypdf.PdfReader(io.BytesIO(written(answer(rows), "pdf")))
    catalog: Any = found.trailer["/Root"]
    assert len(found.pages) > 3
    assert catalog["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in catalog
    assert found.metadata is not None
    assert found.metadata.title == "Case"
    for number, page in enumerate(found.pages, 1):
        text = page.extract_text()
        assert f"{number} / {len(found.pages)}" in text
        assert "snapshot snap-2" in text


def test_a_pdf_of_hostile_names_holds_no_action_link_or_script() -> None:
    raw = written(hostile(), "pdf")
    found = pypdf.PdfReader(io.BytesIO(raw))
    assert "/Annots" not in str([dict(page) for page in found.pages])
    assert all(key not in found.trailer["/Root"] for key in ("/OpenAction", "/AA", "/Names"))  # type: ignore[operator]  # a dictionary
    assert "<script>" in "".join(page.extract_text() for page in found.pages).replace("\0", "")


@pytest.mark.parametrize("form", ["xlsx", "html", "pdf"])
def test_the_same_answer_is_the_same_bytes(form: str) -> None:
    assert written(hostile(), form) == written(hostile(), form)


@pytest.mark.parametrize("form", ["xlsx", "html", "pdf"])
def test_the_same_answer_is_the_same_bytes_on_another_day_and_machine(form: str) -> None:
    program = f"import sys; from tests.reports import test_documents as t; sys.stdout.buffer.write(t.written(t.hostile(), {form!r}))"
    other = {"TZ": "Asia/Tokyo", "LANG": "C", "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "86400", "HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", program], env={"PATH": os.environ["PATH"], **other}, cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == written(hostile(), form)


def test_a_report_of_a_document_fetches_nothing() -> None:
    found = render.Answer(
        "c", '<img src="file:///etc/passwd">', "", (Column("a", "@import url(file:///etc/passwd)"),), pa.table({"a": ["x"]}).to_reader(), STATE
    )
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(written(found, "pdf"))).pages)
    assert "root:" not in text
    assert "<img" in text


def test_without_weasyprint_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(MissingExtraError, match=r"lastcopy\[pdf\]"):
        written(hostile(), "pdf")


def test_a_workbook_holds_text_numbers_and_flags_and_nothing_that_computes() -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5)
    rows = [{"path": name, "n": 7, "ratio": 0.5, "flag": True, "at": moment, "huge": 2**60, "none": None} for name in NAMES]
    columns = [*list(pa.Table.from_pylist(rows).schema)[:-1], pa.field("none", pa.string())]
    raw = written(answer(rows, schema=pa.schema(columns)), "xlsx")
    with zipfile.ZipFile(io.BytesIO(raw)) as package:
        parts = {name: package.read(name).decode() for name in package.namelist()}
    assert not any(tag in part for part in parts.values() for tag in ("<f>", "<f ", "<hyperlink", "relationships/hyperlink"))
    assert not any("external" in name.lower() or "vba" in name.lower() for name in parts)
    sheet = openpyxl.load_workbook(io.BytesIO(raw))["Rows"]
    lines = list(sheet.iter_rows(min_row=2, values_only=True))
    assert [line[1:6] for line in lines] == [(7, 0.5, True, "2026-01-02T03:04:05Z", str(2**60))] * len(NAMES)
    for name, line in zip(NAMES, lines, strict=True):
        expected = cells.clean(name)
        # Spreadsheets read _x005F_ as the underscore that it stands for; openpyxl does not.
        assert str(line[0]).replace("_x005F_", "_") == (expected if len(expected) <= 32_767 else expected[:32_766] + "…")


def test_a_workbook_says_what_it_rests_on() -> None:
    about = dict(openpyxl.load_workbook(io.BytesIO(written(hostile(), "xlsx")))["About"].iter_rows(values_only=True))
    assert (about["Title"], about["Snapshot"], about["As of"], about["Complete"]) == ("Case", "snap-2", "2026-11-20T12:00:00Z", "no")
    assert about["Volume tape"] == "never scanned"
    assert "longer than a cell holds" in about["Warning"]


def test_a_sheet_that_is_full_goes_on_with_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "ROWS_A_SHEET", 10)
    book = openpyxl.load_workbook(io.BytesIO(written(answer([{"n": number} for number in range(25)]), "xlsx")))
    assert book.sheetnames == ["About", "Rows", "Rows 2", "Rows 3"]
    assert [value for name in book.sheetnames[1:] for (value,) in book[name].iter_rows(min_row=2, values_only=True)] == list(range(25))


def test_words_of_a_style_sheet_cannot_leave_it() -> None:
    assert not set('";{}()*\\\n<') & set(paper._in_style('a"; } * { x: url(//h) } /*\\\n</style>'))
