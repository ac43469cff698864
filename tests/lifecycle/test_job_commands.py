"""`lastcopy job` as people type it: plans that are run, waited for, gone on with, undone; and a lost journal that is made anew."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lastcopy.program import Ended, ask, environment

FILES = 300
DECLARED = """
[catalog]
path = "catalog"
[volumes.prod]
url = "prod"
system = "s-prod"
device = "d-prod"
[volumes.vault]
url = "vault"
role = "archive"
system = "s-vault"
device = "d-vault"
[lifecycle]
min_copies = 1
[policies.archive]
data_class = "default"
action = "archive"
to = "vault"
quiet = "0s"
grace = "0s"
[policies.purge]
data_class = "default"
action = "purge"
quiet = "0s"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, three hundred files, and an approved plan to archive them, its id in `plan`."""
    (tmp_path / "lastcopy.toml").write_text(DECLARED)
    (tmp_path / "vault").mkdir()
    for number in range(FILES):
        file = tmp_path / "prod" / f"d{number % 7}" / f"f{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"%d " % number * 500)
    for volume in ("prod", "vault"):
        ask("volume", "prepare", volume, folder=tmp_path)
    ask("scan", "prod", folder=tmp_path)
    plan = ask("plan", "create", "archive", "--format", "json", folder=tmp_path).data["id"]
    (tmp_path / "plan").write_text(plan)
    return tmp_path


def job(folder: Path, *arguments: str, code: int | None = 0) -> Ended:
    return ask("job", *arguments, "--format", "json", folder=folder, code=code)


def plan_of(folder: Path) -> str:
    return (folder / "plan").read_text()


def approved(folder: Path) -> str:
    ask("plan", "approve", plan_of(folder), folder=folder)
    return plan_of(folder)


def files(where: Path) -> dict[str, tuple[bytes, int, int]]:
    found = (path for path in where.rglob("*") if ".lastcopy" not in path.parts and path.is_file())
    return {str(path.relative_to(where)): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


def test_a_plan_runs_only_after_it_was_approved_and_as_it_was_made(folder: Path) -> None:
    assert "not approved" in job(folder, "run", plan_of(folder), code=5).error["message"]
    job(folder, "run", "p-unknown", code=6)
    approved(folder)
    steps = folder / "catalog" / "plans" / plan_of(folder) / "steps.parquet"
    good = steps.read_bytes()
    steps.write_bytes(good[:-9] + b"x" + good[-8:])
    assert "altered" in job(folder, "run", plan_of(folder), code=5).error["message"]
    steps.write_bytes(good)
    assert job(folder, "run", plan_of(folder)).data["counts"] == {"QUARANTINED": FILES}


def test_processes_share_a_job_and_an_undo_brings_everything_back(folder: Path) -> None:
    before = files(folder / "prod")
    done = job(folder, "run", approved(folder), "--workers", "3")
    assert done.data["state"] == "done"
    assert done.data["counts"] == {"QUARANTINED": FILES}
    assert files(folder / "prod") == {}
    assert {name: content for name, (content, _, _) in files(folder / "vault").items()} == {name: content for name, (content, _, _) in before.items()}
    assert job(folder, "run", plan_of(folder)).data["id"] == done.data["id"]
    undone = job(folder, "undo", done.data["id"]).data
    assert undone["counts"] == {"DONE": FILES}
    assert [row["state"] for row in ask("plan", "list", "--format", "json", folder=folder).data] == [f"job {done.data['id']}: undone by job {undone['id']}"]
    assert files(folder / "prod") == before
    rows = job(folder, "list").data
    assert [(row["kind"], row["state"], row["steps"], row["failed"]) for row in rows] == [("plan", "done", FILES, 0), ("undo", "done", FILES, 0)]
    ask("audit", "verify", folder=folder)


def test_what_is_approved_after_a_run_is_done_by_the_next_one(folder: Path) -> None:
    before, plan = files(folder / "prod"), plan_of(folder)
    ask("plan", "approve", plan, "--steps", "1-3,7", folder=folder)
    first = job(folder, "run", plan).data
    assert first["counts"] == {"QUARANTINED": 4}
    assert job(folder, "run", plan).data == first
    ask("plan", "approve", plan, "--steps", "4-9", folder=folder)
    second = job(folder, "run", plan).data
    assert (second["id"], second["counts"]) == (first["id"], {"QUARANTINED": 9})
    assert len(files(folder / "prod")) == FILES - 9
    assert job(folder, "list").data[0]["steps"] == 9
    ask("audit", "verify", folder=folder)
    assert job(folder, "undo", first["id"]).data["counts"] == {"DONE": 9}
    assert files(folder / "prod") == before
    approved(folder)
    assert "was undone" in job(folder, "run", plan, code=5).error["message"]
    assert job(folder, "list").data[0]["steps"] == 9
    assert files(folder / "prod") == before


def test_a_job_goes_on_when_its_medium_is_there_again(folder: Path) -> None:
    plan = approved(folder)
    (folder / "vault").rename(folder / "shelf")
    waits = job(folder, "run", plan, code=4)
    assert waits.data["state"] == "waiting"
    assert "vault" in waits.data["reasons"][0]
    (folder / "shelf").rename(folder / "vault")
    assert job(folder, "resume", waits.data["id"]).data["state"] == "done"


def test_what_failed_is_shown_with_its_reason_and_is_exit_4(folder: Path) -> None:
    (folder / "vault" / "d0").mkdir()
    (folder / "vault" / "d0" / "f0").write_bytes(b"foreign")
    done = job(folder, "run", approved(folder), code=4)
    assert done.data["counts"] == {"QUARANTINED": FILES - 1, "CONFLICT": 1}
    [step] = job(folder, "show", done.data["id"]).data["steps"]
    assert (step["state"], step["path"], step["target"]) == ("CONFLICT", "prod:d0/f0", "vault:d0/f0")
    assert "something else" in step["reason"]
    assert (folder / "vault" / "d0" / "f0").read_bytes() == b"foreign"
    for again in (done, job(folder, "resume", done.data["id"], code=4)):
        assert again.data["reasons"] == [f"1 CONFLICT: not tried again; mend what 'lastcopy job show {done.data['id']}' says of them, then create a new plan"]


@pytest.mark.slow
def test_what_rests_in_quarantine_is_told_until_it_is_undone(folder: Path) -> None:
    os.link(folder / "prod" / "d1" / "f1", folder / "prod" / "d1" / "another name")
    ask("scan", "prod", folder=folder)
    plan = ask("plan", "create", "archive", "--format", "json", folder=folder).data["id"]
    ask("plan", "approve", plan, folder=folder)
    known = [path.stat() for path in (folder / "prod").rglob("*") if path.is_file() and ".lastcopy" not in path.parts]
    size_bytes = sum({found.st_ino: found.st_size for found in known}.values())
    done = job(folder, "run", plan).data
    [row] = job(folder, "list").data
    assert (row["quarantined"], row["quarantined_bytes"], row["grace_ends_at"] is None) == (FILES + 1, size_bytes, False)
    told = ask("job", "show", done["id"], folder=folder).err
    assert f"{FILES + 1} files" in told
    assert "in quarantine; a purge may take the last of it from" in told
    assert job(folder, "show", done["id"]).data["quarantined_bytes"] == size_bytes
    job(folder, "undo", done["id"])
    assert [(row["quarantined"], row["quarantined_bytes"], row["grace_ends_at"]) for row in job(folder, "list").data] == [(0, 0, None)] * 2


def test_a_plan_without_steps_is_done_and_says_that_nothing_was(folder: Path) -> None:
    words = ("--action", "copy", "--class", "default", "--to", "vault", "--where", "size_bytes > 99999999")
    made = ask("plan", "create", *words, "--format", "json", folder=folder)
    assert "there is nothing to run: the options select no file" in made.err
    plan = made.data["id"]
    assert f"plan {plan} is empty: nothing to approve" in ask("plan", "approve", plan, folder=folder).err
    ask("plan", "approve", plan, "--steps", "1", folder=folder, code=5)
    done = job(folder, "run", plan)
    assert (done.data["state"], done.data["counts"]) == ("done", {})
    assert done.data["reasons"] == [f"plan {plan} has no steps, so nothing was done; 'lastcopy plan show {plan}' says what it left out"]
    assert job(folder, "resume", done.data["id"]).data["reasons"] == done.data["reasons"]


@pytest.mark.slow
def test_an_interrupted_job_ends_with_130_and_is_resumed(folder: Path) -> None:
    before = files(folder / "prod")
    plan = approved(folder)
    started = subprocess.Popen(
        [sys.executable, "-m", "lastcopy", "job", "run", plan, "--workers", "1", "--format", "json"],
        cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while started.poll() is None and not any(name.startswith("f") for _, _, found in os.walk(folder / "vault") for name in found):
        time.sleep(0.01)
    started.send_signal(signal.SIGTERM)
    out, err = started.communicate()
    assert started.returncode in (130, 0), err
    found = json.loads(out)["data"]
    assert found["state"] == ("interrupted" if started.returncode else "done")
    done = job(folder, "resume", found["id"])
    assert done.data["counts"] == {"QUARANTINED": FILES}
    job(folder, "undo", found["id"])
    assert files(folder / "prod") == before


@pytest.mark.slow
def test_three_engines_that_are_killed_again_and_again_lose_nothing(folder: Path) -> None:
    before = files(folder / "prod")
    plan = approved(folder)
    for attempt in range(3):
        crew = [
            subprocess.Popen(
                [sys.executable, "-m", "lastcopy", "job", "run", plan, "--workers", "1"],
                cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for _ in range(3)
        ]  # fmt: skip
        time.sleep(0.5 + 0.3 * attempt)
        for engine in crew:
            engine.kill()
            engine.wait()
    done = job(folder, "run", plan)
    assert done.data["counts"] == {"QUARANTINED": FILES}
    assert {name: content for name, (content, _, _) in files(folder / "vault").items()} == {name: content for name, (content, _, _) in before.items()}
    assert list((folder / "vault").rglob(".lastcopy~*")) == []
    ask("audit", "verify", folder=folder)
    job(folder, "undo", done.data["id"])
    assert files(folder / "prod") == before


def test_a_lost_journal_is_made_anew_and_everything_goes_back(folder: Path) -> None:
    before = files(folder / "prod")
    done = job(folder, "run", approved(folder))
    shutil.rmtree(folder / "catalog" / "journal")
    assert "job rebuild" in job(folder, "list", code=5).error["message"]
    found = job(folder, "rebuild").data["found"]
    assert {row["came"] for row in found} == {"put_back"}
    assert len(found) == FILES
    assert files(folder / "prod") == before
    assert job(folder, "rebuild").data["found"] == []
    job(folder, "show", done.data["id"], code=6)
    ask("audit", "verify", folder=folder)


def test_a_rebuild_leaves_a_whole_journal_and_what_it_knows_alone(folder: Path) -> None:
    done = job(folder, "run", approved(folder))
    assert job(folder, "rebuild").data["found"] == []
    assert files(folder / "prod") == {}
    assert job(folder, "show", done.data["id"]).data["counts"] == {"QUARANTINED": FILES}


def test_what_cannot_be_put_back_is_left_in_quarantine_and_said(folder: Path) -> None:
    job(folder, "run", approved(folder))
    (folder / "prod" / "d0" / "f0").write_bytes(b"somebody's new file")
    shutil.rmtree(folder / "catalog" / "journal")
    found = [row for row in job(folder, "rebuild", code=4).data["found"] if row["came"] == "left"]
    assert [row["path"] for row in found] == ["d0/f0"]
    assert (folder / "prod" / "d0" / "f0").read_bytes() == b"somebody's new file"
    assert len([name for name in os.listdir(folder / "prod" / ".lastcopy" / "quarantine") if not name.endswith(".json")]) == 1
