"""`lastcopy scan`: what it publishes, and what each way of failing ends with."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import reports
from catalog import lock, snapshot
from catalog.errors import CatalogError, UnreachableError
from lastcopy import storing
from scanners import digest, guard
from tests.lastcopy import program
from tests.lastcopy.conftest import HOSTILE, Estate, grow
from tests.lastcopy.program import ask, run
from tests.lifecycle.stores.places import tmpfs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    grow(tmp_path)
    return tmp_path


def states(ended: program.Ended) -> dict[str, str]:
    return {volume["volume"]: volume["state"] for volume in ended.data["volumes"]}


def test_a_scan_gives_the_snapshot_its_state_and_counts(estate: Estate) -> None:
    data = estate.scanned.data
    assert data["state"] == "complete"
    assert data["id"] == snapshot.find(estate.folder / "catalog").snapshot_id == estate.scanned.envelope["snapshot"]
    assert states(estate.scanned) == {"data": "complete", "mirror": "complete", "vault": "skipped"}
    assert data["volumes"][0]["files"] == len(HOSTILE) + 1
    assert data["assets"]["assets"] == len(HOSTILE) + 1
    assert estate.scanned.envelope["complete"] is False  # a volume was never scanned


@pytest.mark.slow
def test_what_it_says_goes_to_stderr_and_without_json_nothing_to_stdout(folder: Path) -> None:
    ended = run("scan", folder=folder)
    assert ended.out == b""
    assert "data: complete, 17 entries" in ended.err
    assert "vault: offline and not there, skipped" in ended.err
    assert "protected 0.0 % of 16 assets; status unknown 100.0 %" in ended.err
    assert run("scan", "--quiet", folder=folder).err == ""


@pytest.mark.slow
def test_the_second_scan_says_what_became_unprotected(folder: Path) -> None:
    (folder / "lastcopy.toml").write_text((folder / "lastcopy.toml").read_text().replace("[volumes.vault]", "[volumes.vault]\nof = []"))
    run("scan", folder=folder)
    shutil.rmtree(folder / "mirror" / "deep")
    (folder / "data" / "fresh").write_text("nobody copied this")
    ended = run("scan", "--format", "json", folder=folder)
    assert ended.data["newly_unprotected"] == 1
    assert "newly unprotected: 1" in ended.err
    listed = run("report", "changes", "--where", "newly_unprotected", "--format", "json", folder=folder)
    assert [row["path"] for row in listed.data] == ["fresh"]


@pytest.mark.slow
def test_an_unreadable_directory_makes_the_scan_incomplete_and_ends_with_4(folder: Path) -> None:
    (folder / "data" / "deep").chmod(0)
    ended = run("scan", "--format", "json", folder=folder, code=4, obedient=True)
    assert states(ended)["data"] == "incomplete"
    assert ended.data["state"] == "incomplete"
    assert [row["path"] for row in run("report", "problems", "--format", "json", folder=folder).data] == ["deep"]


@pytest.mark.slow
def test_an_unreadable_file_ends_with_4_too(folder: Path) -> None:
    (folder / "data" / "deep" / "same").chmod(0)
    ended = run("scan", "--format", "json", folder=folder, code=4, obedient=True)
    assert ended.data["digest_problems"] == 1


@pytest.mark.slow
def test_a_refused_volume_ends_with_5_and_the_others_are_scanned(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    (folder / "data").mkdir()
    ended = run("scan", "--format", "json", folder=folder, code=5)
    assert states(ended) == {"data": "failed", "mirror": "complete", "vault": "skipped"}
    assert "--accept-losses" in ended.err
    accepted = run("scan", "--accept-losses", "--format", "json", folder=folder)
    assert states(accepted)["data"] == "complete"


@pytest.mark.slow
def test_a_copy_that_cannot_be_read_protects_nothing_and_everybody_says_so(folder: Path) -> None:
    for name in ("data", "mirror"):
        (folder / name / "asset").write_text("an asset and its copy")
        os.utime(folder / name / "asset", (1_700_000_000, 1_700_000_000))
    run("scan", folder=folder)
    assert ask("explain", "data:asset", "--format", "json", folder=folder).data[0]["copies"][0]["usable"] == "yes"
    (folder / "mirror" / "asset").chmod(0)
    run("scan", folder=folder, code=4, obedient=True)
    [explained] = ask("explain", "data:asset", "--format", "json", folder=folder).data
    assert (explained["copies"][0]["usable"], explained["copies"][0]["reason"]) == ("unknown", "scan_incomplete")
    assert explained["freshness"] == "unknown"
    told = ask("explain", "data:asset", folder=folder).out.decode()
    assert "it could not be read: Permission denied" in told
    assert told.index("it could not be read") < told.index("before that level"), "no level stands there as if it still held"
    assert "it could not be read: Permission denied" in ask("explain", "mirror:asset", folder=folder).out.decode()
    volumes = {row["volume"]: row for row in ask("report", "volumes", "--format", "json", folder=folder).data}
    assert (volumes["mirror"]["state"], volumes["mirror"]["problems"]) == ("incomplete", 1)
    reported = ask("report", "coverage", "--format", "json", folder=folder).envelope
    assert any(warning.startswith("volume mirror: ") and "1 problem" in warning for warning in reported["warnings"])
    findings = ask("check", "--format", "json", folder=folder, code=3).data["findings"]
    assert ("incomplete", "mirror") in [(finding["kind"], finding["name"]) for finding in findings]


@pytest.mark.slow
def test_a_copy_that_can_be_read_again_protects_again_and_its_problem_is_gone(folder: Path) -> None:
    (folder / "mirror" / "deep" / "same").chmod(0)
    run("scan", folder=folder, code=4, obedient=True)
    (folder / "mirror" / "deep" / "same").chmod(0o644)
    run("scan", folder=folder)
    volumes = {row["volume"]: row for row in ask("report", "volumes", "--format", "json", folder=folder).data}
    assert (volumes["mirror"]["state"], volumes["mirror"]["problems"]) == ("complete", 0)
    [explained] = ask("explain", "data:deep/same", "--format", "json", folder=folder).data
    assert explained["copies"][0]["usable"] == "yes"


@pytest.mark.slow
def test_a_file_that_a_later_command_could_not_read_makes_its_volume_incomplete(folder: Path) -> None:
    run("scan", "--digest", "off", folder=folder)
    (folder / "mirror" / "deep" / "same").chmod(0)
    run("scan", "mirror", "--digest", "off", folder=folder)
    assert ask("report", "problems", "--format", "json", folder=folder).data == []
    run("scan", "data", folder=folder, code=4, obedient=True)
    volumes = {row["volume"]: row for row in ask("report", "volumes", "--format", "json", folder=folder).data}
    assert (volumes["mirror"]["state"], volumes["mirror"]["problems"]) == ("incomplete", 1)


@pytest.mark.slow
def test_a_refused_volume_is_never_met_and_every_report_warns_of_it(folder: Path) -> None:
    run("scan", folder=folder)
    shutil.rmtree(folder / "mirror")
    (folder / "mirror").mkdir()
    run("scan", folder=folder, code=5)
    assert "newer scan failed" in " ".join(finding["reason"] for finding in _findings(folder, "mirror"))
    (folder / "mirror" / "pay to get your files").write_text("ransom")
    run("scan", "mirror", folder=folder, code=5)
    assert any("vanished" in finding["reason"] for finding in _findings(folder, "mirror"))
    for name in ("volumes", "coverage", "changes"):
        warnings = ask("report", name, "--format", "json", folder=folder).envelope["warnings"]
        assert any("volume mirror: a newer scan failed" in warning for warning in warnings), name
    run("scan", "mirror", "--accept-losses", folder=folder)
    assert _findings(folder, "mirror") == []


def _findings(folder: Path, volume: str) -> list[dict[str, str]]:
    found = ask("check", "--format", "json", folder=folder, code=None).data["findings"]
    return [finding for finding in found if finding["name"] == volume]


@pytest.mark.slow
def test_the_empty_mount_point_of_an_offline_disk_is_skipped_like_an_absent_one(folder: Path) -> None:
    (folder / "vault").mkdir()
    ended = run("scan", "--format", "json", folder=folder)
    assert states(ended)["vault"] == "skipped"
    assert "vault: offline and not there (its folder is empty, as a mount point without its disk), skipped" in ended.err
    run("scan", "vault", folder=folder, code=5)
    assert "root is empty" in str(_findings(folder, "vault"))


@pytest.mark.slow
def test_an_offline_folder_that_was_emptied_is_refused_and_heard_of(folder: Path) -> None:
    (folder / "vault").mkdir()
    (folder / "vault" / "treasure").write_text("kept for years")
    run("scan", folder=folder)
    (folder / "vault" / "treasure").unlink()
    assert states(run("scan", "--format", "json", folder=folder, code=5))["vault"] == "failed"
    assert [finding["kind"] for finding in _findings(folder, "vault")] == ["failed"]


def test_no_environment_variable_accepts_losses(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    (folder / "data").mkdir()
    run("scan", folder=folder, code=5, LASTCOPY_ACCEPT_LOSSES="1", LASTCOPY_SCAN_ACCEPT_LOSSES="1", ACCEPT_LOSSES="1", LASTCOPY_YES="1")


def test_an_offline_volume_that_is_named_and_not_there_ends_with_8(folder: Path) -> None:
    assert "error: " in run("scan", "vault", folder=folder, code=8).err


def test_an_unreachable_volume_ends_with_8_and_the_others_are_scanned(folder: Path) -> None:
    shutil.rmtree(folder / "mirror")
    assert states(run("scan", "--format", "json", folder=folder, code=8)) == {"data": "complete", "mirror": "failed", "vault": "skipped"}


def test_of_several_failures_the_greatest_harm_decides(folder: Path) -> None:
    shutil.rmtree(folder / "mirror")
    shutil.rmtree(folder / "data")
    (folder / "data").mkdir()
    ended = run("scan", "--format", "json", folder=folder, code=5)
    assert ended.data == {"id": None, "state": "failed", "volumes": ended.data["volumes"]}
    assert ended.envelope["snapshot"] is None


def test_a_volume_that_another_run_scans_ends_with_7_and_the_others_are_scanned(folder: Path) -> None:
    with lock.hold(folder / "catalog", "volume-data"):
        assert states(run("scan", "--format", "json", folder=folder, code=7)) == {"data": "failed", "mirror": "complete", "vault": "skipped"}


@pytest.mark.slow
def test_a_scan_waits_while_another_run_derives(folder: Path) -> None:
    command = [sys.executable, "-m", "lastcopy", "scan", "--digest", "off"]
    with lock.hold(folder / "catalog", "derive"):
        child = subprocess.Popen(command, cwd=folder, env=program.environment(folder), stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        assert any(line.startswith("waiting: ") for line in child.stderr)
        assert snapshot.snapshots(folder / "catalog") == []
    assert "snapshot " in child.stderr.read()
    assert child.wait(60) == 0


def test_a_volume_that_is_not_declared_ends_with_6_and_nothing_is_scanned(folder: Path) -> None:
    assert "volumes are data, mirror, vault" in run("scan", "data", "nope", folder=folder, code=6).err
    assert not (folder / "catalog").exists()


def test_a_configuration_without_volumes_ends_with_2(tmp_path: Path) -> None:
    run("init", folder=tmp_path)
    assert "[volumes.NAME]" in run("scan", folder=tmp_path, code=2).err


def test_a_wrong_predicate_is_told_before_anything_is_scanned(folder: Path) -> None:
    with (folder / "lastcopy.toml").open("a") as file:
        file.write('[classes.core]\nselect = "path LIKE"\n')
    assert "classes.core.select" in run("scan", folder=folder, code=2).err
    assert not (folder / "catalog").exists()


@pytest.mark.slow_but_first
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_scan_ends_with_130_says_how_to_go_on_and_leaves_no_snapshot(folder: Path, sent: signal.Signals) -> None:
    with (folder / "data" / "large").open("wb") as file:
        file.truncate(200_000_000_000)  # sparse: takes minutes to read, and no room
    child = subprocess.Popen(
        [sys.executable, "-m", "lastcopy", "scan", "data", "--digest", "all"], cwd=folder, env=program.environment(folder), stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    assert "data: complete" in child.stderr.readline()
    child.send_signal(sent)
    said = child.stderr.read()
    assert child.wait(60) == 130
    assert "lastcopy scan --resume" in said
    assert "Traceback" not in said
    assert snapshot.snapshots(folder / "catalog") == []
    (folder / "data" / "large").unlink()
    run("scan", "--resume", folder=folder)


def test_a_scan_in_the_background_where_ctrl_c_is_ignored_can_be_terminated(folder: Path) -> None:
    with (folder / "data" / "large").open("wb") as file:
        file.truncate(200_000_000_000)
    ignoring = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    child = subprocess.Popen(
        [sys.executable, "-c", ignoring, "-m", "lastcopy", "scan", "data", "--digest", "all"],
        cwd=folder, env=program.environment(folder), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stderr is not None
    assert "data: complete" in child.stderr.readline()
    child.terminate()
    assert "lastcopy scan --resume" in child.stderr.read()
    assert child.wait(60) == 130


def test_workers_digest_and_named_volumes_are_taken(folder: Path) -> None:
    ended = run("scan", "mirror", "data", "data", "--workers", "1", "--digest", "off", "--format", "json", folder=folder)
    assert [volume["volume"] for volume in ended.data["volumes"]] == ["mirror", "data"]
    assert ended.data["digested_files"] == 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "Error writing bytes to file"), "no space is left on its disk"),
        (CatalogError("entries: could not be written as a Delta table (… No space left on device (os error 28))"), "no space is left on its disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "catalog/entries/x"), "the disk quota of user"),
        (OSError(errno.EROFS, "Read-only file system", "catalog/.locks/derive"), "is mounted read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "catalog/.locks/derive"), "may not write there"),
        (PermissionError(errno.EACCES, "Permission denied", "elsewhere/x"), None),
        (UnreachableError("/mnt/x: No space left on device (os error 28)"), None),
        (CatalogError("entries: damaged"), None),
    ],
)
def test_what_keeps_a_catalog_from_being_written_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str | None) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "catalog").mkdir()
    found = storing.refusal(tmp_path / "catalog", error)
    assert (found is None) if told is None else (told in str(found) and str(tmp_path / "catalog") in str(found))


@pytest.mark.parametrize("closed", ["full", "read-only"])
def test_a_catalog_that_takes_nothing_more_is_told_once_with_its_place(folder: Path, closed: str) -> None:
    (folder / "catalog").mkdir(exist_ok=True)
    with tmpfs(folder / "catalog", "size=64k" if closed == "full" else "ro") as catalog:
        ended = run("scan", folder=folder, code=1)
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    why = "no space is left on its disk" if closed == "full" else "its file system is mounted read-only"
    assert len(errors) == 1
    assert f"{catalog}: the catalog cannot be written: {why}. No snapshot was published" in errors[0]
    assert "snapshot " not in ended.err.replace(errors[0], "")


def test_a_list_of_changes_that_cannot_be_followed_ends_as_what_is_wrong_with_it(folder: Path) -> None:
    assert "name it" in ask("scan", "--changes", "list", folder=folder, code=2).err
    assert "goes with neither" in ask("scan", "data", "--changes", "list", "--resume", folder=folder, code=2).err
    assert "nofile: there is no such file" in ask("scan", "data", "--changes", "nofile", folder=folder, code=6).err


def test_hostile_names_of_volumes_and_paths_reach_no_terminal(folder: Path) -> None:
    ended = run("scan", b"red\x1b[31m\xff", folder=folder, code=6)
    assert "\x1b" not in ended.err
    text = (folder / "lastcopy.toml").read_text().replace('url = "mirror"', 'url = "gone\\u001b[31m"')
    (folder / "lastcopy.toml").write_text(text)
    ended = run("scan", folder=folder, code=8)
    assert "\x1b" not in ended.err
    assert os.linesep + "error: " in os.linesep + ended.err


@pytest.mark.slow
def test_sizes_beyond_any_sum_are_a_problem_and_every_report_still_answers(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "data") as data:
        (tmp_path / "lastcopy.toml").write_text('[volumes.data]\nurl = "data"\n[volumes.other]\nurl = "other"\nrole = "backup"\n')
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "one").write_text("one")
        for name in ("x", "y"):
            os.truncate(os.open(data / name, os.O_CREAT | os.O_WRONLY), 2**62)
        ended = run("scan", "--digest", "off", "--format", "json", folder=tmp_path, code=4)
    assert states(ended) == {"data": "incomplete", "other": "complete"}
    [problem] = ask("report", "problems", "--format", "json", folder=tmp_path).data
    assert (problem["volume"], problem["path"], problem["stage"]) == ("data", "x", "stat")
    assert f"add up to {2**63} bytes" in problem["error"]
    [row] = ask("report", "growth", "--where", "name = 'data'", "--format", "json", folder=tmp_path).data
    assert row["bytes"] == 2**63 - 1
    for report in reports.names():
        ask("report", report, folder=tmp_path)
    ask("check", "--fail-under", "1", folder=tmp_path, code=3)


@pytest.mark.slow
def test_a_volume_that_fails_in_a_way_that_nobody_foresaw_fails_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflows(*_: object) -> None:
        raise OverflowError("int too big to convert")

    seen = guard.linked_bytes
    os.link(folder / "data" / "-1+1", folder / "data" / "again")
    monkeypatch.setattr(guard, "linked_bytes", overflows)
    ended = ask("scan", "--format", "json", folder=folder, code=1)
    assert states(ended) == {"data": "failed", "mirror": "complete", "vault": "skipped"}
    assert "OverflowError: int too big to convert" in ended.err
    assert {row.volume: row.error for row in snapshot.scans(folder / "catalog") if row.state == "failed"} == {"data": "OverflowError: int too big to convert"}
    monkeypatch.setattr(guard, "linked_bytes", seen)
    assert states(ask("scan", "--format", "json", folder=folder))["data"] == "complete"


def test_where_reading_contents_fails_in_a_way_that_nobody_foresaw_the_scans_are_judged_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflows(*_: object, **__: object) -> None:
        raise OverflowError("int too big to convert")

    monkeypatch.setattr(digest, "_places", overflows)
    ended = ask("scan", "--format", "json", folder=folder, code=1)
    assert states(ended) == {"data": "complete", "mirror": "complete", "vault": "skipped"}
    assert "OverflowError: int too big to convert" in ended.err
    assert ended.data["state"] == "incomplete"
    assert ended.data["assets"]["unknown_assets"] == 16


@pytest.mark.slow
def test_fixity_reads_once_more_what_was_read_longest_ago(folder: Path) -> None:
    run("scan", folder=folder, code=None)
    read = [run("fixity", "data", "--budget", size, "--format", "json", folder=folder, code=None).data["digested_files"] for size in ("1", "1GiB")]
    assert 0 < read[0] < read[1]
    assert "not a size" in run("fixity", "--budget", "much", folder=folder, code=2).err


def test_a_list_of_changes_is_looked_at_and_what_it_left_out_is_told_by_the_next_whole_scan(folder: Path) -> None:
    run("scan", folder=folder)
    time.sleep(0.01)
    (folder / "data" / "told").write_text("new")
    (folder / "data" / "not told").write_text("new too")
    (folder / "list").write_bytes(b"told\0")
    for wrong, why in (
        (["data", "--changes", "nowhere"], "nowhere"),
        (["--changes", "list"], "name it"),
        (["data", "--changes", "list", "--resume"], "--resume"),
        (["data", "--changes", "list", "--changes-form", "btrfs"], "lies on no btrfs" if os.stat(folder).st_ino != 256 else "line 1"),
    ):
        refused = run("scan", *wrong, folder=folder, code=None)
        assert refused.code not in (0, 4)
        assert why in refused.err
    ended = run("scan", "data", "--changes", "list", "--format", "json", folder=folder)
    assert "data: complete, 18 entries" in ended.err
    (folder / "data" / "third").write_text("new as well")
    run("scan", "data", "--changes", "list", folder=folder)
    ended = run("scan", "data", folder=folder)
    assert "data: complete, 20 entries" in ended.err
    assert "2 entries had changed before the scan before, whose list of changes did not tell" in ended.err
