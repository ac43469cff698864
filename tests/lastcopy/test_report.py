"""Reports and questions by the real program: every format, and hostile names in each."""

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import reports
from catalog import names
from tests.lastcopy.conftest import HOSTILE, Estate, grow
from tests.lastcopy.program import ask, run

UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
PRINTED = {names.escape(name) for name in HOSTILE} | {"deep/same"}


def test_without_a_name_the_reports_are_listed(estate: Estate) -> None:
    assert [row["report"] for row in ask("report", "--format", "json", folder=estate.folder).data] == reports.names()


@pytest.mark.parametrize("name", reports.names())
def test_every_report_has_help_with_its_parameters_and_answers(name: str, estate: Estate) -> None:
    help_text = ask("report", name, "--help", folder=estate.folder).out.decode()
    assert all(f"--{parameter.name.replace('_', '-')}" in help_text for parameter in reports.load(name).params)
    assert ("--against" in help_text) == (name in ("changes", "clean-copies", "ransomware-signals"))
    ended = ask("report", name, "--format", "json", folder=estate.folder)
    assert ended.envelope["schema"] == f"{name}/1"
    assert set(ended.envelope) == {"schema", "snapshot", "as_of", "complete", "data", "warnings"}


@pytest.mark.parametrize(("report", "option"), [("dormant-copies", "--days=-1"), ("costs", "--days=-1"), ("fixity", "--days=-1"), ("folders", "--depth=-1")])
def test_a_number_below_the_least_is_refused_as_usage(report: str, option: str, estate: Estate) -> None:
    ended = run("report", report, option, folder=estate.folder, code=2)
    assert f"parameter {option[2:-3]}: -1 is less than 0" in ended.err


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl", "md"])
@pytest.mark.parametrize(
    "command", [("report", "assets"), ("find", "e"), ("sql", "SELECT path FROM files ORDER BY path"), ("simulate", "--lose", "site=paris")]
)
def test_no_format_lets_a_control_character_through(command: tuple[str, ...], form: str, estate: Estate) -> None:
    ended = ask(*command, "--format", form, folder=estate.folder)
    text = ended.out.decode("utf-8")
    assert text
    assert not UNSAFE.search(text)
    assert not UNSAFE.search(ended.err)


def test_a_csv_has_every_name_once_and_no_formula(estate: Estate) -> None:
    rows = list(csv.DictReader(io.StringIO(ask("report", "assets", "--format", "csv", folder=estate.folder).out.decode())))
    assert {row["path"].removeprefix("'") for row in rows} == PRINTED
    assert not [row["path"] for row in rows if row["path"].startswith(("=", "@", "-", "+"))]


def test_names_come_back_from_json_to_the_byte(estate: Estate) -> None:
    rows = ask("report", "assets", "--format", "json", folder=estate.folder).data
    assert {names.unescape(row["path"]) for row in rows} == {*HOSTILE, b"deep/same"}


def test_the_ending_of_the_output_chooses_the_format(estate: Estate, tmp_path: Path) -> None:
    for ending in ("csv", "json", "jsonl", "md", "parquet", "txt"):
        ended = ask("report", "assets", "--output", str(tmp_path / f"assets.{ending}"), folder=estate.folder)
        assert ended.out == b""
    assert pq.read_table(tmp_path / "assets.parquet").num_rows == len(PRINTED)
    assert json.loads((tmp_path / "assets.json").read_text())["schema"] == "assets/1"
    assert json.loads((tmp_path / "assets.csv.meta.json").read_text())["complete"] is False
    assert (tmp_path / "assets.txt").read_text().startswith("Assets")


