"""Jobs that stop, wait, or leave a storage alone: what makes them, and that they can be gone on with."""

import datetime
import os
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.config import Policy
from lifecycle import pace
from lifecycle.ends import failed
from lifecycle.stores._staging import StagedFile
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def test_a_job_waits_for_a_volume_that_is_not_there_or_is_another_one(small: Estate) -> None:
    small.write("prod", "f", b"content")
    job = small.job([small.step(1, "f")])
    os.rename(small.at("vault"), small.at("shelf"))
    assert "marker-of-vault" in small.carry_out(job).blocked["vault"]
    os.mkdir(small.at("vault"))
    assert "missing" in small.carry_out(job).blocked["vault"]
    assert small.states(job) == ["PLANNED"]
    os.rmdir(small.at("vault"))
    os.rename(small.at("shelf"), small.at("vault"))
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"]


def test_many_bad_ends_suspend_the_job_before_anything_is_taken(small: Estate) -> None:
    for number in range(30):
        small.write("prod", f"f{number}", b"content %d" % number)
    steps = [small.step(number + 1, f"f{number}") for number in range(30)]
    small.write("prod", "f3", b"changed since")
    job = small.job(steps)
    came = small.carry_out(job)
    assert came.halt is not None
    assert came.halt.state == "suspended"
    assert set(small.states(job)) == {"STALE", "PUBLISHED"}


def test_the_kill_switch_and_hours_stop_a_job_that_can_be_resumed(small: Estate) -> None:
    small.write("prod", "f", b"content")
    job = small.job([small.step(1, "f")])
    with small.journal() as journal:
        stop = journal.folder / "STOP"
    stop.touch()
    came = small.carry_out(job)
    assert came.halt is not None
    assert came.halt.state == "stopped"
    assert small.states(job) == ["PLANNED"]
    stop.unlink()
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"]


def test_hours_may_go_over_midnight() -> None:
    def at(text: str) -> datetime.time:
        return datetime.time.fromisoformat(text)

    assert pace.within("22:00-06:00", at("23:00"))
    assert pace.within("22:00-06:00", at("05:59"))
    assert not pace.within("22:00-06:00", at("06:00"))
    assert not pace.within("09:00-17:00", at("08:59"))
    assert pace.within("00:00-00:00", at("12:00"))


def test_a_target_that_gives_back_other_content_fails_after_a_second_copy_and_is_left_alone(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("f", "g"):
        small.write("prod", name, b"content")
    monkeypatch.setattr(StagedFile, "digest", lambda _self: (bytes(32), 7))
    first, second = small.step(1, "f"), replace(small.step(2, "g"), chunk=2)
    job = small.job([first, second])
    came = small.carry_out(job)
    assert small.states(job) == ["FAILED", "PLANNED"]
    assert "gave back other content" in came.blocked["vault"]
    assert [name.endswith("~.bad") for name in small.strays("vault")] == [True, True]
    assert small.read("prod", "f") == b"content"


def test_a_failed_sync_is_never_retried_on_the_same_file(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    real, failures, failed_on, synced = os.fsync, [5], set[int](), set[int]()

    def failing(descriptor: int) -> None:
        if ".lastcopy~" in os.readlink(f"/proc/self/fd/{descriptor}"):
            status = os.fstat(descriptor)
            assert status.st_ino not in failed_on
            if failures:
                failed_on.add(status.st_ino)
                raise OSError(failures.pop(), "Input/output error")
            synced.add(status.st_ino)
        real(descriptor)

    monkeypatch.setattr("lifecycle.stores._staging.os.fsync", failing)
    job = small.job([small.step(1, "f")])
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"], small.reasons(job)
    assert small.records(job)[0].attempt == 2
    assert len(failed_on) == 1
    assert small.records(job)[0].temp_inode in synced - failed_on


def test_a_full_target_rests_and_leaves_no_part_behind(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("f", "g", "h"):
        small.write("prod", name, b"content")

    def full(_self: StagedFile, _block: object) -> None:
        raise failed(OSError(28, "No space left on device"), "vault:f: write")

    with monkeypatch.context() as patch:
        patch.setattr(StagedFile, "write", full)
        job = small.job([small.step(number, name) for number, name in enumerate("fgh", 1)])
        came = small.carry_out(job)
    assert "no space left" in came.blocked["vault"]
    assert small.states(job) == ["FAILED", "COPYING", "COPYING"]
    assert small.strays("vault") == []
    small.carry_out(job)
    assert small.states(job)[1:] == ["QUARANTINED", "QUARANTINED"]


def test_a_pace_waits_as_long_as_its_rates_ask_and_stops_when_it_is_told() -> None:
    now = [0.0]

    def nap(seconds: float) -> None:
        now[0] += seconds

    policy = Policy(action="copy", data_class="default", steps_per_second=10, bytes_per_second=1000)
    kept = pace.Pace(policy, Path("/nonexistent/STOP"), seconds=lambda: now[0], nap=nap)
    kept.spent(5, 100)
    assert now[0] == pytest.approx(0.5)
    kept.spent(1, 3000)
    assert now[0] == pytest.approx(3.5)
    kept.interrupted = True
    with pytest.raises(pace.Halt, match="resume"):
        kept.spent(1, 1)
