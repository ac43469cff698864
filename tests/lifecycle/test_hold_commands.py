"""`lastcopy hold` and `lastcopy audit`, by the real program."""

import os
import pwd
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.lastcopy.program import ask, run

CONFIGURATION = """\
[volumes.data]
url = "data"

[volumes.vault]
url = "vault"
role = "archive"
"""


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and two volumes that were scanned."""
    folder = tmp_path_factory.mktemp("estate")
    (folder / "lastcopy.toml").write_text(CONFIGURATION)
    for name in ("data", "vault", "data/contracts"):
        (folder / name).mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/data/contracts/bad \xff\x1b[31m")).write_text("text")
    ask("scan", "--quiet", folder=folder, code=None)
    return folder


@pytest.fixture
def estate(scanned: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(scanned, tmp_path / "estate")


def test_a_hold_is_placed_listed_and_released_by_another(estate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lifecycle.people.actor", lambda: "ada")
    placed = ask("hold", "place", "--volume", "data", "--path", "contracts", "--reason", "case 12", "--format", "json", folder=estate)
    assert (placed.data["scope"], placed.data["state"], placed.data["placed_by"]) == ("data:contracts", "held", "ada")
    assert "warning" not in placed.err
    number = str(placed.data["id"])
    (row,) = ask("hold", "list", "--format", "json", folder=estate).data
    assert (row["id"], row["reason"]) == (int(number), "case 12")
    assert "another person" in ask("hold", "release", number, "--reason", "done", folder=estate, code=5).err
    monkeypatch.setattr("lifecycle.people.actor", lambda: "bob")
    released = ask("hold", "release", number, "--reason", "done", "--format", "json", folder=estate)
    assert (released.data["state"], released.data["released_by"]) == ("released", "bob")
    assert ask("hold", "list", "--format", "json", folder=estate).data == []
    assert [row["state"] for row in ask("hold", "list", "--ended", "--format", "json", folder=estate).data] == ["released"]


@pytest.mark.parametrize("way", ["raw", "escaped", "whole path", "untidy"])
def test_a_path_of_any_bytes_is_held_however_it_is_written(estate: Path, way: str) -> None:
    raw = b"contracts/bad \xff\x1b[31m"
    written: bytes = {
        "raw": raw,
        "escaped": rb"contracts/bad \xff\x1b[31m",
        "whole path": os.fsencode(estate) + b"/data/" + raw,
        "untidy": b"./" + raw.replace(b"/", b"//./") + b"/",
    }[way]
    volume = [] if way == "whole path" else ["--volume", "data"]
    ended = ask("hold", "place", *volume, "--path", written, "--reason", "x", folder=estate)
    assert "warning" not in ended.err
    (row,) = ask("hold", "list", "--format", "json", folder=estate).data
    assert row["scope"] == r"data:contracts/bad \xff\x1b[31m"


def test_a_hold_on_nothing_that_is_known_stands_and_says_so(estate: Path) -> None:
    for scope in (("--volume", "data", "--path", "contract"), ("--owner", "nobody at all", "--unseen")):
        assert "warning: the newest snapshot has no file" in ask("hold", "place", *scope, "--reason", "x", folder=estate).err
    assert len(ask("hold", "list", "--format", "json", folder=estate).data) == 2


def test_an_owner_of_whom_no_file_is_known_is_refused_with_the_names_that_are_like_it(estate: Path) -> None:
    owner = pwd.getpwuid(os.stat(estate / "data").st_uid).pw_name
    typo = owner + owner[-1]
    told = ask("hold", "place", "--owner", typo, "--reason", "x", folder=estate, code=6).err
    assert f"like it are {owner}" in told
    assert "--unseen" in told
    assert ask("hold", "list", "--format", "json", folder=estate).data == []
    assert "warning" not in ask("hold", "place", "--owner", owner, "--reason", "x", folder=estate).err
    ask("hold", "place", "--owner", typo, "--unseen", "--reason", "x", folder=estate)
    assert [row["scope"] for row in ask("hold", "list", "--format", "json", folder=estate).data] == [f"owner {owner}", f"owner {typo}"]


def test_a_hold_on_an_owner_says_how_many_files_of_nobody_it_holds_too(estate: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files to a number that no account has")
    for name in ("one", "two"):
        (estate / "data" / name).write_text(name)
        os.chown(estate / "data" / name, 3_999_999_999, -1)
    ask("scan", "data", folder=estate, code=None)
    owner = pwd.getpwuid(os.stat(estate / "data").st_uid).pw_name
    assert "it also holds 2 files of the newest snapshot whose owner is not known" in ask("hold", "place", "--owner", owner, "--reason", "x", folder=estate).err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["--volume", "nope"], 6),
        (["--path", "x"], 2),
        (["--path", "/elsewhere/x"], 6),
        (["--volume", "data", "--path", "../x"], 2),
        (["--volume", "data", "--digest", "00" * 32], 2),
        (["--digest", "00"], 2),
        (["--digest", "zz" * 32], 2),
        (["--owner", " "], 2),
        (["--volume", "data", "--until", "soon"], 2),
        (["--volume", "data", "--until", "2001-01-01"], 2),
        (["--volume", "data", "--until", "9999-12-31"], 2),
    ],
)
def test_a_hold_that_makes_no_sense_is_not_placed(estate: Path, arguments: list[str], code: int) -> None:
    ask("hold", "place", *arguments, "--reason", "x", folder=estate, code=code)
    assert ask("hold", "list", "--format", "json", folder=estate).data == []


def test_a_retention_ends_after_its_day_and_only_moves_later(estate: Path) -> None:
    place = ("hold", "place", "--volume", "data", "--reason", "law")
    placed = ask(*place, "--until", "2040-01-01", "--format", "json", folder=estate)
    assert placed.data["until"] == "2040-01-02T00:00:00Z"
    assert "only be moved later" in ask(*place, "--until", "2039-12-31", folder=estate, code=5).err
    ask(*place, "--until", "2041-06-01T12:00:00+02:00", folder=estate)
    assert "cannot be released" in ask("hold", "release", str(placed.data["id"]), "--reason", "x", folder=estate, code=5).err


def test_without_a_journal_there_are_no_holds_and_no_trail(estate: Path) -> None:
    assert ask("hold", "list", "--format", "json", folder=estate).data == []
    for command in (("audit", "log"), ("audit", "verify"), ("hold", "release", "1", "--reason", "x")):
        ask(*command, folder=estate, code=6)
    assert not (estate / "catalog" / "journal").exists()


@pytest.mark.slow
def test_the_trail_is_listed_and_verified(estate: Path) -> None:
    for reason in ("one", "two", "three"):
        run("hold", "place", "--volume", "data", "--reason", reason, folder=estate)
    rows = ask("audit", "log", "--format", "json", folder=estate).data
    assert [(row["seq"], row["kind"], row["subject"]) for row in rows] == [(number, "hold_placed", "data:") for number in (1, 2, 3)]
    assert [row["seq"] for row in ask("audit", "log", "--last", "1", "--format", "json", folder=estate).data] == [3]
    assert [row["seq"] for row in ask("audit", "log", "--since", rows[1]["at"], "--format", "json", folder=estate).data] == [2, 3]
    ask("audit", "log", "--job", "j1", folder=estate, code=6)
    found = ask("audit", "verify", "--head", rows[1]["hash"], "--format", "json", folder=estate).data
    assert (found["state"], found["events"], found["head"], found["bad_seq"]) == ("whole", 3, rows[2]["hash"], None)
    ask("audit", "verify", "--head", "12", folder=estate, code=2)


def test_a_trail_that_was_tampered_with_fails(estate: Path) -> None:
    for reason in ("one", "two"):
        ask("hold", "place", "--volume", "data", "--reason", reason, folder=estate)
    head = ask("audit", "verify", "--format", "json", folder=estate).data["head"]
    with sqlite3.connect(estate / "catalog" / "journal" / "journal.db") as connection:
        connection.execute("DROP TRIGGER events_are_never_deleted")
        connection.execute("DELETE FROM events WHERE seq = 2")
    assert "event 2, which was seen" in ask("audit", "verify", folder=estate, code=1).err
    (estate / "catalog" / "journal.seen").unlink()
    ask("audit", "verify", folder=estate)
    cut = ask("audit", "verify", "--head", head, "--format", "json", folder=estate, code=1)
    assert (cut.data["state"], cut.data["bad_seq"]) == ("broken", 2)
    assert "cut off" in cut.err
    with sqlite3.connect(estate / "catalog" / "journal" / "journal.db") as connection:
        connection.execute("DROP TRIGGER events_are_never_changed")
        connection.execute("UPDATE events SET actor = 'eve'")
    assert "event 1 was changed" in ask("audit", "verify", folder=estate, code=1).err


def test_what_an_enemy_writes_into_a_hold_steers_no_terminal(estate: Path) -> None:
    ask("hold", "place", "--owner", "eve\x1b[31m", "--unseen", "--reason", "red\x1b]0;title\x07\nerror: forged", folder=estate)
    for command in (("hold", "list"), ("audit", "log"), ("hold", "list", "--format", "csv")):
        out = ask(*command, folder=estate).out
        assert b"\x1b" not in out
        assert b"\nerror" not in out


def test_a_person_says_that_the_clock_is_right(estate: Path) -> None:
    ask("hold", "place", "--volume", "data", "--reason", "x", folder=estate)
    ask("audit", "clock", "--reason", " ", folder=estate, code=2)
    ask("audit", "clock", "--reason", "the battery was empty", folder=estate)
    assert ask("audit", "log", "--last", "1", "--format", "json", folder=estate).data[0]["kind"] == "clock_trusted"
