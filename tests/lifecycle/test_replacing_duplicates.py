"""Dedupe where the kernel does not share blocks by itself: an equal file takes the other's place, which rests in quarantine until it is undone or purged."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

import pytest

from catalog.ours import temporary
from lifecycle import job as jobs
from lifecycle import purging, rebuilding, sharing
from lifecycle.holds import Scope
from lifecycle.manifest import Step
from lifecycle.stores import Fingerprint, Pointer, _calls, _standins, posix
from tests.lifecycle import estate, waiting
from tests.lifecycle.estate import Estate
from tests.lifecycle.stores.places import xfs
from tests.lifecycle.test_enemies import killed_at

CONTENT = b"the same content" * 9999
KINDS = ("clone", "link")


@pytest.fixture(params=KINDS)
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    """An estate whose kernel shares no blocks when it is asked to compare: on XFS clones can be made, elsewhere links."""
    monkeypatch.setattr(_calls, "dedupe", lambda *_: "unsupported")
    if request.param == "clone":
        with xfs(tmp_path) as place:
            yield filled(place)
    else:
        monkeypatch.setattr(_calls, "clone", _no_clone)
        yield filled(tmp_path)


def _no_clone(*_: object) -> None:
    raise OSError(95, "Operation not supported")


def filled(folder: Path) -> Estate:
    found = estate.made(folder)
    for name, at_ns in (("kept", 1_111_111_111_123_456_789), ("d/other", 1_222_222_222_987_654_321)):
        where = found.write("prod", name, CONTENT)
        os.setxattr(where, b"user.note", b"\x00binary\xff")
        os.chmod(where, 0o640)
        os.utime(where, ns=(at_ns, at_ns))
    return found


def step(small: Estate, number: int = 1, path: str = "d/other") -> Step:
    return small.step(number, path, "dedupe", evidence=[small.copy("prod", "kept")], kept_path=b"kept")


def deduped(small: Estate) -> str:
    job = small.job([step(small)], "dedupe", hard_links=True)
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"], small.reasons(job)
    return job


def undone(small: Estate, job: str) -> jobs.Outcome:
    return jobs.undo(small.root, small.config, job, clock=small.clock, actor="test")


def purge(small: Estate, job: str, *, min_copies: int = 1) -> str:
    [record] = small.records(job)
    wanted = replace(record.step, action="purge", of_job=job, of_step=record.step.step, evidence=())
    made = small.job([wanted], "purge", "purge", grace=0, min_copies=min_copies)
    small.clock.ahead_us += 30 * 86_400_000_000
    small.carry_out(made)
    return made


def told(small: Estate, path: str) -> dict[str, object]:
    """All that a user can see of a file, but for its changed time."""
    found = os.stat(small.at("prod", path))
    attributes = {name: os.getxattr(small.at("prod", path), name) for name in os.listxattr(small.at("prod", path))}
    return {
        **{name: getattr(found, f"st_{name}") for name in ("ino", "mode", "uid", "gid", "size", "mtime_ns", "nlink")},
        "attributes": attributes,
        "content": small.read("prod", path),
    }


def share_blocks(small: Estate) -> bool:
    return not os.path.samefile(small.at("prod", "kept"), small.at("prod", "d/other"))


def test_an_equal_file_takes_the_place_with_all_metadata_that_it_can_have(small: Estate) -> None:
    before = told(small, "d/other")
    deduped(small)
    after = told(small, "d/other")
    assert after["content"] == CONTENT
    assert after["ino"] != before["ino"]
    if share_blocks(small):
        assert {**after, "ino": before["ino"]} == before
    else:
        assert after["nlink"] == 2
    assert small.read("prod", "kept") == CONTENT
    assert [name for name in small.strays("prod") if ".part" in name] == []


def test_an_undo_makes_both_independent_files_as_they_were(small: Estate) -> None:
    before = {path: told(small, path) for path in ("kept", "d/other")}
    job = deduped(small)
    assert undone(small, job).counts == {"DONE": 1}
    assert {path: told(small, path) for path in ("kept", "d/other")} == before
    assert small.strays("prod") == []
    assert small.trail_is_whole()


def test_a_purge_gives_the_space_back_and_asks_no_other_copy(small: Estate) -> None:
    job = deduped(small)
    made = purge(small, job, min_copies=9)
    assert small.states(made) == ["DONE"], small.reasons(made)
    assert small.states(job) == ["DONE"]
    assert small.strays("prod") == []
    assert (small.read("prod", "d/other"), small.read("prod", "kept")) == (CONTENT, CONTENT)


def test_a_purge_keeps_what_neither_file_has_any_more(small: Estate) -> None:
    job = deduped(small)
    for path in ("kept", "d/other"):
        small.write("prod", path, b"otherwise")
    made = purge(small, job)
    assert small.states(made) == ["REFUSED"], small.reasons(made)
    [kept] = [name for name in small.strays("prod") if not name.endswith(".json")]
    assert small.read("prod", kept) == CONTENT


def test_a_purge_is_held_by_a_hold_that_was_placed_since(small: Estate) -> None:
    job = deduped(small)
    with small.journal() as journal:
        journal.place_hold(Scope("path", volume="prod", path=b"d"), reason="a lawsuit", until_us=None, at_us=small.clock(), actor="lawyer")
    made = purge(small, job)
    assert small.states(made) == ["REFUSED"]
    assert "by lawyer: prod:d" in small.reasons(made)


def test_copies_elsewhere_count_on_after_the_purge(small: Estate) -> None:
    """The content never left the volume: the ledger says nothing else."""
    purge(small, deduped(small))
    where = small.write("a", "copy", CONTENT)
    delete = small.job([replace(small.step(1, "kept", "delete"), evidence=(small.copy("prod", "d/other"), small.copy("a", "copy")))], "delete")
    small.carry_out(delete)
    assert small.states(delete) == ["QUARANTINED"], small.reasons(delete)
    assert os.path.exists(where)


@pytest.mark.parametrize("how", ["rewritten", "in place, times put back", "replaced", "gone"])
def test_an_undo_never_takes_away_what_was_written_since(small: Estate, how: str) -> None:
    job = deduped(small)
    where = small.at("prod", "d/other")
    if how == "gone":
        os.unlink(where)
        assert undone(small, job).counts == {"DONE": 1}
        assert small.read("prod", "d/other") == CONTENT
        return
    new = b"X" + CONTENT[1:]
    if how == "replaced":
        small.write("prod", "d/new", new)
        os.rename(small.at("prod", "d/new"), where)
    else:
        found = os.stat(where)
        with open(where, "r+b") as file:
            file.write(b"X")
        if how.startswith("in place"):
            os.utime(where, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert undone(small, job).counts == {"CONFLICT": 1}
    assert small.read("prod", "d/other") == new
    [kept] = [name for name in small.strays("prod") if not name.endswith(".json")]
    assert small.read("prod", kept) == CONTENT
    os.rename(where, small.at("prod", "d/mine"))
    assert undone(small, job).counts == {"DONE": 1}
    assert (small.read("prod", "d/other"), small.read("prod", "d/mine")) == (CONTENT, new)


def test_an_undo_waits_for_who_has_the_file_open_for_writing(small: Estate) -> None:
    job = deduped(small)
    with open(small.at("prod", "d/other"), "r+b"):
        assert undone(small, job).counts == {"SOURCE_BUSY": 1}
    assert undone(small, job).counts == {"DONE": 1}


@pytest.mark.parametrize("path", ["kept", "d/other"])
def test_what_is_not_equal_stays_as_it_is(small: Estate, path: str) -> None:
    found = os.stat(small.at("prod", path))
    with open(small.at("prod", path), "r+b") as file:
        file.write(b"X")
    os.utime(small.at("prod", path), ns=(found.st_atime_ns, found.st_mtime_ns))
    wanted = step(small)  # as if the catalog believed that they were equal
    job = small.job([replace(wanted, sha256=None)], "dedupe", hard_links=True)
    small.carry_out(job)
    assert small.states(job) == ["SOURCE_CHANGED"], small.reasons(job)
    assert small.strays("prod") == []
    assert os.stat(small.at("prod", path)).st_ino == found.st_ino


def test_metadata_that_would_be_lost_leaves_both_as_they_are(small: Estate) -> None:
    os.chmod(small.at("prod", "d/other"), 0o4755)
    job = small.job([step(small)], "dedupe", hard_links=True)
    small.carry_out(job)
    assert small.states(job) == ["REFUSED"]
    assert "would not keep all of it" in small.reasons(job) or "has another owner, mode" in small.reasons(job)
    assert os.stat(small.at("prod", "d/other")).st_mode & 0o7777 == 0o4755
    assert small.strays("prod") == []


def test_a_link_is_not_made_to_a_file_that_has_other_rights_or_more_attributes(small: Estate) -> None:
    def rights() -> tuple[int, list[str], int]:
        return os.stat(small.at("prod", "kept")).st_mode, os.listxattr(small.at("prod", "kept")), os.stat(small.at("prod", "kept")).st_mtime_ns

    os.setxattr(small.at("prod", "kept"), b"user.more", b"of the kept one")
    os.chmod(small.at("prod", "kept"), 0o600)
    before = rights()
    job = small.job([step(small)], "dedupe", hard_links=True)
    small.carry_out(job)
    can_clone = small.states(job) == ["QUARANTINED"]  # a clone has what the other had
    assert can_clone or "has another owner, mode or attribute" in small.reasons(job)
    assert rights() == before
    assert (os.stat(small.at("prod", "d/other")).st_mode & 0o777, os.listxattr(small.at("prod", "d/other"))) == (0o640, ["user.note"])


def test_what_somebody_does_to_the_stand_in_after_it_was_read_back_is_seen(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    real = posix.Store.stand_in

    def changed(store: posix.Store, path: bytes, key: str, sha256: bytes, read_back: Fingerprint) -> Pointer:
        name = small.at("prod", "d/") + temporary(key)
        os.unlink(name)
        Path(os.fsdecode(name)).write_bytes(CONTENT)
        return real(store, path, key, sha256, read_back)

    monkeypatch.setattr(posix.Store, "stand_in", changed)
    before = told(small, "d/other")
    job = small.job([step(small)], "dedupe", hard_links=True)
    small.carry_out(job)
    assert "QUARANTINED" not in small.states(job), small.reasons(job)
    assert told(small, "d/other") == before


def test_a_file_of_somebody_under_the_temporary_name_of_a_link_is_left(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = small.job([step(small)], "dedupe", hard_links=True)
    killed_at(small, job, monkeypatch, sharing, "_made_alike")
    [name] = [name for name in small.strays("prod") if not name.endswith(".json")]
    if share_blocks(small) and os.stat(small.at("prod", name)).st_ino != os.stat(small.at("prod", "kept")).st_ino:
        small.carry_out(job)  # the inode of a clone that was cut off is not known: it is made anew
        assert small.states(job) == ["QUARANTINED"], small.reasons(job)
        return
    os.unlink(small.at("prod", name))
    small.write("prod", name, b"of somebody")
    small.carry_out(job)
    assert small.states(job) == ["CONFLICT"], small.reasons(job)
    assert small.read("prod", name) == b"of somebody"


def test_a_clone_is_not_made_of_a_file_that_has_other_names(small: Estate) -> None:
    os.link(small.at("prod", "d/other"), small.at("prod", "d/again"))
    job = small.job([step(small)], "dedupe", hard_links=True)
    small.carry_out(job)
    can_clone = "has other names" in small.reasons(job)
    assert small.states(job) == ["REFUSED" if can_clone else "QUARANTINED"], small.reasons(job)
    assert os.path.samefile(small.at("prod", "d/other"), small.at("prod", "d/again")) == can_clone


@pytest.mark.parametrize("written", [True, False])
def test_a_write_that_waited_while_a_killed_run_replaced_a_file_is_kept(small: Estate, monkeypatch: pytest.MonkeyPatch, written: bool) -> None:
    job = small.job([step(small)], "dedupe", hard_links=True)
    killed_at(small, job, monkeypatch, sharing, "unheard")
    [moved] = [name for name in small.strays("prod") if not name.endswith(".json")]
    if written:
        with open(small.at("prod", moved), "r+b") as file:  # as by a program that waited on the lease
            file.write(b"WRITTEN")
    small.carry_out(job)
    assert small.states(job) == ["SOURCE_CHANGED" if written else "QUARANTINED"], small.reasons(job)
    assert small.read("prod", "d/other")[:7] == (b"WRITTEN" if written else CONTENT[:7])
    assert small.read("prod", "kept") == CONTENT
    if written:
        assert small.strays("prod") == []


def test_a_lost_journal_is_rebuilt_by_putting_the_replaced_file_back(small: Estate) -> None:
    before = told(small, "d/other")
    deduped(small)
    (small.root / "journal/journal.db").unlink()
    [found] = rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test")
    assert (found.came, told(small, "d/other")) == ("put_back", before)
    assert small.strays("prod") == []


def test_a_purge_that_was_killed_is_gone_on_with(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = deduped(small)
    [record] = small.records(job)
    wanted = replace(record.step, action="purge", of_job=job, of_step=record.step.step, evidence=())
    made = small.job([wanted], "purge", "purge", grace=0)
    small.clock.ahead_us += 30 * 86_400_000_000
    killed_at(small, made, monkeypatch, purging, "_remove")
    small.carry_out(made)
    assert small.states(made) == ["DONE"], small.reasons(made)
    assert small.read("prod", "d/other") == CONTENT


def test_a_writer_that_waits_gets_the_very_file(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = small.job([step(small)], "dedupe", hard_links=True)
    writers: list[Popen[bytes]] = []
    real = _calls.exchange

    def exchange(*given: int | bytes) -> None:
        if not writers:
            writers.append(waiting.writer(small.at("prod", "d/other"), "WRITTEN"))
        real(*given)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(_calls, "exchange", exchange)
    small.carry_out(job)
    assert writers[0].wait() == 0
    assert small.states(job) == ["SOURCE_BUSY"], small.reasons(job)
    assert small.read("prod", "d/other")[:7] == b"WRITTEN"
    assert small.read("prod", "kept") == CONTENT


def test_what_somebody_opened_while_an_undo_was_killed_has_its_name_again(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    job = deduped(small)
    with monkeypatch.context() as patch:
        patch.setattr(_standins, "is_wanted", _die)
        with pytest.raises(KeyboardInterrupt):
            undone(small, job)
    [aside] = [name for name in small.strays("prod") if not name.endswith(".json")]
    with open(small.at("prod", aside), "r+b") as file:
        assert undone(small, job).counts == {"SOURCE_BUSY": 1}
        file.write(b"WRITTEN")
    assert small.read("prod", "d/other").startswith(b"WRITTEN")
    assert undone(small, job).counts == {"CONFLICT": 1}
    assert small.read("prod", "d/other").startswith(b"WRITTEN")
    assert CONTENT in {small.read("prod", name) for name in small.strays("prod")}


def _die(*_: object) -> None:
    raise KeyboardInterrupt
