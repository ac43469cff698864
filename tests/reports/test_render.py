"""Every format: safe against hostile text, complete about itself, and read in batches."""

import csv
import dataclasses
import datetime
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

import reports
from catalog.errors import ConfigError
from reports import Column, cells, render, state, terminal
from reports.state import State, VolumeState, age, counted, percent
from tests.reports.conftest import AS_OF, Estate

STATE = State(
    "snap-2", AS_OF, False,
    (
        VolumeState("projects", "complete", AS_OF - datetime.timedelta(hours=2), 0, None),
        VolumeState("mirror", "incomplete", AS_OF - datetime.timedelta(days=3), 7, None),
        VolumeState("tape", "never_scanned", None, 0, None),
    ),
    1000, 5000, 3, 4, 5, 6,
)  # fmt: skip
HOSTILE = [
    "\x1b]0;owned\x07\x1b[2J", "a\nb\rc\td",
    "\x9b31m", "\u202egpj.exe", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1",
    "|x|", "<script>alert(1)</script>", "[x](javascript:alert(1))", "`x`", "**x**", "a,b\"c'd", "\u2028\u200b\ufeff", "\0", "[red]x[/red]", ":smile:",
    "$(reboot)",
]  # fmt: skip
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def answer(rows: list[dict[str, Any]], columns: list[Column] | None = None, schema: pa.Schema | None = None) -> render.Answer:
    table = pa.Table.from_pylist(rows, schema)
    named = columns or [Column(name, name) for name in table.column_names]
    return render.Answer("case", "Case", "What?", tuple(named), table.to_reader(max_chunksize=2), STATE)


def written(found: render.Answer, form: str, look: terminal.Look | None = None) -> str:
    out = io.BytesIO()
    render.write(found, form, out, io.StringIO(), look)
    return out.getvalue().decode()


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl", "md"])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_control_or_format_character_reaches_any_output(form: str, text: str) -> None:
    shown = written(answer([{"path": text, "owner": text}]), form, terminal.Look(color=False))
    assert not RAW.search(shown)


def test_a_table_in_colour_has_no_escape_but_its_own_styles() -> None:
    shown = written(answer([{"path": text} for text in HOSTILE]), "table", terminal.Look(color=True))
    assert not RAW.search(re.sub("\x1b\\[[0-9;]*m", "", shown))
    assert "[red]x[/red]" in shown
    assert ":smile:" in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_a_csv_is_a_formula_and_each_can_be_read_back(text: str) -> None:
    [_, row] = csv.reader(io.StringIO(written(answer([{"path": text, "n": -1}]), "csv")))
    assert row[0][0] not in "=+-@\t\r\uff1d"
    assert row[0].removeprefix("'") == cells.clean(text) or row[0] == cells.clean(text)
    assert row[1] == "-1"


def test_a_csv_tells_nothing_from_an_empty_text() -> None:
    assert written(answer([{"a": None, "b": ""}], schema=pa.schema([("a", pa.string()), ("b", pa.string())])), "csv") == '"a","b"\n,""\n'


def test_markdown_shows_text_and_never_markup() -> None:
    shown = written(answer([{"path": text} for text in HOSTILE]), "md")
    assert "<script" not in shown
    rows = [line for line in shown.splitlines() if line.startswith("| ")]
    assert len(rows) == len(HOSTILE) + 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 2 for row in rows)
    assert r"\[x\]\(javascript:alert\(1\)\)" in shown


def test_markdown_puts_numbers_right_and_words_left() -> None:
    columns = [Column("path", "path"), Column("size_bytes", "size", "bytes"), Column("reasons", "why", "list"), Column("seen_at", "when", "UTC")]
    shown = written(answer([{"path": "a", "size_bytes": 1, "reasons": "conflict", "seen_at": None}], columns), "md")
    assert "| --- | ---: | --- | --- |" in shown