@pytest.mark.parametrize("command", [("report", "volumes"), ("volume", "list"), ("sql", "SELECT 1 AS a")])
@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_pipe_that_is_named_as_output_is_written_to_and_stays_a_pipe(command: tuple[str, ...], form: str, estate: Estate, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(pipe.read_bytes)
        ask(*command, "--format", form, "--output", str(pipe), folder=estate.folder)
        if not pipe.is_fifo():
            pipe.unlink()
            pytest.fail("the pipe was replaced by a file")
        assert read.result() == ask(*command, "--format", form, folder=estate.folder).out
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"]


def test_a_folder_as_output_is_a_usage_error(estate: Estate, tmp_path: Path) -> None:
    ask("report", "assets", "--output", str(tmp_path), folder=estate.folder, code=2)


def test_an_ending_that_is_no_format_is_a_usage_error_unless_a_format_is_given(estate: Estate, tmp_path: Path) -> None:
    ended = ask("report", "assets", "--output", str(tmp_path / "assets.ods"), folder=estate.folder, code=2)
    assert "known are .csv, .json, .jsonl, .md, .parquet, .xlsx, .html, .pdf, .txt" in ended.err
    assert not (tmp_path / "assets.ods").exists()
    ask("report", "assets", "--output", str(tmp_path / "assets.tsv"), "--format", "csv", folder=estate.folder)
    ask("report", "assets", "--output", str(tmp_path / "assets"), folder=estate.folder)


def test_output_into_a_folder_that_is_not_there_is_a_usage_error(estate: Estate, tmp_path: Path) -> None:
    ask("report", "assets", "--output", str(tmp_path / "no" / "assets.csv"), folder=estate.folder, code=2)


def test_flags_work_before_and_after_the_name_and_the_later_one_wins(estate: Estate) -> None:
    one = ask("--format", "json", "report", "coverage", folder=estate.folder)
    two = ask("report", "--format", "json", "coverage", folder=estate.folder)
    three = ask("--format", "csv", "report", "coverage", "--format", "json", folder=estate.folder)
    assert one.data == two.data == three.data


def test_where_and_limit_narrow_the_answer(estate: Estate) -> None:
    rows = ask("report", "assets", "--where", "path LIKE 'deep/%'", "--format", "json", folder=estate.folder).data
    assert [row["path"] for row in rows] == ["deep/same"]
    assert len(ask("report", "assets", "--limit", "2", "--format", "json", folder=estate.folder).data) == 2
    assert len(ask("report", "assets", "--limit", "0", "--format", "json", folder=estate.folder).data) == len(PRINTED)
    ask("report", "assets", "--where", "read_text('/etc/passwd') = ''", folder=estate.folder, code=2)


def test_sql_prints_the_query_and_asks_nothing(tmp_path: Path) -> None:
    assert ask("report", "coverage", "--sql", folder=tmp_path).out.decode().rstrip() == reports.load("coverage").sql.rstrip()


def test_the_catalog_is_enough_to_ask(estate: Estate, tmp_path: Path) -> None:
    root = str(estate.folder / "catalog")
    assert ask("report", "coverage", "--catalog", root, "--format", "json", folder=tmp_path).data
    assert ask("report", "coverage", "--catalog", root, "--snapshot", "2100-01-01", "--format", "json", folder=tmp_path).data
    assert (
        "no snapshot of 2000-01-01 or before; the oldest is"
        in ask("report", "coverage", "--catalog", root, "--snapshot", "2000-01-01", folder=tmp_path, code=6).err
    )


def test_without_a_snapshot_a_report_says_to_scan(tmp_path: Path) -> None:
    grow(tmp_path)
    assert "lastcopy scan" in ask("report", "coverage", folder=tmp_path, code=6).err


def test_a_report_that_is_not_there_ends_with_6_and_lists_the_known(estate: Estate) -> None:
    assert "dormant-copies" in ask("report", "nope", folder=estate.folder, code=6).err


@pytest.mark.parametrize("arguments", [("--by", "nothing"), ("--nope",), ("--limit", "-1"), ("--format", "xml")])
def test_a_wrong_option_ends_with_2(arguments: tuple[str, ...], estate: Estate) -> None:
    assert ask("report", "coverage", *arguments, folder=estate.folder, code=2).err.startswith("error: ")


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE classes",
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO 'x'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM nowhere",
        "SELECT 1/'a'",
        "x",
    ],
)
def test_a_query_that_is_not_one_plain_select_ends_with_2(query: str, estate: Estate) -> None:
    ask("sql", query, folder=estate.folder, code=2)


def test_a_query_is_answered(estate: Estate) -> None:
    ended = ask("sql", "SELECT count(*) AS files FROM files WHERE volume = 'data'", "--format", "json", folder=estate.folder)
    assert ended.data == [{"files": len(PRINTED)}]


@pytest.mark.parametrize("typed", [b"no-utf8\xff\xfe", rb"no-utf8\xff\xfe", b"data:no-utf8\xff\xfe", b"no-utf8*", b"line\nerror: forged", b"back\\slash\\x0a"])
def test_a_name_is_found_as_it_was_printed_and_as_its_bytes(typed: bytes, estate: Estate) -> None:
    command = "find" if typed.endswith(b"*") else "explain"
    paths = [row["path"] for row in ask(command, typed, "--format", "json", folder=estate.folder).data]
    assert names.unescape(paths[0]) in HOSTILE


def test_the_restore_command_means_the_same_files_wherever_it_is_run(estate: Estate, tmp_path: Path) -> None:
    found = ask("--config", str(estate.folder / "lastcopy.toml"), "explain", "data:deep/same", "--format", "json", folder=tmp_path).data[0]
    source, target = shlex.split(found["restore"])[-2:]
    assert Path(target) == estate.folder / "data" / "deep" / "same"
    assert Path(source).is_file()


def test_a_path_from_the_current_folder_is_explained(estate: Estate) -> None:
    for typed in ("./data/deep/same", "./deep/same", "./deep/../deep/same"):
        found = ask("explain", typed, "--format", "json", folder=estate.folder).data
        assert ("data", "deep/same") in {(one["volume"], one["path"]) for one in found}


