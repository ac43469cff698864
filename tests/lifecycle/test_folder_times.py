"""The times of folders: an undo gives them back where nothing else happened in the folder since the job, and leaves them alone where something did."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from lifecycle import engine, retiring
from lifecycle import job as jobs
from lifecycle.chunk import Run, Work
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate
from tests.lifecycle.test_enemies import killed_at

LONG_AGO_NS = 1_111_111_111_123_456_789


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def filled(small: Estate, *names: str) -> None:
    for name in names:
        small.write("prod", name, name.encode())
    for name in names:
        os.utime(folder_of(small, name), ns=(LONG_AGO_NS, LONG_AGO_NS))


def folder_of(small: Estate, name: str) -> bytes:
    return os.path.dirname(small.at("prod", name))


def modified_ns(small: Estate, name: str) -> int:
    return os.stat(folder_of(small, name)).st_mtime_ns


def archived(small: Estate, *names: str, chunk_of: int = 128, leave: str = "nothing") -> str:
    steps = [small.step(number, name, chunk=1 + (number - 1) // chunk_of) for number, name in enumerate(names, 1)]
    job = small.job(steps, leave=leave)
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"] * len(names), small.reasons(job)
    return job


def undone(small: Estate, job: str) -> jobs.Outcome:
    return jobs.undo(small.root, small.config, job, clock=small.clock, actor="test")


@pytest.mark.parametrize("leave", ["nothing", "stub", "symlink"])
def test_an_undo_gives_folders_the_times_that_they_had(small: Estate, leave: str) -> None:
    names = ("d/one", "d/two", "e/f/three", "top")
    filled(small, *names)
    before = {name: modified_ns(small, name) for name in names}
    job = archived(small, *names, leave=leave)
    assert all(modified_ns(small, name) > LONG_AGO_NS for name in names)
    assert undone(small, job).counts == {"DONE": 4}
    assert {name: modified_ns(small, name) for name in names} == before == dict.fromkeys(names, LONG_AGO_NS)


def test_a_folder_whose_files_went_in_several_chunks_has_its_time_again(small: Estate) -> None:
    names = tuple(f"d/{number}" for number in range(7))
    filled(small, *names)
    job = archived(small, *names, chunk_of=2)
    assert undone(small, job).complete
    assert modified_ns(small, "d/0") == LONG_AGO_NS


def test_a_folder_in_which_somebody_did_something_since_keeps_the_time_that_says_so(small: Estate) -> None:
    filled(small, "d/one", "d/two")
    job = archived(small, "d/one", "d/two")
    small.write("prod", "d/new", b"new")
    assert undone(small, job).complete
    assert modified_ns(small, "d/one") > LONG_AGO_NS


def test_what_somebody_did_between_two_acts_of_the_job_is_what_the_time_says(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(small, "d/one", "d/two")
    job = small.job([small.step(number, name, chunk=number) for number, name in enumerate(("d/one", "d/two"), 1)])
    theirs: list[int] = []

    def retire(run: Run, works: Sequence[Work]) -> None:
        retiring.retire(run, works)
        if not theirs:
            time.sleep(0.02)  # longer than the clock of a file system takes to go on
            small.write("prod", "d/new", b"new")
            theirs.append(modified_ns(small, "d/one"))
            time.sleep(0.02)

    monkeypatch.setitem(engine.STAGES, "retire", retire)
    small.carry_out(job)
    assert undone(small, job).complete
    assert [modified_ns(small, "d/one")] == theirs


def test_a_folder_that_does_not_have_all_of_it_back_is_not_said_to_be_as_it_was(small: Estate) -> None:
    filled(small, "d/one", "d/two")
    job = archived(small, "d/one", "d/two")
    left = modified_ns(small, "d/one")
    small.write("prod", "d/two", b"a new file of that name")
    os.utime(folder_of(small, "d/one"), ns=(left, left))
    assert undone(small, job).counts == {"DONE": 1, "CONFLICT": 1}
    assert modified_ns(small, "d/one") > left


def test_what_a_killed_job_could_not_keep_is_left_alone(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(small, "d/one")
    job = small.job([small.step(1, "d/one")])
    killed_at(small, job, monkeypatch, retiring, "settle_taken")
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"]
    assert undone(small, job).complete
    assert small.read("prod", "d/one") == b"d/one"
    assert modified_ns(small, "d/one") > LONG_AGO_NS


def test_a_replaced_duplicate_is_undone_with_the_time_of_its_folder(small: Estate) -> None:
    for name in ("k/kept", "d/other"):
        small.write("prod", name, b"equal" * 999)
    filled(small)
    os.utime(folder_of(small, "d/other"), ns=(LONG_AGO_NS, LONG_AGO_NS))
    step = small.step(1, "d/other", "dedupe", evidence=[small.copy("prod", "k/kept")], kept_path=b"k/kept")
    job = small.job([step], "dedupe", hard_links=True)
    small.carry_out(job)
    assert undone(small, job).complete
    assert modified_ns(small, "d/other") == LONG_AGO_NS
