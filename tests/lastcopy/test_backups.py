"""A repository of backups, from the scan to the answers."""

import os
from pathlib import Path

import pytest

from tests.lastcopy.program import ask, run
from tests.scanners import repositories
from tests.scanners.repositories import restic

DECLARED = """\
[classes.default]
min_verification_level = 1
retention = "10d"

[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"

[volumes.nightly]
url = "restic:repository"
role = "backup"
password_file = "password"
of = ["data"]
path_map = { "DATA" = "data:" }
system = "shelf"
site = "lyon"
admin = "records"
device = "disk-2"
access = "offline"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("estate")
    repository, data = repositories.new(folder), folder / "data"
    for path, content in {"kept.odt": b"the report", "changed.txt": b"before", "build/x.o": b"machine code", "sub/n.tmp": b"scratch"}.items():
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_bytes(content)
        os.utime(data / path, (1_600_000_000, 1_600_000_000))
    patterns = ["--exclude", "*.tmp", "--exclude", str(data / "build"), "--exclude", "(((", "--exclude", "*a" + "?" * 200]
    for at in ("2020-10-01 03:00:00", "2020-10-02 03:00:00"):
        restic(repository, "backup", "--quiet", "--time", at, *patterns, str(data))
    (data / "changed.txt").write_bytes(b"after, and longer")
    (data / "new.txt").write_bytes(b"not yet in the backup")
    (folder / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)))
    run("scan", folder=folder)
    return folder


def threats(folder: Path) -> dict[str, tuple[str, str, str, int | None]]:
    rows = ask("report", "assets", "--format", "json", folder=folder).data
    return {row["path"]: (row["user_error"], row["facility_outage"], row["reasons"], row["verification_level"]) for row in rows}


def test_what_recovery_points_hold_and_leave_out_is_told_of_each_asset(folder: Path) -> None:
    assert threats(folder) == {
        "kept.odt": ("unknown", "yes", "retention_too_short", 1),  # two recovery points of two days
        "changed.txt": ("no", "no", "changed_since_copy", None),
        "new.txt": ("no", "no", "never_copied", None),
        "build/x.o": ("no", "no", "excluded_by_backup", None),
        "sub/n.tmp": ("no", "no", "excluded_by_backup", None),
    }


@pytest.mark.slow
def test_recovery_points_over_the_retention_show_that_versions_are_kept(folder: Path) -> None:
    restic(folder / "repository", "backup", "--quiet", "--time", "2020-11-01 03:00:00", str(folder / "data" / "kept.odt"))
    run("scan", "nightly", folder=folder)
    assert threats(folder)["kept.odt"][0] == "unknown"  # a recovery point of a part says nothing of the whole
    for day in ("11-01", "10-14"):
        restic(folder / "repository", "backup", "--quiet", "--time", f"2020-{day} 04:00:00", str(folder / "data"))
        run("scan", "nightly", folder=folder)
        assert threats(folder)["kept.odt"][0] == "unknown"  # between them is a gap
    for day in ("10-21", "10-26"):
        restic(folder / "repository", "backup", "--quiet", "--time", f"2020-{day} 04:00:00", str(folder / "data"))
    run("scan", "nightly", folder=folder)
    found = threats(folder)
    assert (found["kept.odt"], found["changed.txt"][0]) == (("yes", "yes", "", 1), "yes")
    assert (found["build/x.o"], found["sub/n.tmp"]) == (("yes", "yes", "", 1), ("yes", "yes", "", 1))


@pytest.mark.slow
def test_fixity_says_that_it_reads_nothing_of_a_repository_that_cannot_be_looked_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanners.restic._can_decrypt", lambda: False)
    refused = ask("fixity", "nightly", folder=folder, code=5)
    assert "nothing that it stores, or tells of, can be read here" in refused.err
    done = ask("fixity", folder=folder)
    assert "nightly: nothing that it stores, or tells of, can be read here" in done.err


@pytest.mark.slow
def test_a_path_map_from_a_folder_that_was_never_backed_up_maps_nothing(folder: Path) -> None:
    (folder / "wrong.toml").write_text((folder / "lastcopy.toml").read_text().replace(str(folder / "data"), "/not/there"))
    (folder / "data" / "later.txt").write_bytes(b"in no backup")
    run("--config", "wrong.toml", "--catalog", "other", "scan", folder=folder)
    rows = ask("--config", "wrong.toml", "--catalog", "other", "report", "assets", "--format", "json", folder=folder).data
    [later] = [row for row in rows if row["path"] == "later.txt"]
    assert (later["facility_outage"], later["reasons"]) == ("unknown", "path_not_mapped")


def test_a_check_of_the_volume_names_what_a_scan_would_refuse(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "lastcopy.toml").write_text(
        (folder / "lastcopy.toml")
        .read_text()
        .replace('role = "backup"', 'role = "archive"')
        .replace('"repository', f'"{folder}/repository')
        .replace('"restic:repository', f'"restic:{folder}/repository')
        .replace('"password"', f'"{folder}/password"')
        .replace('url = "data"', f'url = "{folder}/data"')
    )
    told = ask("volume", "check", "nightly", "--format", "json", folder=tmp_path, code=4).data
    assert [row["state"] for row in told if row["check"] == "repository"] == ["error"]


@pytest.mark.slow
def test_a_check_of_the_volume_proposes_the_path_map_that_is_missing(folder: Path) -> None:
    written = (folder / "lastcopy.toml").read_text()
    restic(folder / "repository", "backup", "--quiet", "--time", "2020-11-02 03:00:00", str(folder / "data"))
    run("scan", "nightly", folder=folder)
    told = ask("volume", "check", "nightly", "--format", "json", folder=folder, code=None).data
    assert [row for row in told if row["check"] == "path_map"] == []
    lines = written.splitlines()
    (folder / "bare.toml").write_text("\n".join(line for line in lines if not line.startswith("path_map")))
    told = ask("--config", "bare.toml", "volume", "check", "nightly", "--format", "json", folder=folder, code=None).data
    [row] = [row for row in told if row["check"] == "path_map"]
    assert row["mend"] == next(line for line in lines if line.startswith("path_map"))


@pytest.mark.slow
def test_versions_of_a_path_are_no_changes_of_it_and_a_pack_of_many_of_them_verifies(tmp_path: Path) -> None:
    repository, data = repositories.new(tmp_path), tmp_path / "data"
    (data / "d").mkdir(parents=True)
    files = [data / "d" / f"{number:04d}" for number in range(1500)]
    for turn in range(3):
        for number, file in enumerate(files):
            file.write_bytes(b"%d of %d" % (turn, number % 10))  # versions of equal size, which only their times tell apart
            os.utime(file, (1_600_000_000 + 86_400 * turn, 1_600_000_000 + 86_400 * turn))
        restic(repository, "backup", "--quiet", "--time", f"2020-10-0{turn + 1} 03:00:00", str(data))
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)))
    for _ in range(2):
        run("scan", folder=tmp_path)
    assert [row for row in ask("report", "changes", "--format", "json", folder=tmp_path).data if row["volume"] == "nightly"] == []
    for report in ("dormant-copies", "largest", "changes", "duplicates"):
        first, second = (ask("report", report, "--format", "csv", folder=tmp_path).out for _ in range(2))
        assert first == second
    run("audit", "pack", "--output", "pack", folder=tmp_path)
    assert run("audit", "verify", "pack", folder=tmp_path).code == 0
