"""A repository of borg, from the scan to the answers."""

import os
from pathlib import Path

import pytest

from tests.lastcopy.program import ask, run
from tests.scanners import borgs
from tests.scanners.borgs import borg

DECLARED = """\
[classes.default]
retention = "10d"

[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"

[volumes.nightly]
url = "borg:repository"
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
NS = {"plain.odt": 123_456_789, "up.odt": 123_456_999, "down.odt": 123_456_001, "second.odt": 999_999_999, "zero.odt": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("estate")
    repository, data = borgs.new(folder), folder / "data"
    contents = dict.fromkeys(NS, b"the report") | {"changed.txt": b"before", "touched.txt": b"before", "build/x.o": b"code", "sub/n.tmp": b"scratch"}
    contents |= {"early.txt": b"of 1969", "late.txt": b"of 2300", "same.bin": b"content"}
    for path, content in contents.items():
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_bytes(content)
        at = {"early.txt": -86_400, "late.txt": 10_413_792_000}.get(path, 1_600_000_000) * 10**9
        os.utime(data / path, ns=(at, at + NS.get(path, 0)))
    os.link(data / "same.bin", data / "other name.bin")
    for day in range(1, 15, 6):
        options = ["--exclude", "*.tmp", "--exclude", f"{data}/build", "--timestamp", f"2020-10-{day:02d}T03:00:00"]
        borg(repository, "create", *options, f"::day-{day}", str(data))
    (data / "changed.txt").write_bytes(b"after, and longer")
    os.utime(data / "touched.txt", ns=(0, 1_600_000_000_000_002_000))  # two microseconds later
    (data / "new.txt").write_bytes(b"not yet in the backup")
    (folder / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)))
    run("scan", folder=folder)
    return folder


def test_what_archives_hold_and_leave_out_is_told_of_each_asset(folder: Path) -> None:
    rows = ask("report", "assets", "--format", "json", folder=folder).data
    found = {row["path"]: (row["user_error"], row["facility_outage"], row["reasons"], row["verification_level"]) for row in rows}
    copied = ("yes", "yes", "", 1)
    unproven = ("unknown", "unknown", "metadata_match_only", None)
    assert found == {
        **dict.fromkeys([*NS, "same.bin", "other name.bin"], copied),
        "early.txt": unproven,  # borg keeps no such time
        "late.txt": unproven,
        "changed.txt": ("no", "no", "changed_since_copy", None),
        "touched.txt": ("no", "no", "changed_since_copy", None),
        "new.txt": ("no", "no", "never_copied", None),
        "build/x.o": ("no", "no", "excluded_by_backup", None),
        "sub/n.tmp": ("no", "no", "excluded_by_backup", None),
    }


@pytest.mark.slow
def test_what_is_only_listed_is_found_by_its_rounded_times_and_proves_no_content(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanners._borg._python", lambda program: None)
    (folder / "listed.toml").write_text((folder / "lastcopy.toml").read_text().replace("[classes.default]", "[classes.default]\nmin_verification_level = 0"))
    for configured, wanted in (("listed.toml", ("yes", "", 0)), ("lastcopy.toml", ("unknown", "metadata_match_only", 0))):
        ask("--config", configured, "--catalog", f"of-{configured}", "scan", folder=folder, code=None)
        rows = ask("--config", configured, "--catalog", f"of-{configured}", "report", "assets", "--format", "json", folder=folder).data
        found = {row["path"]: (row["facility_outage"], row["reasons"], row["verification_level"]) for row in rows}
        assert {path: found[path] for path in [*NS, "same.bin", "other name.bin"]} == dict.fromkeys([*NS, "same.bin", "other name.bin"], wanted)
        assert found["touched.txt"][0] == "no"


def test_a_volume_of_which_nothing_can_be_read_makes_no_scan_read_its_files(folder: Path) -> None:
    assert ask("sql", "SELECT count(*) AS n FROM digests WHERE name = 'touched.txt'", "--format", "json", folder=folder).data == [{"n": 0}]


@pytest.mark.slow
def test_contents_of_equal_size_and_time_are_versions_of_their_own(tmp_path: Path) -> None:
    repository, data = borgs.new(tmp_path), tmp_path / "data"
    data.mkdir()
    for name, content in (("one", b"A" * 500), ("two", b"B" * 500)):
        (data / "file").write_bytes(content)
        os.utime(data / "file", (1_600_000_000, 1_600_000_000))
        borg(repository, "create", f"::{name}", str(data))
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)))
    run("scan", folder=tmp_path)
    query = "SELECT count(*) AS n FROM files WHERE volume = 'nightly' AND name = 'file'"
    assert ask("sql", query, "--format", "json", folder=tmp_path).data == [{"n": 2}]


def test_the_doctor_names_the_program_that_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    told = ask("volume", "check", "nightly", "--format", "json", folder=folder, code=8).data
    [row] = [row for row in told if row["check"] == "reachable"]
    assert (row["state"], "the program borg is not installed" in row["text"]) == ("error", True)
    assert "install what reads it" in row["mend"]