def test_a_path_of_this_machine_is_explained(estate: Estate) -> None:
    ended = ask("explain", str(estate.folder / "data" / "deep" / "same"), "--format", "json", folder=estate.folder)
    assert [(row["volume"], row["path"]) for row in ended.data] == [("data", "deep/same")]
    assert "mirror:" in ask("explain", "data:deep/same", folder=estate.folder).out.decode()


@pytest.mark.parametrize("command", [("find", "not-there-at-all"), ("explain", "not/there"), ("simulate", "--lose", "site=nowhere"), ("explain", "data:\x1b")])
def test_what_is_not_there_ends_with_6(command: tuple[str, ...], estate: Estate) -> None:
    ended = ask(*command, "--format", "json", folder=estate.folder, code=6)
    assert ended.error["code"] == "NOT_FOUND"
    assert ended.error["exit"] == 6
    assert "\x1b" not in ended.err


def test_a_loss_is_simulated(estate: Estate) -> None:
    found = ask("simulate", "--lose", "site=lyon", "--threat", "ransomware", "--format", "json", folder=estate.folder).data
    assert sum(total["assets"] for total in found["totals"]) == len(PRINTED)
    ask("simulate", folder=estate.folder, code=2)


def test_check_names_what_is_not_met_and_ends_with_3(estate: Estate) -> None:
    ended = ask("check", "--fail-under", "100", "--max-age", "0s", "--new", "--format", "json", folder=estate.folder, code=3)
    assert {finding["kind"] for finding in ended.data["findings"]} == {"coverage", "age", "never_scanned"}
    assert "never_scanned" in ask("check", "--quiet", folder=estate.folder, code=3).out.decode()
    ask("check", "--max-age", "soon", folder=estate.folder, code=2)
    ask("check", "--fail-under", "101", folder=estate.folder, code=2)


def test_check_is_met_and_with_quiet_says_nothing(tmp_path: Path) -> None:
    grow(tmp_path)
    text = (tmp_path / "lastcopy.toml").read_text().partition("[volumes.vault]")[0]
    (tmp_path / "lastcopy.toml").write_text(text)
    run("scan", folder=tmp_path)
    assert ask("check", "--fail-under", "0", "--max-age", "1h", folder=tmp_path).out.startswith(b"Met: ")
    assert ask("check", "--fail-under", "0", "--max-age", "1h", "--quiet", folder=tmp_path).out == b""


def test_a_damaged_catalog_ends_with_1_and_an_error_nobody_foresaw_hints_to_verbose(tmp_path: Path) -> None:
    grow(tmp_path)
    run("scan", "--digest", "off", folder=tmp_path)
    (log,) = (tmp_path / "catalog" / "snapshots" / "_delta_log").glob("*1.json")
    log.write_text("{")
    ended = ask("report", "coverage", folder=tmp_path, code=1)
    assert "lastcopy doctor" in ended.err
    assert "Traceback" not in ended.err
    assert "Traceback" in ask("report", "coverage", "--verbose", folder=tmp_path, code=1).err


def test_a_damaged_file_of_the_catalog_is_no_fault_of_the_question(tmp_path: Path) -> None:
    grow(tmp_path)
    run("scan", "--digest", "off", folder=tmp_path)
    for file in (tmp_path / "catalog" / "files").rglob("*.parquet"):
        file.write_bytes(b"no parquet")
    assert "lastcopy doctor" in ask("report", "assets", folder=tmp_path, code=1).err
    assert "lastcopy doctor" in ask("sql", "SELECT count(name) FROM files", folder=tmp_path, code=1).err


def test_an_error_that_nobody_foresaw_is_one_line_with_a_hint(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> None:
        raise ZeroDivisionError("several\nlines \x1b[31m")

    monkeypatch.setattr(reports, "load", fail)
    ended = ask("report", folder=estate.folder, code=1)
    assert ended.err == "error: ZeroDivisionError: several lines \\x1b[31m; --verbose shows where\n"
    assert ask("report", "--format", "json", folder=estate.folder, code=1).error["code"] == "FAILED"


def test_a_figure_is_had_from_the_parquet_without_lastcopy_as_the_documentation_says(estate: Estate) -> None:
    page = Path(__file__).parents[2] / "docs" / "architecture.md"
    _, _, block = page.read_text("utf-8").partition("```python\n")
    program, _, _ = block.partition("```")
    done = subprocess.run([sys.executable, "-c", program], cwd=estate.folder, capture_output=True, text=True, check=True)
    covered = ask("report", "coverage", "--by", "class", "--where", "threat = 'facility_outage'", "--format", "json", folder=estate.folder).data
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line][2:]
    assert rows == [[row["name"], str(row["assets"]), str(row["bytes"]), str(row["covered_assets"])] for row in covered if row["assets"]]
