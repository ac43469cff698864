"""Scans after jobs: what jobs took is no loss, what vanished beside it is, stubs are pointers, and nothing is counted twice or lost."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lastcopy.program import ask, environment

FILES = 12
CONFIGURATION = """
[catalog]
path = "catalog"
[volumes.prod]
url = "prod"
system = "s-prod"
device = "d-prod"
site = "here"
max_loss_pct = 20
[volumes.vault]
url = "vault"
role = "archive"
system = "s-vault"
device = "d-vault"
site = "there"
[volumes.backup]
url = "backup"
role = "backup"
system = "s-backup"
device = "d-backup"
site = "elsewhere"
keeps_versions = "60d"
access = "online"
immutability = "none"
[lifecycle]
min_copies = 1
[policies.archive]
data_class = "default"
action = "archive"
to = "vault"
where = "path LIKE 'old/%'"
quiet = "0s"
leave = "{leave}"
"""


def estate(folder: Path, leave: str) -> Path:
    """Files in `prod`, half of them old, all of them in `backup` too, and both scanned."""
    (folder / "lastcopy.toml").write_text(CONFIGURATION.replace("{leave}", leave))
    (folder / "vault").mkdir()
    for volume in ("prod", "backup"):
        for number in range(FILES):
            file = folder / volume / ("old" if number % 2 else "new") / f"f{number}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"%d " % number * 500)
    for volume in ("prod", "vault"):
        ask("volume", "prepare", volume, folder=folder)
    (folder / "vault" / "other").write_bytes(b"what was in the archive before")
    ask("scan", folder=folder)
    return folder


def archived(folder: Path) -> str:
    """Archive the old files; gives the job's id."""
    plan = ask("plan", "create", "archive", "--format", "json", folder=folder).data["id"]
    ask("plan", "approve", plan, folder=folder)
    done = ask("job", "run", plan, "--format", "json", folder=folder).data
    assert done["counts"] == {"QUARANTINED": FILES // 2}
    assert done["changed_volumes"] == ["prod", "vault"]
    return str(done["id"])


def report(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask("report", name, "--format", "json", folder=folder).data
    return found


def asset_paths(folder: Path) -> list[str]:
    return sorted(f"{row['volume']}:{row['path']}" for row in report(folder, "assets") if row["path"] != "other")


def at(volume: str, parity: int) -> list[str]:
    folder = ("new", "old")[parity]
    return [f"{volume}:{folder}/f{number}" for number in range(parity, FILES, 2)]


@pytest.mark.slow
def test_what_a_job_took_is_no_loss(tmp_path: Path) -> None:
    folder = estate(tmp_path, "nothing")
    job = archived(folder)
    assert ask("scan", "prod", "vault", folder=folder).code == 0
    assert asset_paths(folder) == sorted(at("prod", 0) + at("vault", 1))
    ask("job", "undo", job, folder=folder)
    ask("scan", "prod", "vault", folder=folder)
    assert asset_paths(folder) == sorted(at("prod", 0) + at("prod", 1))


@pytest.mark.slow
def test_what_vanished_beside_it_is_a_loss(tmp_path: Path) -> None:
    folder = estate(tmp_path, "nothing")
    archived(folder)
    for number in range(0, 6, 2):  # three of fourteen entries
        (folder / "prod" / "new" / f"f{number}").unlink()
    refused = ask("scan", "prod", folder=folder, code=5)
    assert "9 of 14 entries of the last scan vanished, 6 were taken by jobs (21.4 % unexplained, max_loss_pct is 20)" in refused.err
    (folder / "prod" / "new" / "f0").write_bytes(b"back")
    ask("scan", "prod", folder=folder)


@pytest.mark.slow
def test_what_was_taken_before_the_last_scan_explains_nothing(tmp_path: Path) -> None:
    folder = estate(tmp_path, "nothing")
    archived(folder)
    ask("scan", "prod", folder=folder)
    for number in range(0, 6, 2):
        (folder / "prod" / "new" / f"f{number}").unlink()
    assert "3 of 8 entries of the last scan vanished (37.5 %" in ask("scan", "prod", folder=folder, code=5).err


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["gone", "another host's", "damaged", "not to be read"])
def test_a_journal_that_is_missing_or_anothers_explains_nothing(tmp_path: Path, journal: str) -> None:
    folder = estate(tmp_path, "nothing")
    archived(folder)
    place = folder / "catalog" / "journal.json"
    if journal == "gone":
        place.unlink()
    elif journal == "another host's":
        place.write_text(json.dumps(json.loads(place.read_text()) | {"host": "another"}))
    elif journal == "damaged":
        place.write_text("{")
    else:
        place.unlink()
        place.mkdir()
    assert "6 of 14 entries of the last scan vanished (42.9 %" in ask("scan", "prod", folder=folder, code=5).err
    ask("scan", "prod", "--accept-losses", folder=folder)


@pytest.mark.slow
def test_a_catalog_without_a_journal_pays_nothing_for_it(tmp_path: Path) -> None:
    (tmp_path / "lastcopy.toml").write_text('[catalog]\npath = "catalog"\n[volumes.prod]\nurl = "prod"\n')
    (tmp_path / "prod").mkdir()
    (tmp_path / "prod" / "file").write_bytes(b"x")
    program = (
        "import sys\nfrom lastcopy import cli\nassert cli.run(['scan']) == 0\nassert cli.run(['scan']) == 0\n"
        "print(sorted(name for name in sys.modules if name.startswith(('lifecycle', 'sqlite3', '_sqlite3'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_stubs_are_pointers_and_what_they_stand_for_is_an_asset_once(tmp_path: Path) -> None:
    folder = estate(tmp_path, "stub")
    before = {row["path"]: row for row in report(folder, "assets")}
    job = archived(folder)
    assert (folder / "prod" / "old" / "f1").read_bytes().startswith(b"#!lastcopy-stub ")
    ask("scan", "prod", "vault", folder=folder)
    assert asset_paths(folder) == sorted(at("prod", 0) + at("vault", 1))
    assert report(folder, "problems") == []
    after = {row["path"]: row for row in report(folder, "assets")}
    for path in (name.partition(":")[2] for name in at("vault", 1)):
        for column in ("size_bytes", "counted_bytes", "status", "user_error", "ransomware", "system_failure", "facility_outage", "copies"):
            assert after[path][column] == before[path][column], (path, column)
    ask("job", "undo", job, folder=folder)
    ask("scan", "prod", "vault", folder=folder)
    assert asset_paths(folder) == sorted(at("prod", 0) + at("prod", 1))
    assert report(folder, "problems") == []


@pytest.mark.slow
def test_a_stub_whose_archive_is_gone_is_unprotected_and_says_why(tmp_path: Path) -> None:
    folder = estate(tmp_path, "stub")
    archived(folder)
    ask("scan", "prod", folder=folder)  # not the archive: what was put there is not known yet
    late = report(folder, "problems")
    assert {row["error"].partition(", ")[2] for row in late} == {"whose volume was last scanned before the stub was made"}
    assert asset_paths(folder) == sorted(at("prod", 0) + at("prod", 1))
    ask("scan", "vault", folder=folder)
    assert report(folder, "problems") == []
    for number in (1, 3):
        (folder / "vault" / "old" / f"f{number}").unlink()
    stub = folder / "prod" / "old" / "f1"
    copied = folder / "backup" / "old" / "f1"
    copied.write_bytes(stub.read_bytes())  # a backup run after the archiving
    ask("scan", folder=folder, code=None)
    assert [(row["volume"], row["path"], row["stage"], row["error"]) for row in report(folder, "problems")] == [
        ("prod", f"old/f{number}", "stub", f"stands for vault:old/f{number}, which is not there") for number in (1, 3)
    ]
    lost = [row for row in report(folder, "unprotected") if row["volume"] == "prod" and row["path"] in ("old/f1", "old/f3")]
    assert [(row["path"], row["status"], row["reasons"], row["copies"]) for row in sorted(lost, key=lambda row: str(row["path"]))] == [
        ("old/f1", "unprotected", "never_copied", 1),
        ("old/f3", "unprotected", "never_copied", 1),
    ]


def test_a_job_names_the_scan_that_brings_its_change_into_the_reports(tmp_path: Path) -> None:
    folder = estate(tmp_path, "nothing")
    plan = ask("plan", "create", "archive", "--format", "json", folder=folder).data["id"]
    ask("plan", "approve", plan, folder=folder)
    assert "reports show what was before: 'lastcopy scan prod vault' brings the change into them" in ask("job", "run", plan, folder=folder).err
