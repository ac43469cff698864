"""A backup that is an archive, from the scan to the answers."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.lastcopy.program import ask, run

DECLARED = """\
[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"

[volumes.tape]
url = "container:vault/monthly.tar.gz"
role = "backup"
of = ["data"]
system = "shelf"
site = "lyon"
admin = "records"
device = "disk-2"
access = "offline"
keeps_versions = "1y"
"""
FILES = {"report.odt": b"the report", "deep/er/plan.pdf": b"a plan", "new.txt": b"not in the archive", "changed.txt": b"before"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / path).write_bytes(content)
        os.utime(tmp_path / "data" / path, (1_600_000_000, 1_600_000_000))
    (tmp_path / "vault").mkdir()
    subprocess.run(["tar", "-czf", "../vault/monthly.tar.gz", "--exclude", "./new.txt", "."], cwd=tmp_path / "data", check=True)
    (tmp_path / "data" / "changed.txt").write_bytes(b"after, and longer")
    (tmp_path / "lastcopy.toml").write_text(DECLARED)
    return tmp_path


def statuses(folder: Path) -> dict[str, tuple[str, str, int | None]]:
    rows = ask("report", "assets", "--format", "json", folder=folder).data
    return {row["path"]: (row["status"], row["reasons"], row["verification_level"]) for row in rows}


@pytest.mark.slow
def test_what_an_archive_holds_protects_as_well_as_it_was_read(folder: Path) -> None:
    run("scan", folder=folder)
    assert statuses(folder) == {
        "report.odt": ("protected", "", 3),
        "deep/er/plan.pdf": ("protected", "", 3),
        "new.txt": ("unprotected", "never_copied", None),
        "changed.txt": ("unprotected", "changed_since_copy", None),
    }
    [row] = [row for row in ask("report", "coverage", "--format", "json", folder=folder).data if row["threat"] == "facility_outage"]
    assert (row["assets"], row["covered_assets"], row["unknown_assets"]) == (4, 2, 0)


def test_only_listed_it_is_known_by_sizes_and_times(folder: Path) -> None:
    run("scan", "--digest", "off", folder=folder)
    found = statuses(folder)
    assert found["report.odt"] == ("protected", "", 1)
    assert found["changed.txt"] == ("unprotected", "changed_since_copy", None)


@pytest.mark.slow
def test_explain_names_the_archive_and_offers_no_command_to_copy_from_it(folder: Path) -> None:
    run("scan", folder=folder)
    told = ask("explain", "report.odt", "--format", "json", folder=folder).data
    [asset] = [one for one in told if one["volume"] == "data"]
    assert [(copy["volume"], copy["path"], copy["match"]) for copy in asset["copies"]] == [("tape", "report.odt", "content")]
    assert asset["restore"] is None
    assert b"cp --" not in ask("explain", "report.odt", folder=folder).out


@pytest.mark.slow
def test_explain_offers_a_file_tree_that_holds_it_too_and_says_what_that_is(folder: Path) -> None:
    (folder / "mirror").mkdir()
    (folder / "mirror" / "report.odt").write_bytes(b"an older one")
    (folder / "lastcopy.toml").write_text(DECLARED + '\n[volumes.mirror]\nurl = "mirror"\nrole = "replica"\n')
    run("scan", folder=folder)
    told = ask("explain", "data:report.odt", folder=folder).out.decode()
    assert "Restore with (not its current content)" in told
    assert str(folder / "mirror" / "report.odt") in told


def test_an_archive_that_lies_among_what_it_holds_protects_nothing(folder: Path) -> None:
    os.replace(folder / "vault" / "monthly.tar.gz", folder / "data" / "monthly.tar.gz")
    (folder / "lastcopy.toml").write_text(DECLARED.replace("container:vault/", "container:data/"))
    run("scan", folder=folder)
    assert {status for status, _, _ in statuses(folder).values()} == {"unprotected"}


@pytest.mark.slow
def test_a_damaged_archive_protects_nothing_that_cannot_be_read_of_it(folder: Path) -> None:
    run("scan", folder=folder)
    archive = folder / "vault" / "monthly.tar.gz"
    archive.write_bytes(archive.read_bytes()[:60])
    run("scan", folder=folder, code=4)
    assert statuses(folder)["report.odt"] == ("unknown", "scan_incomplete", None)
    [problem] = ask("report", "problems", "--format", "json", folder=folder).data
    assert (problem["volume"], problem["path"], "archive" in problem["error"]) == ("tape", "", True)


@pytest.mark.slow
def test_an_offline_archive_that_is_not_there_is_skipped(folder: Path) -> None:
    run("scan", folder=folder)
    os.replace(folder / "vault", folder / "away")
    ended = run("scan", folder=folder)
    assert "tape: offline and not there, skipped" in ended.err
    assert statuses(folder)["report.odt"][0] == "protected"


@pytest.mark.slow
def test_a_plan_is_made_beside_archives(folder: Path) -> None:
    (folder / "lastcopy.toml").write_text(DECLARED + '\n[policies.drop]\naction = "delete"\ndata_class = "default"\nquiet = "0s"\n')
    run("scan", folder=folder)
    run("volume", "prepare", "data", folder=folder)
    ended = run("plan", "create", "drop", "--format", "json", folder=folder, code=None)
    assert ended.code in (0, 5), ended.err


@pytest.mark.slow
def test_an_archive_may_be_the_home_of_what_no_primary_holds(folder: Path) -> None:
    (folder / "lastcopy.toml").write_text(DECLARED.replace('role = "backup"', 'role = "archive"'))
    (folder / "data" / "report.odt").unlink()
    run("scan", folder=folder)
    rows = ask("report", "assets", "--where", "volume = 'tape'", "--format", "json", folder=folder).data
    assert sorted((row["path"], row["status"]) for row in rows) == [("changed.txt", "unprotected"), ("report.odt", "unprotected")]


@pytest.mark.slow
def test_every_command_that_looks_at_volumes_takes_an_archive_for_one(folder: Path) -> None:
    run("scan", folder=folder)
    [row] = [row for row in ask("report", "volumes", "--format", "json", folder=folder).data if row["volume"] == "tape"]
    assert (row["kind"], row["state"], row["entries"]) == ("container", "complete", 5)
    assert run("doctor", folder=folder, code=None).code in (0, 1)
    assert b"tape" in ask("volume", "list", folder=folder).out
    assert "3 ok" in ask("volume", "check", "tape", folder=folder).err
    assert "no job can work on" in run("volume", "prepare", "tape", folder=folder, code=2).err
