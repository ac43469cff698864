"""What is told: each event as it really comes to be, over a catalog of its own."""

import datetime
import os
import shutil
from pathlib import Path

import pytest

from catalog import config
from catalog.config import Config
from lastcopy import listing, settings
from lastcopy.service import alerts, schedule, tasks
from lifecycle.journal import Journal
from tests.lastcopy.conftest import DECLARED, HOSTILE, grow
from tests.lastcopy.program import ask
from tests.lastcopy.service.receivers import Inbox
from tests.lifecycle.test_job_commands import DECLARED as ARCHIVING

_JOBS = f"""{ARCHIVING}
[schedule.carry-out]
cron = "@daily"
run = "approved-plans"
"""


def told_to(folder: Path, inbox: Inbox, declared: str, event: str) -> Config:
    (folder / "address").write_text(inbox.url)
    (folder / "lastcopy.toml").write_text(f'{declared}\n[notify.to.ops]\nurl_file = "address"\non = ["{event}"]\n')
    return config.load(folder / "lastcopy.toml")


def told(declared: Config, inbox: Inbox) -> list[str]:
    """Who is told looks: what he is sent that he was not sent before."""
    inbox.messages.clear()
    alerts.tell(declared, settings.root_of(declared), datetime.datetime.now(datetime.UTC), {})
    return [message["title"] for message in inbox.messages]


@pytest.fixture
def jobs(tmp_path: Path, inbox: Inbox) -> Path:
    """Three files and an archive for them, prepared and scanned, and a plan that waits."""
    told_to(tmp_path, inbox, _JOBS, "plan")
    for name in ("a", "b", "c"):
        (tmp_path / "prod").mkdir(exist_ok=True)
        (tmp_path / "prod" / name).write_text(name * 100)
    (tmp_path / "vault").mkdir()
    for volume in ("prod", "vault"):
        ask("volume", "prepare", volume, folder=tmp_path)
    ask("scan", "prod", folder=tmp_path)
    ask("plan", "create", "archive", folder=tmp_path)
    return tmp_path


def planned(folder: Path) -> str:
    return str(ask("plan", "list", "--format", "json", folder=folder).data[-1]["id"])


def carried_out(folder: Path) -> int:
    loaded = config.load(folder / "lastcopy.toml")
    return schedule.Runner(lambda: loaded, ["--config", str(folder / "lastcopy.toml"), "--no-input"]).run("carry-out")


def states(folder: Path) -> list[object]:
    return [job["state"] for job in listing.jobs(config.load(folder / "lastcopy.toml"))]


@pytest.mark.slow
def test_what_became_unprotected_is_told_also_when_later_scans_changed_nothing(tmp_path: Path, inbox: Inbox) -> None:
    grow(tmp_path)
    declared = told_to(tmp_path, inbox, DECLARED, "unprotected")
    ask("scan", folder=tmp_path, code=None)
    assert told(declared, inbox) == []
    os.unlink(os.fsencode(tmp_path / "mirror") + b"/" + HOSTILE[1])
    for _ in range(3):
        ask("scan", "data", "mirror", "--accept-losses", folder=tmp_path, code=None)
    [title] = told(declared, inbox)
    assert title.startswith("Lastcopy: 1 asset (9 B) became unprotected since 20")
    command = inbox.messages[0]["message"].split("'")[1].split()
    assert command[0] == "lastcopy"
    assert len(ask(*command[1:], "--format", "json", folder=tmp_path).data) == 1
    assert told(declared, inbox) == []


@pytest.mark.slow
def test_less_than_the_limit_is_not_told(tmp_path: Path, inbox: Inbox) -> None:
    grow(tmp_path)
    declared = told_to(tmp_path, inbox, DECLARED + "[notify]\nunprotected_over = 1\n", "unprotected")
    ask("scan", folder=tmp_path, code=None)
    assert told(declared, inbox) == []
    os.unlink(os.fsencode(tmp_path / "mirror") + b"/" + HOSTILE[1])
    ask("scan", "mirror", "--accept-losses", folder=tmp_path, code=None)
    assert told(declared, inbox) == []