def test_json_is_one_envelope_with_times_digests_and_nulls() -> None:
    row = {
        "t": datetime.datetime(2026, 1, 2, 3, 4, 5),
        "us": datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
        "d": b"\xab\xff",
        "big": 2**60,
        "x": float("nan"),
        "ok": True,
    }
    found = json.loads(written(answer([row, dict.fromkeys(row)]), "json"))
    assert {key: found[key] for key in ("schema", "snapshot", "as_of", "complete")} == {
        "schema": "case/1", "snapshot": "snap-2", "as_of": "2026-11-20T12:00:00Z", "complete": False,
    }  # fmt: skip
    assert found["data"] == [
        {"t": "2026-01-02T03:04:05Z", "us": "2026-01-02T03:04:05.000006Z", "d": "abff", "big": 2**60, "x": None, "ok": True},
        dict.fromkeys(row),
    ]
    assert [warning.split()[1].rstrip(":") for warning in found["warnings"]] == ["mirror", "tape"]


def test_json_of_no_rows_is_still_an_envelope() -> None:
    assert json.loads(written(answer([], schema=pa.schema([("a", pa.int64())])), "json"))["data"] == []


def test_jsonl_is_one_row_a_line() -> None:
    assert [json.loads(line) for line in written(answer([{"a": n} for n in range(5)]), "jsonl").splitlines()] == [{"a": n} for n in range(5)]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_rows_without_an_envelope_tell_their_snapshot_beside_them_in_one_line(form: str) -> None:
    talk = io.StringIO()
    render.write(answer([{"a": 1}]), form, io.BytesIO(), talk)
    assert talk.getvalue().count("\n") == 1
    assert json.loads(talk.getvalue())["snapshot"] == "snap-2"


def test_a_csv_file_has_its_snapshot_in_a_file_beside_it(tmp_path: Path) -> None:
    assert render.save(answer([{"a": 1}]), "csv", tmp_path / "x.csv") == 1
    meta = json.loads((tmp_path / "x.csv.meta.json").read_text())
    assert (meta["schema"], meta["snapshot"], meta["unknown_assets"]) == ("case/1", "snap-2", 3)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.csv", "x.csv.meta.json"]


def test_parquet_keeps_types_and_carries_its_snapshot(tmp_path: Path) -> None:
    rows = [{"n": 2**60, "t": datetime.datetime(2026, 1, 1), "s": "\x1b"}]
    render.save(answer(rows), "parquet", tmp_path / "x.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert table.to_pylist() == [rows[0] | {"s": "\\x1b", "t": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}]
    assert json.loads(table.schema.metadata[b"lastcopy"])["snapshot"] == "snap-2"


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    def broken() -> Any:  # noqa: ANN401  # a generator of batches
        yield pa.RecordBatch.from_pydict({"a": [1]})
        raise RuntimeError("the disk is full")

    (tmp_path / "x.csv").write_text("before")
    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), broken())
    with pytest.raises(RuntimeError, match="the disk is full"):
        render.save(render.Answer("case", "Case", "", (Column("a", "a"),), reader, STATE), "csv", tmp_path / "x.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]
    assert (tmp_path / "x.csv").read_text() == "before"


def test_a_file_that_is_written_again_keeps_its_permissions_and_the_link_that_leads_to_it(tmp_path: Path) -> None:
    file, link = tmp_path / "kept.csv", tmp_path / "newest.csv"
    file.write_text("before")
    file.chmod(0o600)
    link.symlink_to("kept.csv")
    render.save(answer([{"a": 1}]), "csv", link)
    assert link.is_symlink()
    assert file.read_text() == '"a"\n1\n'
    assert file.stat().st_mode & 0o777 == 0o600


def test_rows_are_written_while_they_are_read(tmp_path: Path) -> None:
    sizes: list[int] = []

    def batches() -> Any:  # noqa: ANN401  # a generator of batches
        for _ in range(3):
            sizes.append(out.tell())
            yield pa.RecordBatch.from_pydict({"a": list(range(1000))})

    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), batches())
    with (tmp_path / "x").open("wb") as out:
        render.write(render.Answer("case", "Case", "", (Column("a", "a"),), reader, STATE), "jsonl", out, io.StringIO())
    assert sizes[0] < sizes[1] < sizes[2]


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no format 'ods'; formats are table, csv, json"):
        written(answer([{"a": 1}]), "ods")


