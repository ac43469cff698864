"""What an undo cannot bring back: it says so, and is not called done."""

from pathlib import Path

import pytest

from catalog.errors import RefusedError
from lifecycle import job
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate
from tests.lifecycle.test_enemies import purge_of, undone


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def deleted(small: Estate, *names: str) -> str:
    for name in names:
        for volume in ("prod", "a"):
            small.write(volume, name, name.encode())
    steps = [small.step(number, name, "delete", evidence=[small.copy("a", name)]) for number, name in enumerate(names, 1)]
    made = small.job(steps, "delete", grace="0s")
    small.carry_out(made)
    assert set(small.states(made)) == {"QUARANTINED"}
    return made


def purge(small: Estate, made: str) -> None:
    """Purge the first file of a job."""
    first = small.records(made)[0].step.evidence[0]
    wanted = purge_of(small, made, first)
    small.carry_out(wanted)
    assert small.states(wanted) == ["DONE"], small.reasons(wanted)


def test_a_deletion_whose_file_was_purged_cannot_be_undone(small: Estate) -> None:
    made = deleted(small, "f")
    purge(small, made)
    with pytest.raises(RefusedError, match="1 files purged, and the job made no copy of them: restore them from others; the first is prod:f"):
        undone(small, made)
    assert not small.there("prod", "f")


def test_a_deletion_of_which_some_files_were_purged_is_undone_in_part_and_says_so(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    made = deleted(small, "f", "g")
    real = small.records
    monkeypatch.setattr(small, "records", lambda wanted: real(wanted)[:1])
    purge(small, made)
    monkeypatch.undo()
    came = undone(small, made)
    assert (came.counts, came.not_undone, came.complete) == ({"DONE": 1}, 1, False)
    assert any("prod:f" in reason for reason in came.reasons)
    assert small.read("prod", "g") == b"g"
    assert not undone(small, made).complete


def test_an_archive_whose_file_was_purged_is_undone_from_its_copy(small: Estate) -> None:
    small.write("prod", "f", b"content")
    made = small.job([small.step(1, "f")], grace="0s")
    small.carry_out(made)
    small.carry_out(purge_of(small, made))
    assert undone(small, made).complete
    assert undone(small, made).complete
    assert small.read("prod", "f") == b"content"


def test_a_copy_cannot_be_undone(small: Estate) -> None:
    small.write("prod", "f", b"content")
    made = small.job([small.step(1, "f", "copy")], "copy")
    small.carry_out(made)
    with pytest.raises(RefusedError, match="nothing of it can be undone: 1 files were copied, and their copies stay"):
        undone(small, made)
    assert small.read("vault", "f") == b"content"


def test_a_copy_that_was_half_done_is_given_up_by_an_undo_which_says_what_stays(small: Estate) -> None:
    for name in ("f", "g"):
        small.write("prod", name, name.encode())
    made = small.job([small.step(1, "f", "copy"), small.step(2, "g", "copy", chunk=2)], "copy")
    with small.journal() as journal, journal.claim(made, 2):
        small.carry_out(made)
    assert small.states(made) == ["DONE", "PLANNED"]
    came = undone(small, made)
    assert (came.not_undone, came.complete) == (1, False)
    assert small.states(made) == ["DONE", "REFUSED"]
    with pytest.raises(RefusedError, match="was undone"):
        job.resume(small.root, small.config, made, clock=small.clock, actor="test")
