"""The journal: whose it is, what it keeps, which moves it takes, and that it outlives any death."""

import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import CatalogError, LockedError, NotFoundError, RefusedError
from lifecycle import database, upgrade
from lifecycle.journal import Approval, Journal, Move, PreparedVolume
from lifecycle.manifest import Copy, Step
from lifecycle.states import LIVE, STATES, State, may_follow
from lifecycle.stores import Capabilities, Fingerprint
from tests.lifecycle.journals import CONTENT, FINGERPRINT, NOW, TO_PUBLISHED, TO_QUARANTINE, copy, estate, job, move, opened, step, walk, wish


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal with a job of three steps in two chunks."""
    with opened(tmp_path) as found:
        found.create_job(job(), [step(1), step(2), step(3, chunk=1)])
        yield found


# Whose it is


def test_a_journal_is_made_only_where_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Journal.open(estate("a"), tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []
    with opened(tmp_path) as made:
        journal_id = made.id
    with Journal.open(estate("a"), tmp_path, create=False) as found:
        assert (found.id, found.folder) == (journal_id, tmp_path / "journal")


def test_every_commit_is_synchronous_and_goes_through_the_write_ahead_log(journal: Journal) -> None:
    with journal._database.reading() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_journal_lies_where_the_configuration_says(tmp_path: Path) -> None:
    config = estate("a", journal=str(tmp_path / "elsewhere"))
    with Journal.open(config, tmp_path / "catalog", create=True) as journal:
        assert journal.folder == tmp_path / "elsewhere"
    with pytest.raises(RefusedError, match=r"one journal|not there"):
        Journal.open(estate("a"), tmp_path / "catalog", create=True)


def test_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path).close()
    monkeypatch.setattr(database, "host", lambda: "another")
    with pytest.raises(RefusedError, match="another host"):
        opened(tmp_path)


@pytest.mark.parametrize("magic", [0x6969, 0xFF534D42, 0xFE534D42, 0x65735546], ids=["NFS", "CIFS", "SMB", "FUSE"])
def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, magic: int) -> None:
    monkeypatch.setattr(database, "file_system", lambda _folder: magic)
    with pytest.raises(RefusedError, match="a disk of this host"):
        opened(tmp_path)
    assert not (tmp_path / "journal.json").exists()


def test_the_kind_of_a_file_system_is_told(tmp_path: Path) -> None:
    assert database.file_system(Path("/proc")) == 0x9FA0
    assert database.file_system(tmp_path) not in database._NETWORKS


def test_a_newer_version_is_refused_and_says_which(tmp_path: Path) -> None:
    opened(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "journal" / "journal.db")
    connection.execute(f"PRAGMA user_version={upgrade.VERSION + 1}")
    connection.close()
    with pytest.raises(RefusedError, match=f"newer Lastcopy \\(version {upgrade.VERSION + 1}"):
        opened(tmp_path)


def test_the_journal_of_another_catalog_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        opened(tmp_path / name).close()
    told = json.loads((tmp_path / "one" / "journal.json").read_text())
    other = json.loads((tmp_path / "two" / "journal.json").read_text())
    (tmp_path / "one" / "journal.json").write_text(json.dumps({**other, "id": told["id"]}))
    with pytest.raises(RefusedError, match=r"one journal|another catalog|not the file|a copy of a catalog"):
        opened(tmp_path / "one")
    with pytest.raises(RefusedError, match="another catalog"):
        Journal.open(estate("a", journal=str(tmp_path / "two" / "journal")), tmp_path / "one", create=False)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    with sqlite3.connect(folder / "journal.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(RefusedError, match="not a journal"):
        opened(tmp_path)


def test_a_copy_of_the_journal_in_its_place_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    file = tmp_path / "journal" / "journal.db"
    shutil.copy(file, tmp_path / "copy")
    (tmp_path / "copy").replace(file)
    with pytest.raises(RefusedError, match="restored from a backup"):
        opened(tmp_path)


def test_a_copy_of_the_whole_catalog_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "one").close()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with pytest.raises(RefusedError, match="is a copy of a catalog"):
        opened(tmp_path / "two")


def test_a_catalog_that_was_moved_keeps_its_journal(tmp_path: Path) -> None:
    with opened(tmp_path / "one") as journal:
        journal.create_job(job(), [step()])
    (tmp_path / "one").rename(tmp_path / "two")
    for _ in range(2):
        with opened(tmp_path / "two") as journal:
            assert journal.job("j1").job_id == "j1"


def test_a_journal_that_is_not_there_any_more_is_not_made_anew_in_silence(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / "journal" / "journal.db").unlink()
    with pytest.raises(RefusedError, match="job rebuild"):
        opened(tmp_path)


def test_a_creation_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal_id = journal.id
    (tmp_path / "journal.json").unlink()  # it is written last
    with opened(tmp_path) as journal:
        assert journal.id == journal_id


def test_a_damaged_journal_is_told_as_damaged(tmp_path: Path) -> None:
    opened(tmp_path).close()
    _overwrite(tmp_path / "journal" / "journal.db")
    with pytest.raises(CatalogError, match="damaged"):
        opened(tmp_path)


def _overwrite(file: Path) -> None:
    with file.open("r+b") as opened_file:  # in place: its inode stays
        opened_file.write(b"x" * 4096)


def test_a_lost_journal_is_renewed_and_the_old_one_put_aside(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.create_job(job(), [step()])
        with pytest.raises(LockedError):
            Journal.renew(estate("abcd"), tmp_path, at_us=NOW, actor="ada", why="lost")
        old = journal.id
    _overwrite(tmp_path / "journal" / "journal.db")
    with Journal.renew(estate("abcd"), tmp_path, at_us=NOW, actor="ada", why="lost") as new:
        assert new.id != old
        assert new.jobs() == []
        (event,) = new.events()
        assert (tmp_path / "journal" / str(event.detail["aside"]) / "journal.db").exists()
    with opened(tmp_path) as found:
        assert found.id == new.id


def test_a_journal_is_not_carried_into_a_child(journal: Journal) -> None:
    child = os.fork()
    if child == 0:
        try:
            journal.jobs()
        except CatalogError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# What it keeps

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_numbers = st.none() | st.integers(-(2**63), 2**63 - 1)
_fingerprints = st.builds(
    Fingerprint,
    st.sampled_from(["file", "symlink"]),
    st.integers(0, 2**62),
    st.integers(-(2**63), 2**63 - 1),
    st.none() | _texts,
    _numbers,
    _numbers,
    _numbers,
    st.integers(1, 9),
)
_copies = st.builds(Copy, _texts, st.binary(max_size=9), _fingerprints, _numbers)
_steps = st.builds(
    Step,
    step=st.just(1),
    chunk=st.integers(0, 9),
    action=_texts,
    volume=_texts,
    path=st.binary(max_size=20),
    fingerprint=_fingerprints,
    sha256=st.none() | st.binary(min_size=32, max_size=32),
    target_volume=st.none() | _texts,
    target_path=st.none() | st.binary(max_size=20),
    link_group=st.none() | st.integers(0, 9),
    kept_path=st.none() | st.binary(max_size=20),
    of_job=st.none() | _texts,
    of_step=st.none() | st.integers(1, 9),
    reason=_texts,
    evidence=st.lists(_copies, max_size=3).map(tuple),
)


@settings(max_examples=40)
@given(found=_steps)
def test_a_step_comes_back_as_it_was_given(found: Step, tmp_path_factory: pytest.TempPathFactory) -> None:
    with opened(tmp_path_factory.mktemp("journal")) as journal:
        journal.create_job(job(), [found])
        (record,) = journal.steps("j1", found.chunk)
        assert record.step == found
        assert (record.state, record.attempt, record.key, record.sha256, record.losses) == ("PLANNED", 0, None, found.sha256, ())
        assert journal.record("j1", 1) == record
        assert list(journal.records("j1")) == [record]


def test_what_a_move_sets_comes_back(journal: Journal) -> None:
    move(journal, "CLAIMED", key="j1-1-2", attempt=2)
    move(journal, "COPYING")
    move(journal, "VERIFIED", sha256=CONTENT, temp_inode=9, losses=["owner 1000"])
    move(journal, "PUBLISHED", target_fingerprint=FINGERPRINT)
    record = journal.record("j1", 1)
    assert (record.key, record.attempt, record.sha256, record.temp_inode, record.losses) == ("j1-1-2", 2, CONTENT, 9, ("owner 1000",))
    assert (record.target_fingerprint, record.since_us) == (FINGERPRINT, NOW)
    with pytest.raises(ValueError, match="colour"):
        move(journal, "PUBLISHED", colour="red")
    assert journal.record("j1", 1) == record


def test_a_prepared_volume_comes_back_and_the_newest_holds(journal: Journal) -> None:
    capabilities = Capabilities("noreplace", True, True, False, False, True, True, True, True, True, False, False, True, 1, 255, True)
    assert journal.prepared("a") is None
    for marker in ("one", "two"):
        journal.remember_volume(PreparedVolume("a", marker, None, capabilities, NOW), "ada")
    assert journal.prepared("a") == PreparedVolume("a", "two", None, capabilities, NOW)


def test_approvals_come_back_and_a_cancelled_plan_takes_no_more(journal: Journal) -> None:
    journal.approve("p", "h", "bob", NOW, ((1, 5), (9, 9)))
    journal.approve("p", "h", "eve", NOW, None)
    assert journal.approvals("p") == [Approval("p", "h", "bob", NOW, ((1, 5), (9, 9))), Approval("p", "h", "eve", NOW, None)]
    journal.cancel("p", "bob", NOW, "a mistake")
    assert journal.cancelled("p")
    with pytest.raises(RefusedError):
        journal.approve("p", "h", "eve", NOW, None)
    with pytest.raises(RefusedError):
        journal.create_job(dataclasses.replace(job("j2"), plan_id="p"), [step()])


def test_a_plan_has_one_job(journal: Journal) -> None:
    again = dataclasses.replace(job(), job_id="j9")
    assert journal.create_job(again, [step()]) == "j1"
    assert [row.job_id for row in journal.jobs()] == ["j1"]
    with pytest.raises(RefusedError, match="another plan"):
        journal.create_job(dataclasses.replace(job(), plan_hash="other"), [step()])
    with pytest.raises(RefusedError, match="has a job"):
        journal.cancel("plan of j1", "ada", NOW, "too late")


def test_a_job_whose_steps_cannot_all_be_written_is_not_there(journal: Journal) -> None:
    def broken() -> Iterator[Step]:
        yield step(1)
        raise OSError("the plan cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        journal.create_job(job("j2"), broken())
    assert [row.job_id for row in journal.jobs()] == ["j1"]
    assert journal.verify().bad_seq is None


def test_a_job_tells_its_steps_by_state(journal: Journal) -> None:
    walk(journal, "CLAIMED", "COPYING", steps=[1, 2])
    move(journal, "FAILED", 2)
    row = journal.job("j1")
    assert row.counts == {"COPYING": 1, "FAILED": 1, "PLANNED": 1}
    assert row.bytes == {"COPYING": 10, "FAILED": 10, "PLANNED": 10}
    assert [record.step.step for record in journal.records("j1", {"FAILED", "PLANNED"})] == [2, 3]
    journal.finish("j1", "waiting", NOW, "ada")
    assert (journal.state("j1"), journal.job("j1").finished_us) == ("waiting", NOW)


def test_records_are_read_in_batches_and_none_is_left_out(journal: Journal) -> None:
    journal.create_job(job("j2"), (step(number) for number in range(1, 1201)))
    assert [record.step.step for record in journal.records("j2")] == list(range(1, 1201))


@pytest.mark.parametrize("ask", [lambda journal: journal.job("x"), lambda journal: journal.chunks("x"), lambda journal: journal.record("j1", 99)])
def test_what_is_not_there_is_said_to_be_missing(journal: Journal, ask: Callable[[Journal], object]) -> None:
    with pytest.raises(NotFoundError):
        ask(journal)


def test_chunks_are_those_with_work_left(journal: Journal) -> None:
    assert journal.chunks("j1") == [0, 1]
    walk(journal, *TO_QUARANTINE)
    assert journal.chunks("j1") == [0, 1]
    move(journal, "CONFLICT", 2)
    assert journal.chunks("j1") == [1]
    move(journal, "FAILED", 3, retry=True)
    assert journal.chunks("j1") == []
    move(journal, "PLANNED", 3)
    assert journal.chunks("j1") == [1]


# Which moves it takes

# Rows: from; columns: to. Ends other than DONE may follow every live or resting state, and are left out. RETIRING is the guard's alone.
DRAWN = """
            PLANNED CLAIMED COPYING VERIFIED PUBLISHED RETIRING GUARDED QUARANTINED PURGING DONE