def test_a_table_says_what_is_unknown_above_and_what_it_rests_on_below() -> None:
    shown = written(answer([{"size_bytes": 1023 * 1024 + 1023}], [Column("size_bytes", "", "bytes")]), "table")
    assert "Status unknown: 0.3 % of 1,000 assets, < 0.1 % of 4.8 KiB.\nAt least one threat unknown: 0.5 % of the assets, 0.1 % of the bytes." in shown
    assert "1023.9 KiB" in shown
    assert "Snapshot snap-2, as of 2026-11-20 12:00 UTC, incomplete." in shown
    assert "Age of scans at that time: projects 2 h, mirror 3 d (incomplete)." in shown
    assert "Never scanned: tape." in shown
    assert "Warning: volume tape was never scanned: what it holds is unknown" in shown


def test_a_volume_whose_first_scan_failed_is_told_once() -> None:
    failed = VolumeState("tape", "failed", None, 0, "its root is empty")
    found = dataclasses.replace(STATE, volumes=(failed,)).warnings
    assert found == ["volume tape was never scanned: what it holds is unknown; its scan failed: its root is empty"]


def test_a_table_says_what_it_leaves_out() -> None:
    wide = [{"n": n, "path": "p" * 200, "status": "unprotected"} for n in range(3)]
    shown = written(answer(wide), "table", terminal.Look(width=30, rows=2))
    assert "Left out: rows after the first 2 and 1 column;" in " ".join(shown.split())
    assert all(len(line) <= 30 for line in shown.splitlines())
    assert "No rows." in written(answer([], schema=pa.schema([("a", pa.int64())])), "table")


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1024**2 - 1, "1023.9 KiB"), (2**40, "1.0 TiB"), (2**63 - 1, "7.9 EiB"), (-2048, "-2.0 KiB")],
)
def test_sizes_are_rounded_down(size: int, shown: str) -> None:
    assert terminal.size(size) == shown


@pytest.mark.parametrize(("part", "whole", "shown"), [(999, 1000, "99.9 %"), (9999, 10000, "99.9 %"), (1, 10000, "< 0.1 %"), (0, 5, "0.0 %"), (0, 0, "\u2013")])
def test_shares_are_rounded_down_and_something_never_reads_as_nothing(part: int, whole: int, shown: str) -> None:
    assert percent(part, whole) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(59, "59 s"), (60, "1 min"), (7199, "1 h"), (86400 * 3 - 1, "2 d"), (-5, "0 s")])
def test_ages_are_whole_units(seconds: int, shown: str) -> None:
    assert age(AS_OF, AS_OF + datetime.timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize("name", reports.names())
def test_every_report_is_written_in_every_format(name: str, estate: Estate) -> None:
    connection, report = estate(files=[{"path": "a\\x1b"}]), reports.load(name)
    for form in render.FORMATS:
        out = io.BytesIO()
        rows = render.write(render.answer(report, report.run(connection), state.read(connection)), form, out, io.StringIO())
        assert bool(out.getvalue()) == (rows > 0 or form != "jsonl")
        assert connection.execute("SELECT 1").fetchall() == [(1,)], "the connection is free again"


def test_both_regular_expressions_know_the_same_unsafe_characters() -> None:
    characters = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000] + [chr(0xE0001), chr(0xE007F), chr(0x10FFFF)]
    batch = pa.RecordBatch.from_pydict({"c": characters})
    assert cells.safe(batch).column("c").to_pylist() == [cells.clean(character) for character in characters]
    alone = [cells.safe(pa.RecordBatch.from_pydict({"c": [c]})).column("c")[0].as_py() for c in "\x1b\x85\u202e\u200b\ufeff\u2028éÜ語"]
    assert alone == ["\\x1b", "\\xc2\\x85", "\\xe2\\x80\\xae", "\\xe2\\x80\\x8b", "\\xef\\xbb\\xbf", "\\xe2\\x80\\xa8", "é", "Ü", "語"]


@pytest.mark.parametrize(("number", "noun", "said"), [(1, "problem", "1 problem"), (0, "problem", "0 problems"), (2000, "entry", "2,000 entries")])
def test_one_thing_is_not_said_in_the_plural(number: int, noun: str, said: str) -> None:
    assert counted(number, noun) == said


def test_a_sum_of_whole_numbers_is_a_number_in_json() -> None:
    batch = pa.RecordBatch.from_pydict({"total": pa.array([517913941, None], pa.decimal128(38, 0)), "huge": pa.array([2**70, 1], pa.decimal128(38, 0))})
    assert cells.plain(batch).to_pylist() == [{"total": 517913941, "huge": str(2**70)}, {"total": None, "huge": "1"}]
