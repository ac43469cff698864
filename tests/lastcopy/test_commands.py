"""What holds for every command, and the small ones."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer

from catalog import table
from catalog.schema import VERIFICATIONS
from lastcopy import cli
from reports import terminal
from tests.lastcopy.conftest import Estate
from tests.lastcopy.program import ask, run

COMMON = ("--config", "--catalog", "--snapshot", "--format", "--output", "--quiet", "--verbose", "--no-input")


def paths(group: Any, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:  # noqa: ANN401  typer ships no public name for a command's class
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found.append((*prefix, name))
        if hasattr(command, "commands"):
            found += paths(command, (*prefix, name))
    return found


COMMANDS = paths(typer.main.get_command(cli.app))


def test_the_promised_commands_are_there() -> None:
    promised = (
        "init demo doctor volume scan fixity report find explain simulate check sql catalog version "
        "policy plan job hold audit evidence dashboard serve schedule notify token"
    )
    assert {path[0] for path in COMMANDS} == set(promised.split())
    assert {("volume", "list"), ("volume", "check"), ("volume", "prepare"), ("catalog", "info")} <= set(COMMANDS)
    assert {("evidence", "record"), ("evidence", "run")} <= set(COMMANDS)
    assert {("job", name) for name in ("run", "list", "show", "resume", "undo", "rebuild")} <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_the_common_flags(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in COMMON)
    assert text.splitlines()[2].strip()


def test_the_help_prints_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f" {code}  " in text for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 130))


def test_no_option_is_read_from_the_environment() -> None:
    def all_parameters(group: Any) -> list[Any]:  # noqa: ANN401  as above
        return [*group.params, *(p for command in getattr(group, "commands", {}).values() for p in all_parameters(command))]

    root = typer.main.get_command(cli.app)
    assert root.context_settings.get("auto_envvar_prefix") is None
    assert [p.name for p in all_parameters(root) if p.envvar] == []


def test_without_a_command_help_goes_to_stderr_with_exit_2(tmp_path: Path) -> None:
    ended = ask(folder=tmp_path, code=2)
    assert ended.out == b""
    assert "Usage: lastcopy" in ended.err


def test_a_wrong_command_is_a_json_error_where_json_is_asked_for(tmp_path: Path) -> None:
    assert ask("skan", "--format", "json", folder=tmp_path, code=2).error["code"] == "USAGE"


def test_a_missing_configuration_ends_with_2_and_says_how_to_write_one(tmp_path: Path) -> None:
    assert "lastcopy init" in run("scan", folder=tmp_path, code=2).err


def test_the_configuration_is_found_by_flag_environment_folder_and_home(estate: Estate, tmp_path: Path) -> None:
    config = str(estate.folder / "lastcopy.toml")
    (tmp_path / "lastcopy").mkdir()
    (tmp_path / "lastcopy" / "lastcopy.toml").write_text('[volumes.home]\nurl = "x"\n')
    listed = {
        "flag": ask("volume", "list", "--config", config, "--format", "json", folder=tmp_path),
        "environment": run("volume", "list", "--format", "json", folder=tmp_path, LASTCOPY_CONFIG=config),
        "folder": ask("volume", "list", "--format", "json", folder=estate.folder),
        "home": run("volume", "list", "--format", "json", folder=tmp_path, XDG_CONFIG_HOME=str(tmp_path)),
    }
    assert {how: ended.data[0]["volume"] for how, ended in listed.items()} == {"flag": "data", "environment": "data", "folder": "data", "home": "home"}


def test_an_error_of_the_configuration_names_file_table_and_key(tmp_path: Path) -> None:
    (tmp_path / "lastcopy.toml").write_text('[volumes.a]\nurl = "x"\nrole = "bakcup"\n')
    ended = run("scan", folder=tmp_path, code=2)
    assert "lastcopy.toml: volumes.a.role" in ended.err
    assert "backup" in ended.err


def test_a_list_for_people_has_sizes_for_people(estate: Estate) -> None:
    row = next(row for row in ask("volume", "list", "--format", "json", folder=estate.folder).data if row["volume"] == "data")
    printed = ask("volume", "list", folder=estate.folder).out.decode()
    assert type(row["bytes"]) is int
    assert f"  {terminal.size(row['bytes'])}  " in printed


def test_volumes_are_listed_with_their_last_scan(estate: Estate) -> None:
    rows = ask("volume", "list", "--format", "json", folder=estate.folder).data
    assert [(row["volume"], row["role"], row["state"]) for row in rows] == [
        ("data", "primary", "complete"),
        ("mirror", "replica", "complete"),
        ("vault", "archive", "never_scanned"),
    ]


def test_a_volume_whose_last_scan_failed_is_told_of_until_one_is_good(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("content")
    (tmp_path / "lastcopy.toml").write_text('[volumes.data]\nurl = "data"\nrole = "primary"\n')
    ask("scan", folder=tmp_path)
    (tmp_path / "data").rename(tmp_path / "away")
    ask("scan", folder=tmp_path, code=8)
    (tmp_path / "away").rename(tmp_path / "data")
    for command in (("doctor",), ("volume", "check")):
        told = ask(*command, "--format", "json", folder=tmp_path, code=4).data
        assert any(row["check"] == "failed scan" and "data" in row["text"] for row in told)
    assert ask("volume", "list", "--format", "json", folder=tmp_path).data[0]["last_error"]
    ask("scan", folder=tmp_path)
    assert ask("volume", "list", "--format", "json", folder=tmp_path).data[0]["last_error"] is None
    ask("volume", "check", folder=tmp_path)


@pytest.mark.parametrize("command", [("report", "largest"), ("find", "a"), ("sql", "SELECT path FROM files")])
def test_a_table_without_a_limit_has_all_rows(command: tuple[str, ...], estate: Estate) -> None:
    printed = ask(*command, "--limit", "0", folder=estate.folder).out.decode()
    assert len(printed.splitlines()) > len(ask(*command, "--limit", "1", folder=estate.folder).out.decode().splitlines())


def test_volumes_are_checked_without_changing_anything(estate: Estate, tmp_path: Path) -> None:
    ask("volume", "check", "data", "vault", folder=estate.folder)
    ask("volume", "check", "nope", folder=estate.folder, code=6)
    (tmp_path / "lastcopy.toml").write_text('[volumes.a]\nurl = "gone"\n')
    ask("volume", "check", folder=tmp_path, code=8)
    assert not (tmp_path / "catalog").exists()


def test_the_catalogs_tables_are_listed(estate: Estate, tmp_path: Path) -> None:
    rows = {row["table"]: row for row in ask("catalog", "info", "--format", "json", folder=estate.folder).data}
    assert rows["scans"]["rows"] >= 2
    assert rows["entries"]["bytes"] > 0
    (tmp_path / "empty").mkdir()
    assert {row["version"] for row in ask("catalog", "info", "--format", "json", "--catalog", "empty", folder=tmp_path).data} == {None}
    ask("catalog", "info", "--catalog", "gone", folder=tmp_path, code=6)


@pytest.mark.parametrize(("of", "key", "known"), [("volumes", "volume", {"data", "mirror"}), ("snapshots", "derived_stored", {True})])
def test_the_scans_and_snapshots_of_the_catalog_are_listed(of: str, key: str, known: set[object], estate: Estate) -> None:
    assert {row[key] for row in ask("catalog", "info", "--of", of, "--format", "json", folder=estate.folder).data} == known


def test_a_catalog_is_verified_with_exit_1_where_a_file_is_missing(estate: Estate, tmp_path: Path) -> None:
    whole = ask("catalog", "verify", folder=estate.folder)
    assert (whole.out, "nothing is wrong" in whole.err) == (b"", True)
    shutil.copytree(estate.folder / "catalog", tmp_path / "catalog")
    lost = next((tmp_path / "catalog" / "entries").glob("*/*/*.parquet"))
    lost.unlink()
    ended = ask("catalog", "verify", "--catalog", "catalog", "--format", "json", folder=tmp_path, code=1)
    assert [(row["table"], row["check"], row["file"]) for row in ended.data] == [("entries", "missing", str(lost.relative_to(tmp_path / "catalog")))]
    assert ended.envelope["complete"] is False
    ask("catalog", "verify", "--catalog", "gone", folder=tmp_path, code=6)


def test_small_files_of_the_catalog_are_written_together(estate: Estate, tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    shutil.copytree(estate.folder / "catalog", root)
    for number in range(8):
        table.append(root, "verifications", pa.Table.from_pylist([{"volume": "mirror", "errors": number}], VERIFICATIONS), f"more-{number}")
    wanted = {"table": "verifications", "files": 8, "rows": 8}
    [planned] = ask("catalog", "compact", "--dry-run", "--catalog", "catalog", "--format", "json", folder=tmp_path).data
    assert (wanted.items() <= planned.items(), planned["written_bytes"], len(table.files(root, "verifications"))) == (True, None, 8)
    [done] = ask("catalog", "compact", "--catalog", "catalog", "--format", "json", folder=tmp_path).data
    assert (wanted.items() <= done.items(), done["written_bytes"] > 0, len(table.files(root, "verifications"))) == (True, True, 1)
    assert "nothing to write together" in ask("catalog", "compact", "--catalog", "catalog", folder=tmp_path).err


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl", "md", "parquet"])
def test_lists_come_in_every_format(form: str, estate: Estate) -> None:
    assert ask("volume", "list", "--format", form, folder=estate.folder).out


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert ask("version", folder=tmp_path).out.startswith(b"lastcopy 0.")
    assert ask("--version", folder=tmp_path).out == ask("version", folder=tmp_path).out
    assert ask("version", "--format", "json", folder=tmp_path).envelope["data"]["version"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "md", "parquet"])
def test_a_closed_pipe_ends_every_format_silently(estate: Estate, form: str) -> None:
    import shlex
    import subprocess
    import sys

    query = "SELECT sha256(concat(a.path, b.path, c.path)) AS names FROM files a, files b, files c"  # more than a pipe holds, packed too
    program = f"{shlex.quote(sys.executable)} -m lastcopy sql '{query}' --format {form} --quiet | head -c 20 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], cwd=estate.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")