@pytest.mark.slow
def test_a_scan_that_fails_is_told_until_one_succeeds(tmp_path: Path, inbox: Inbox) -> None:
    grow(tmp_path)
    declared = told_to(tmp_path, inbox, DECLARED, "failed")
    ask("scan", folder=tmp_path, code=None)
    assert told(declared, inbox) == []
    (tmp_path / "mirror").rename(tmp_path / "away")
    ask("scan", "mirror", folder=tmp_path, code=None)
    [title] = told(declared, inbox)
    assert title.startswith("Lastcopy: volume mirror: its newest scan failed at ")
    assert told(declared, inbox) == []
    (tmp_path / "away").rename(tmp_path / "mirror")
    ask("scan", "mirror", folder=tmp_path, code=None)
    assert told(declared, inbox) == []
    shutil.rmtree(tmp_path / "mirror")
    ask("scan", "mirror", folder=tmp_path, code=None)
    assert len(told(declared, inbox)) == 1, "it failed anew"


def test_a_plan_that_waits_for_approval_is_told(jobs: Path, inbox: Inbox) -> None:
    declared = config.load(jobs / "lastcopy.toml")
    assert told(declared, inbox) == [f"Lastcopy: plan {planned(jobs)} waits for approval: archive, 3 steps"]
    assert told(declared, inbox) == []
    assert carried_out(jobs) == 0
    assert states(jobs) == [], "nobody approved it"


def test_a_job_whose_steps_failed_is_told(jobs: Path, inbox: Inbox) -> None:
    declared = told_to(jobs, inbox, _JOBS, "failed")
    ask("plan", "approve", planned(jobs), folder=jobs)
    (jobs / "prod" / "b").write_text("changed after the plan")
    assert carried_out(jobs) == 4
    [title] = told(declared, inbox)
    assert title.endswith(": 1 step failed")
    assert told(declared, inbox) == []
    assert (jobs / "prod" / "b").read_text() == "changed after the plan"


def test_a_job_that_waited_for_its_medium_is_gone_on_with(jobs: Path) -> None:
    ask("plan", "approve", planned(jobs), folder=jobs)
    (jobs / "vault").rename(jobs / "shelf")
    assert carried_out(jobs) == 4
    assert states(jobs) == ["waiting"]
    (jobs / "shelf").rename(jobs / "vault")
    assert carried_out(jobs) == 0
    assert states(jobs) == ["done"]
    assert sorted(path.name for path in (jobs / "vault").rglob("[abc]")) == ["a", "b", "c"]
    assert carried_out(jobs) == 0
    assert states(jobs) == ["done"]


def test_a_job_over_which_the_service_was_ended_is_gone_on_with_and_that_of_somebody_else_is_not(jobs: Path) -> None:
    ask("plan", "approve", planned(jobs), folder=jobs)
    (jobs / "vault").rename(jobs / "shelf")
    carried_out(jobs)
    (jobs / "shelf").rename(jobs / "vault")
    loaded = config.load(jobs / "lastcopy.toml")
    root = settings.root_of(loaded)
    with Journal.open(loaded, root, create=False) as journal:
        journal.finish(journal.jobs()[0].job_id, "interrupted", 1, "ana")
    assert carried_out(jobs) == 0
    assert states(jobs) == ["interrupted"], "somebody else interrupted it"
    tasks.write(root, "carry-out", tasks.Run("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00", plan=planned(jobs)))
    assert carried_out(jobs) == 0
    assert states(jobs) == ["done"]


def test_a_job_that_was_undone_is_not_gone_on_with(jobs: Path) -> None:
    ask("plan", "approve", planned(jobs), folder=jobs)
    (jobs / "vault").rename(jobs / "shelf")
    carried_out(jobs)
    (jobs / "shelf").rename(jobs / "vault")
    loaded = config.load(jobs / "lastcopy.toml")
    [job] = listing.jobs(loaded)
    ask("job", "undo", str(job["id"]), folder=jobs, code=None)
    assert carried_out(jobs) == 0
    assert sorted(path.name for path in (jobs / "prod").iterdir() if path.is_file()) == ["a", "b", "c"]