PLANNED        -       x       -       -         -         -       -         -         -      -
CLAIMED        x       x       x       -         -         -       -         x         -      x
COPYING        x       x       x       x         x         -       -         -         -      -
VERIFIED       x       x       x       x         x         -       -         -         -      -
PUBLISHED      x       x       -       -         x         -       -         -         -      x
RETIRING       -       -       -       -         -         -       x         -         x      -
GUARDED        -       -       -       -         -         -       x         x         x      x
QUARANTINED    -       -       -       -         -         -       x         x         x      -
PURGING        -       -       -       -         -         -       -         x         x      x
DONE           -       -       -       -         -         -       -         -         -      x
"""


def test_the_moves_that_are_taken_are_those_that_are_drawn() -> None:
    header, *rows = [line.split() for line in DRAWN.strip().splitlines()]
    for name, *marks in rows:
        taken = [mark == "x" for mark in marks]
        assert [may_follow(name, then) for then in header] == taken, name


def test_an_end_ends_and_only_a_retry_or_a_look_begins_again() -> None:
    bad = [state for state in STATES if state not in DRAWN]
    assert len(bad) == 7
    for end, then in itertools.product(bad, STATES):
        assert may_follow(end, then) is (end == "UNKNOWN" and then == "PLANNED")
        assert may_follow(end, then, retry=True) is (then == "PLANNED")


def test_a_move_that_is_not_drawn_moves_nothing(journal: Journal) -> None:
    move(journal, "CLAIMED", 1)
    before, events = journal.record("j1", 1), len(journal.events())
    with pytest.raises(RefusedError, match="step 2 is PLANNED and cannot become COPYING"):
        move(journal, "COPYING", 1, 2)
    with pytest.raises(RefusedError, match="no step 99"):
        move(journal, "COPYING", 1, 99)
    assert journal.record("j1", 1) == before
    assert len(journal.events()) == events


def test_the_journal_refuses_retiring_from_anyone_but_the_guard(journal: Journal) -> None:
    walk(journal, *TO_PUBLISHED)
    with pytest.raises(RefusedError):
        move(journal, "RETIRING")
    with pytest.raises(RefusedError, match="nothing can be taken away"):
        journal.retire([wish(2)], "j1", NOW, "ada")


@settings(max_examples=60)
@given(moves=st.lists(st.tuples(st.sets(st.integers(1, 4), min_size=1), st.sampled_from(STATES)), max_size=40))
def test_the_counts_are_always_those_of_the_steps(moves: list[tuple[set[int], State]], tmp_path_factory: pytest.TempPathFactory) -> None:
    with opened(tmp_path_factory.mktemp("journal")) as journal:
        journal.create_job(job(), [dataclasses.replace(step(number), fingerprint=Fingerprint("file", number, 1)) for number in (1, 2, 3, 4)])
        for steps, state in moves:
            try:
                journal.advance([Move(number, state, None, {"retry": True}) for number in steps], "j1", NOW, "ada")
            except RefusedError:
                if state == "RETIRING":
                    _retire_those_that_may(journal, steps)
        assert _counts_are_true(journal)


def _retire_those_that_may(journal: Journal, steps: set[int]) -> None:
    try:
        journal.retire([wish(number) for number in steps], "j1", NOW, "ada")
    except RefusedError:
        return
    if journal.record("j1", min(steps)).state == "RETIRING":
        journal.unretire("j1", [min(steps)], NOW, "ada", "changed its mind")


def _counts_are_true(journal: Journal) -> bool:
    with journal._database.reading() as connection:
        truth = connection.execute("SELECT job, state, count(*), sum(size_bytes) FROM progress GROUP BY 1, 2 ORDER BY 1, 2").fetchall()
        kept = connection.execute("SELECT job, state, steps, bytes FROM counts WHERE steps > 0 ORDER BY 1, 2").fetchall()
        at_work = f"SELECT job, chunk, count(*) FROM progress WHERE state IN ({', '.join('?' * len(LIVE))}) GROUP BY 1, 2 ORDER BY 1, 2"
        live = connection.execute(at_work, sorted(LIVE)).fetchall()
        known = connection.execute("SELECT job, chunk, live FROM chunks WHERE live <> 0 ORDER BY 1, 2").fetchall()
    return (truth, live) == (kept, known)


def test_threads_share_one_journal(journal: Journal) -> None:
    journal.create_job(job("j2"), (step(number, chunk=number) for number in range(1, 41)))
    wrong: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, 41, 4):
                with journal.claim("j2", number) as mine:
                    assert mine
                    walk(journal, *TO_PUBLISHED, steps=[number], job_id="j2")
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert journal.job("j2").counts == {"PUBLISHED": 40}
    assert journal.verify().bad_seq is None


def test_a_full_disk_leaves_the_journal_as_it_was(journal: Journal) -> None:
    with journal._database.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    journal._database.connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(CatalogError, match="no space left"):
        journal.create_job(job("j2"), (step(number) for number in range(1, 1000)))
    journal._database.connection.execute("PRAGMA max_page_count=1000000")
    assert [row.job_id for row in journal.jobs()] == ["j1"]
    move(journal, "CLAIMED")
    assert journal.verify().bad_seq is None


# The ledger


def test_a_copy_that_is_being_taken_counts_for_nobody(journal: Journal) -> None:
    walk(journal, *TO_PUBLISHED, "RETIRING")
    journal.create_job(job("j2"), [step(volume="b", target=None)])
    move(journal, "CLAIMED", job_id="j2")
    wanted = wish(volume="b", copies=[copy("a", b"file 1"), copy("c")])
    refusal = journal.retire([wanted], "j2", NOW, "ada")[1]
    assert refusal is not None
    assert "a:file 1: it is being removed, or was" in refusal.reason
    journal.unretire("j1", [1], NOW, "ada", "its source is busy")
    assert journal.record("j1", 1).state == "PUBLISHED"
    assert journal.retire([wanted], "j2", NOW, "ada") == {1: None}


def test_two_wishes_of_one_call_see_each_other(journal: Journal) -> None:
    walk(journal, *TO_PUBLISHED, steps=[1, 2])
    first, second = wish(1, "a", copies=[copy("b"), copy("c")]), wish(2, "b", b"copy", copies=[copy("a", b"file 1"), copy("c")])
    answers = journal.retire([first, second], "j1", NOW, "ada")
    assert answers[1] is None
    assert answers[2] is not None


def test_two_jobs_do_not_take_the_same_copy(journal: Journal) -> None:
    walk(journal, *TO_PUBLISHED, "RETIRING")
    journal.create_job(job("j2"), [step()])
    move(journal, "CLAIMED", job_id="j2")
    refusal = journal.retire([wish()], "j2", NOW, "ada")[1]
    assert refusal is not None
    assert "another step is taking the same copy away" in refusal.reason


def test_an_empty_file_is_never_taken(journal: Journal) -> None:
    walk(journal, *TO_PUBLISHED)
    refusal = journal.retire([wish(sha256=hashlib.sha256().digest())], "j1", NOW, "ada")[1]
    assert refusal is not None
    assert "empty" in refusal.reason


def test_what_is_in_quarantine_keeps_its_state_when_the_guard_is_asked_again(journal: Journal) -> None:
    walk(journal, *TO_QUARANTINE)
    assert journal.retire([wish()], "j1", NOW, "ada") == {1: None}
    assert journal.record("j1", 1).state == "QUARANTINED"
    with pytest.raises(RefusedError, match="its source may be gone"):
        journal.unretire("j1", [1], NOW, "ada", "no")


def test_an_end_without_a_look_leaves_the_copy_in_the_ledger(journal: Journal) -> None:
    walk(journal, *TO_PUBLISHED, "RETIRING", "GUARDED")
    move(journal, "UNKNOWN")
    assert not _counts_again(journal)
    journal.unretire("j1", [1], NOW, "ada", "it is there")
    assert _counts_again(journal)
    assert journal.record("j1", 1).state == "UNKNOWN"


def _counts_again(journal: Journal, volume: str = "a", path: bytes = b"file 1") -> bool:
    """Whether another removal may rest on that copy."""
    name = f"probe-{len(journal.jobs())}"
    journal.create_job(job(name), [step(volume="d", target=None)])
    move(journal, "CLAIMED", job_id=name)
    end = journal.retire([wish(volume="d", path=name.encode(), copies=[copy(volume, path)], floor=1)], name, NOW, "ada")[1]
    if end is None:
        journal.unretire(name, [1], NOW, "ada", "it was only a probe")
    return end is None


def test_an_undo_lets_the_copy_count_again_and_says_so_in_its_step(journal: Journal) -> None:
    walk(journal, *TO_QUARANTINE)
    journal.create_job(job("u1", "undo", "j1"), [step(of=("j1", 1))])
    move(journal, "CLAIMED", job_id="u1")
    assert not _counts_again(journal)
    move(journal, "DONE", job_id="u1")
    assert _counts_again(journal)
    record = journal.record("j1", 1)
    assert (record.state, record.undone_by) == ("DONE", "u1")
    assert _counts_are_true(journal)


def test_a_purge_carries_its_step_along_and_the_copy_never_counts_again(journal: Journal) -> None:
    walk(journal, *TO_QUARANTINE)
    journal.create_job(job("p1", "purge"), [step(of=("j1", 1))])
    move(journal, "CLAIMED", job_id="p1")
    assert journal.retire([wish()], "p1", NOW, "ada") == {1: None}
    assert journal.record("j1", 1).state == "QUARANTINED"
    for state in ("PURGING", "DONE"):
        move(journal, state, job_id="p1")
        assert journal.record("j1", 1).state == state
    assert not _counts_again(journal)
    assert _counts_are_true(journal)


def test_content_that_a_job_brings_back_counts_again(journal: Journal) -> None:
    test_a_purge_carries_its_step_along_and_the_copy_never_counts_again(journal)
    journal.create_job(job("back"), [dataclasses.replace(step(volume="b"), target_volume="a", target_path=b"file 1")])
    walk(journal, "CLAIMED", "COPYING", "VERIFIED", job_id="back")
    assert not _counts_again(journal)
    move(journal, "PUBLISHED", job_id="back", target_fingerprint=FINGERPRINT)
    assert _counts_again(journal)


def test_an_undo_and_a_purge_of_one_file_exclude_each_other(journal: Journal) -> None:
    walk(journal, *TO_QUARANTINE)
    journal.create_job(job("p1", "purge"), [step(of=("j1", 1))])
    journal.create_job(job("u1", "undo", "j1"), [step(of=("j1", 1))])
    move(journal, "CLAIMED", job_id="p1")
    move(journal, "CLAIMED", job_id="u1")
    end = journal.retire([wish()], "p1", NOW, "ada")[1]
    assert end is not None
    assert "job u1 is at work" in end.reason
    move(journal, "PLANNED", job_id="u1")
    assert journal.retire([wish()], "p1", NOW, "ada") == {1: None}
    with pytest.raises(RefusedError, match="job p1 is at work"):
        move(journal, "CLAIMED", job_id="u1")


def test_what_was_put_back_is_not_purged(journal: Journal) -> None:
    walk(journal, *TO_QUARANTINE)
    journal.create_job(job("p1", "purge"), [step(of=("j1", 1))])
    journal.create_job(job("u1", "undo", "j1"), [step(of=("j1", 1))])
    move(journal, "CLAIMED", job_id="u1")
    move(journal, "DONE", job_id="u1")
    move(journal, "CLAIMED", job_id="p1")
    end = journal.retire([wish()], "p1", NOW, "ada")[1]
    assert end is not None
    assert "not in quarantine" in end.reason


def test_a_mirror_of_a_place_that_lost_the_content_does_not_count(tmp_path: Path) -> None:
    config = estate({"a": {}, "b": {"role": "archive"}, "c": {"role": "archive"}, "m": {"role": "replica", "of": ["a"]}})
    with opened(tmp_path, config) as journal:
        journal.create_job(job(), [step(target=None)])
        move(journal, "CLAIMED")
        assert journal.retire([wish(copies=[copy("b"), copy("c")], floor=2)], "j1", NOW, "ada") == {1: None}
        journal.create_job(job("j2"), [step(volume="b", target=None)])
        move(journal, "CLAIMED", job_id="j2")
        end = journal.retire([wish(volume="b", path=b"copy", copies=[copy("c"), copy("m", b"file 1")], floor=2)], "j2", NOW, "ada")[1]
    assert end is not None
    assert "follows one that the content is taken from" in end.reason
