"""The schedule: what is due, what was missed, one of a kind at a time, and the commands around it."""

import datetime
import shlex
import shutil
import threading
from pathlib import Path

import pytest
import structlog

from catalog import config, lock
from catalog.config import Config
from catalog.errors import ConfigError, LockedError
from catalog.services import UNATTENDED, Task
from lastcopy.service import schedule, tasks
from lastcopy.service.schedule import Runner
from tests.lastcopy.conftest import DECLARED, grow
from tests.lastcopy.program import ask, run

UTC = datetime.UTC
NOW = datetime.datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
_TASKS = """
[schedule.nightly]
cron = "0 2 * * *"
run = "scan data mirror"

[schedule.gate]
cron = "@hourly"
run = "check --fail-under 90"

[schedule.paper]
cron = "0 6 * * mon"
timezone = "Europe/Paris"
run = "report coverage --output 'coverage-{day}.html'"

[schedule.apply]
cron = "@daily"
run = "approved-plans"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    grow(tmp_path)
    (tmp_path / "lastcopy.toml").write_text(DECLARED + _TASKS)
    return tmp_path


def runner_of(folder: Path) -> tuple[Runner, Config]:
    path = folder / "lastcopy.toml"
    loaded = config.load(path)
    return Runner(lambda: loaded, ["--config", str(path), "--no-input"]), loaded


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("0 2 * * *", "UTC", "2026-11-21T02:00:00+00:00"),
        ("0 2 * * *", "Europe/Paris", "2026-11-21T01:00:00+00:00"),
        ("@hourly", "UTC", "2026-11-20T13:00:00+00:00"),
        ("30 12 * * *", "UTC", "2026-11-21T12:30:00+00:00"),
        ("0 6 * * mon", "UTC", "2026-11-23T06:00:00+00:00"),
    ],
)
def test_a_task_is_due_as_cron_says(cron: str, zone: str, expected: str) -> None:
    following = schedule.next_after("a", Task(cron=cron, run="scan", timezone=zone), NOW)
    assert following is not None
    assert tasks.stamp(following) == expected


@pytest.mark.parametrize(("cron", "zone"), [("0 2 * *", "UTC"), ("61 * * * *", "UTC"), ("0 2 * * *", "Mars/Base"), ("", "UTC")])
def test_a_time_that_is_none_is_a_usage_error_that_names_the_task(cron: str, zone: str) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.a: "):
        schedule.trigger("a", Task(cron=cron, run="scan", timezone=zone))


@pytest.mark.slow
def test_tasks_run_by_hand_as_the_service_runs_them_and_are_remembered(folder: Path) -> None:
    assert run("schedule", "run", "nightly", folder=folder).code == 0
    assert run("schedule", "run", "gate", folder=folder, code=3).out.decode().splitlines()[-1].startswith("Not met")
    run("schedule", "run", "paper", folder=folder)
    assert [path.read_text().startswith("<!DOCTYPE") for path in folder.glob("coverage-20??-??-??.html")] == [True]
    run("schedule", "run", "apply", folder=folder)
    states = {row["task"]: (row["state"], row["code"]) for row in ask("schedule", "list", "--format", "json", folder=folder).data}
    assert states == {"nightly": ("ok", 0), "gate": ("failed", 3), "paper": ("ok", 0), "apply": ("ok", 0)}
    assert "there is no task 'x'; tasks are nightly" in run("schedule", "run", "x", folder=folder, code=6).err
    with lock.hold(folder / "catalog", "task-gate"):
        run("schedule", "run", "gate", folder=folder, code=7)


@pytest.mark.parametrize("words", [verb for verb in UNATTENDED if verb != ("approved-plans",)])
def test_what_can_be_scheduled_is_a_command(words: tuple[str, ...], folder: Path) -> None:
    assert "Usage" in ask(*words, "--help", folder=folder).out.decode()


def test_what_was_missed_is_known_and_what_is_new_was_not(folder: Path) -> None:
    runner, loaded = runner_of(folder)
    nightly = loaded.schedule["nightly"]
    assert not runner._missed("nightly", nightly)
    tasks.write(runner.root, "nightly", tasks.Run("2026-01-01T00:00:00+00:00"))
    assert runner._missed("nightly", nightly)
    tasks.write(runner.root, "nightly", tasks.Run(tasks.stamp(schedule.now())).begun(schedule.now()))
    assert runner._missed("nightly", nightly)
    tasks.write(runner.root, "nightly", tasks.Run(tasks.stamp(schedule.now())).begun(schedule.now()).ended(schedule.now(), 0))
    assert not runner._missed("nightly", nightly)


def test_a_scan_that_was_interrupted_is_resumed(folder: Path) -> None:
    runner, loaded = runner_of(folder)
    begun = tasks.Run(tasks.stamp(NOW)).begun(NOW)
    assert list(runner._commands("nightly", loaded.schedule["nightly"], begun)) == [["scan", "data", "mirror", "--resume"]]
    assert list(runner._commands("nightly", loaded.schedule["nightly"], begun.ended(NOW, 0))) == [["scan", "data", "mirror"]]


def test_a_scan_by_a_list_of_changes_begins_anew(folder: Path) -> None:
    runner, _ = runner_of(folder)
    begun = tasks.Run(tasks.stamp(NOW)).begun(NOW)
    words = ["scan", "data", "--changes=list"]
    assert list(runner._commands("nightly", Task(cron="@daily", run=shlex.join(words)), begun)) == [words]


def test_no_two_tasks_of_a_kind_run_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, _ = runner_of(folder)
    together, most = [0], [0]
    gate = threading.Event()

    def counted(_name: str) -> int:
        together[0] += 1
        most[0] = max(most[0], together[0])
        gate.wait(0.1)
        together[0] -= 1
        return 0

    monkeypatch.setattr(runner, "run", counted)
    threads = [threading.Thread(target=runner._due, args=["nightly"]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_scan_that_somebody_else_runs_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_LOCKED_WAIT_SECONDS", 0.1)
    runner, _ = runner_of(folder)
    codes = [7, 7, 0]
    monkeypatch.setattr(runner, "_once", lambda *_: codes.pop(0))
    assert runner._child("nightly", ["scan"], None) == 0
    assert codes == []


def test_the_lock_of_a_task_keeps_a_second_run_out(folder: Path) -> None:
    runner, _ = runner_of(folder)
    with lock.hold(runner.root, "task-gate"), pytest.raises(LockedError):
        runner.run("gate")


def test_the_unit_runs_the_service_of_this_configuration(folder: Path) -> None:
    unit = run("schedule", "install", "--user", "keeper", folder=folder).out.decode()
    assert f"Environment=LASTCOPY_CONFIG={folder}/lastcopy.toml" in unit
    assert "User=keeper" in unit
    assert "-m lastcopy serve" in unit
    assert f"ReadWritePaths={folder}/catalog {folder}\n" in unit, "the report is written beside the configuration"


def test_a_unit_is_not_made_of_paths_that_it_cannot_name(folder: Path) -> None:
    strange = folder / "with blank"
    strange.mkdir()
    shutil.copy(folder / "lastcopy.toml", strange)
    assert "with blank: a unit cannot name" in run("schedule", "install", folder=strange, code=2).err
    run("schedule", "install", "--user", "keeper\nExecStartPre=/bin/true", folder=folder, code=2)


def test_a_task_that_fails_in_a_way_that_nobody_foresaw_is_failed_and_told_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, _ = runner_of(folder)
    told: list[dict[str, str]] = []

    def broken(*_: object) -> list[list[str]]:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(runner, "_commands", broken)
    monkeypatch.setattr(runner, "_alert", lambda: told.append(dict(runner.states())))
    with structlog.testing.capture_logs() as said:
        runner._due("gate")
    assert [state["gate"] for state in told] == ["failed"]
    assert "task could not be run" in [line["event"] for line in said]
