"""Where a job goes on: each state that a run can be stopped in, with the disk in each condition that a crash or somebody else may have left."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle import engine
from lifecycle import job as jobs
from lifecycle.chunk import Run, Work
from lifecycle.records import Move
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate

CONTENT = b"content " * 500


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def stopped(small: Estate, monkeypatch: pytest.MonkeyPatch, stage: str, state: str) -> str:
    """A job of one file that was stopped, as by a power cut, before a stage; its lone step is in the given state."""
    small.write("prod", "d/f", CONTENT)
    job = small.job([small.step(1, "d/f")])

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(engine.STAGES, stage, cut)
        with pytest.raises(KeyboardInterrupt):
            small.carry_out(job)
    assert small.states(job) == [state]
    return job


def temporary(small: Estate, job: str) -> bytes:
    return small.at("vault", f"d/.lastcopy~{small.records(job)[0].key}~.part")


def test_a_temporary_copy_that_was_verified_is_read_again_and_published(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stopped(small, monkeypatch, "publish", "VERIFIED")
    inode = os.stat(temporary(small, job)).st_ino
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"]
    assert os.stat(small.at("vault", "d/f")).st_ino == inode


def vanish(small: Estate, job: str) -> None:
    os.unlink(temporary(small, job))


def rot(small: Estate, job: str) -> None:
    with open(temporary(small, job), "r+b") as file:
        file.write(b"rotten!!")


@pytest.mark.parametrize("harm", [vanish, rot])
def test_a_temporary_copy_that_is_gone_or_bad_is_made_again(small: Estate, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Estate, str], None]) -> None:
    job = stopped(small, monkeypatch, "publish", "VERIFIED")
    harm(small, job)
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"], small.reasons(job)
    assert small.read("vault", "d/f") == CONTENT
    assert not [name for name in small.strays("vault") if name.endswith(".part")]


def test_a_file_that_came_under_a_temporary_name_is_set_aside_and_told_of_before_the_copy_is_made_again(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stopped(small, monkeypatch, "publish", "VERIFIED")
    small.write("vault", "new", b"something else")
    os.rename(small.at("vault", "new"), temporary(small, job))
    small.carry_out(job)
    assert small.states(job) == ["CONFLICT"]
    [aside] = [name for name in small.strays("vault") if "~" in name]
    assert aside.endswith(".bad")
    assert os.path.basename(aside) in small.reasons(job)
    with small.journal() as journal:
        journal.advance([Move(1, "PLANNED")], job, small.clock(), "test")
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"], small.reasons(job)
    assert (small.read("vault", "d/f"), small.read("vault", aside)) == (CONTENT, b"something else")


def test_a_copy_that_was_published_but_not_said_to_be_goes_on(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stopped(small, monkeypatch, "publish", "VERIFIED")
    os.rename(temporary(small, job), small.at("vault", "d/f"))
    inode = os.stat(small.at("vault", "d/f")).st_ino
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"]
    assert os.stat(small.at("vault", "d/f")).st_ino == inode


def test_a_foreign_file_that_took_the_target_meanwhile_is_a_conflict(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stopped(small, monkeypatch, "publish", "VERIFIED")
    small.write("vault", "d/f", b"foreign")
    small.carry_out(job)
    assert small.states(job) == ["CONFLICT"]
    assert small.read("vault", "d/f") == b"foreign"
    assert small.read("prod", "d/f") == CONTENT
    assert small.strays("vault") == []


@pytest.mark.parametrize(("stage", "state"), [("guard", "PUBLISHED"), ("check", "RETIRING"), ("retire", "GUARDED")])
def test_a_published_copy_that_rotted_keeps_the_source_where_it_is(small: Estate, monkeypatch: pytest.MonkeyPatch, stage: str, state: str) -> None:
    job = stopped(small, monkeypatch, stage, state)
    small.write("vault", "d/f", b"C" + CONTENT[1:])
    small.carry_out(job)
    assert small.states(job) == ["CONFLICT"]
    assert small.read("prod", "d/f") == CONTENT


@pytest.mark.parametrize(("stage", "state"), [("guard", "PUBLISHED"), ("check", "RETIRING"), ("retire", "GUARDED")])
def test_a_published_copy_that_is_gone_is_made_again_by_the_next_resume(small: Estate, monkeypatch: pytest.MonkeyPatch, stage: str, state: str) -> None:
    job = stopped(small, monkeypatch, stage, state)
    os.unlink(small.at("vault", "d/f"))
    small.carry_out(job)
    assert small.states(job) == ["FAILED"]
    assert small.read("prod", "d/f") == CONTENT
    monkeypatch.setattr(jobs, "_header", lambda _root, _row: None)  # these jobs are made without a plan
    outcome = jobs.resume(small.root, small.config, job, clock=small.clock, actor="test")
    assert outcome.complete, small.reasons(job)
    assert small.read("vault", "d/f") == CONTENT


@pytest.mark.parametrize(("stage", "state"), [("publish", "VERIFIED"), ("guard", "PUBLISHED"), ("check", "RETIRING"), ("retire", "GUARDED")])
def test_a_source_that_changed_while_nobody_looked_stays(small: Estate, monkeypatch: pytest.MonkeyPatch, stage: str, state: str) -> None:
    job = stopped(small, monkeypatch, stage, state)
    small.write("prod", "d/f", b"new")
    small.carry_out(job)
    assert small.states(job)[0] in {"STALE", "SOURCE_CHANGED"}
    assert small.read("prod", "d/f") == b"new"


def test_a_copy_whose_removal_ended_counts_again(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", CONTENT)
    small.write("a", "f", CONTENT)
    job = small.job([small.step(1, "f", "delete", evidence=[small.copy("a", "f")])], "delete")
    real = engine.STAGES["check"]

    def touched(run: Run, works: Sequence[Work]) -> None:
        os.utime(small.at("prod", "f"))
        real(run, works)

    with monkeypatch.context() as patch:
        patch.setitem(engine.STAGES, "check", touched)
        small.carry_out(job)
    assert small.states(job) == ["SOURCE_CHANGED"]
    other = replace(small.step(1, "f", "delete", evidence=[small.copy("prod", "f")]), volume="a", fingerprint=small.look("a", "f"))
    second = small.job([other], "delete")
    small.carry_out(second)
    assert small.states(second) == ["QUARANTINED"], small.reasons(second)


def test_a_move_into_quarantine_that_was_not_said_is_finished(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stopped(small, monkeypatch, "retire", "GUARDED")
    key = small.records(job)[0].key
    os.rename(small.at("prod", "d/f"), small.at("prod", f".lastcopy/quarantine/{key}"))
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"]
    assert jobs.undo(small.root, small.config, job, clock=small.clock, actor="test").complete
    assert small.read("prod", "d/f") == CONTENT


def test_a_source_that_is_nowhere_ends_its_step_and_says_so(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stopped(small, monkeypatch, "retire", "GUARDED")
    os.unlink(small.at("prod", "d/f"))
    small.carry_out(job)
    assert small.states(job) == ["STALE"]
    assert "not there" in small.reasons(job)
    assert small.read("vault", "d/f") == CONTENT


def test_a_file_that_a_power_cut_brought_back_to_its_name_is_not_purged_and_an_undo_settles_it(small: Estate) -> None:
    small.write("prod", "d/f", CONTENT)
    job = small.job([small.step(1, "d/f")], grace="0s")
    small.carry_out(job)
    record = small.records(job)[0]
    os.rename(small.at("prod", f".lastcopy/quarantine/{record.key}"), small.at("prod", "d/f"))
    step = replace(record.step, action="purge", target_volume=None, target_path=None, of_job=job, of_step=1)
    purge = small.job([step], "purge", "purge")
    small.carry_out(purge)
    assert small.states(purge) == ["STALE"]
    assert jobs.undo(small.root, small.config, job, clock=small.clock, actor="test").complete
    assert small.read("prod", "d/f") == CONTENT
    assert small.strays("prod") == []


def test_a_plan_that_expired_meanwhile_begins_nothing_more_and_finishes_what_was_begun(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    from lifecycle import crew

    small.write("prod", "e/g", CONTENT)
    small.write("prod", "d/f", CONTENT)
    job = small.job([small.step(1, "d/f"), replace(small.step(2, "e/g"), chunk=2)])

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(engine.STAGES, "guard", cut)
        with pytest.raises(KeyboardInterrupt):
            small.carry_out(job)
    errand = crew.Errand(small.root, small.config, job, "test", small.clock, small.clock() - 1)
    crew.work(errand, lambda _steps, _bytes: None)
    assert small.states(job) == ["QUARANTINED", "STALE"]
    assert small.read("prod", "e/g") == CONTENT
