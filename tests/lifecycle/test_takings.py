"""What jobs took from a volume since a time: neither less, nor anything that is still there or was gone before."""

from pathlib import Path

import pytest

from lifecycle.journal import Job, Journal, Move
from lifecycle.manifest import Step
from lifecycle.states import State
from tests.lifecycle.journals import FINGERPRINT, NOW, job, opened, step, walk

UNTIL_GUARDED: tuple[State, ...] = ("CLAIMED", "COPYING", "VERIFIED", "PUBLISHED", "RETIRING", "GUARDED")
DAY = 86_400_000_000


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return opened(tmp_path)


def take(journal: Journal, at_us: int, *steps: int) -> None:
    """Bring steps to quarantine."""
    walk(journal, *UNTIL_GUARDED, steps=steps)
    move_in(journal, at_us, *steps)


def move_in(journal: Journal, at_us: int, *steps: int) -> None:
    """Say that the files of guarded steps are in quarantine since a time."""
    journal.advance([Move(number, "QUARANTINED", None, {"quarantine_fingerprint": FINGERPRINT}) for number in steps], "j1", at_us, "ada")


def with_policy(policy: str) -> Job:
    return Job("j1", "plan", "plan of j1", "hash of j1", "archive", policy, NOW, "ada", None)


def test_names_are_counted_that_were_taken_since_and_no_others(journal: Journal) -> None:
    journal.create_job(job(), [step(n) for n in range(1, 8)] + [step(8, volume="b", target="a")])
    walk(journal, *UNTIL_GUARDED, steps=range(1, 9))
    move_in(journal, NOW, 1, 2, 3)
    move_in(journal, NOW + DAY, 4, 6, 8)
    assert [journal.taken_since("a", at_us) for at_us in (0, NOW, NOW + 1, NOW + DAY, NOW + DAY + 1)] == [5, 5, 2, 2, 0]
    assert journal.taken_since("b", 0) == 1
    assert journal.taken_since("c", 0) == 0


def test_a_purge_takes_nothing_from_where_the_file_was(journal: Journal) -> None:
    journal.create_job(job(), [step(1), step(2)])
    take(journal, NOW, 1, 2)
    journal.create_job(job("j2"), [step(1, of=("j1", 1), target=None)])
    walk(journal, "CLAIMED", "RETIRING", "PURGING", job_id="j2")
    journal.advance([Move(1, "DONE")], "j2", NOW + DAY, "ada")
    assert journal.record("j1", 1).state == "DONE"
    assert journal.taken_since("a", NOW) == 2
    assert journal.taken_since("a", NOW + DAY) == 0


def test_what_an_undo_brought_back_was_not_taken(journal: Journal) -> None:
    journal.create_job(job(), [step(1), step(2)])
    take(journal, NOW, 1, 2)
    journal.create_job(job("j2", kind="undo", of_job="j1"), [step(1, of=("j1", 2), target=None)])
    walk(journal, "CLAIMED", "DONE", job_id="j2")
    assert journal.taken_since("a", NOW) == 1


def test_what_a_later_job_put_there_again_was_not_taken(journal: Journal) -> None:
    journal.create_job(job(), [step(1), step(2)])
    take(journal, NOW, 1, 2)
    recalled = Step(1, 0, "recall", "b", b"file 2", FINGERPRINT, None, "a", b"file 2", None, None, "j1", 2, "asked for", ())
    journal.create_job(job("j2"), [recalled])
    walk(journal, "CLAIMED", "COPYING", "VERIFIED", "PUBLISHED", job_id="j2")
    assert journal.taken_since("a", NOW) == 1


@pytest.mark.parametrize("leave", ["stub", "symlink"])
def test_a_name_at_which_a_pointer_was_left_is_still_there(journal: Journal, leave: str) -> None:
    link = step(2)
    link = Step(**vars(link) | {"fingerprint": FINGERPRINT._replace(type="symlink")})
    journal.create_job(with_policy(f'{{"leave": "{leave}"}}'), [step(1), link, step(3, target=None)])
    walk(journal, "CLAIMED", "RETIRING", "GUARDED", steps=[3])
    move_in(journal, NOW, 3)
    take(journal, NOW, 1, 2)
    assert journal.taken_since("a", NOW) == 2  # of a link nothing stays, and where there is no copy there is nothing to point to


def test_a_job_changed_the_volumes_from_which_it_took_and_to_which_it_copied(journal: Journal) -> None:
    journal.create_job(job(), [step(1), step(2, volume="c", target="d"), step(3, volume="d", target="c"), step(4, volume="d", target=None)])
    assert journal.volumes_of("j1") == []
    take(journal, NOW, 1)
    walk(journal, "CLAIMED", "COPYING", steps=[2])
    assert journal.volumes_of("j1") == ["a", "b"]
    walk(journal, "CLAIMED", "COPYING", "VERIFIED", "PUBLISHED", "DONE", steps=[3])
    assert journal.volumes_of("j1") == ["a", "b", "c"]
    walk(journal, "CLAIMED", "DONE", steps=[4])
    assert journal.volumes_of("j1") == ["a", "b", "c", "d"]
    assert journal.volumes_of("another") == []
