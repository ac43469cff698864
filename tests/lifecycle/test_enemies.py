"""What an enemy, a crash at the worst moment, or a wrong mount could do to a file: it is lost in none of these, nor is a removal allowed that must not be."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.config import Label
from catalog.errors import RefusedError
from lifecycle import engine, job, plan, purging, rebuilding
from lifecycle.holds import Scope
from lifecycle.manifest import Copy
from lifecycle.records import Move
from lifecycle.stores import _calls, _quarantine
from lifecycle.stores.posix import Store
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate
from tests.lifecycle.grounds import DAY_US, Grounds, refusals


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def archived(small: Estate, path: str = "f", content: bytes = b"content") -> str:
    """A job of one file that rests in quarantine, past its grace time."""
    small.write("prod", path, content)
    made = small.job([small.step(1, path)], grace="0s")
    small.carry_out(made)
    assert small.states(made) == ["QUARANTINED"], small.reasons(made)
    return made


def purge_of(small: Estate, archive: str, *evidence: Copy) -> str:
    [record] = small.records(archive)
    step = replace(record.step, action="purge", target_volume=None, target_path=None, of_job=archive, of_step=1, evidence=evidence)
    return small.job([step], "purge", "purge")


def undone(small: Estate, archive: str) -> job.Outcome:
    return job.undo(small.root, small.config, archive, clock=small.clock, actor="test")


def in_quarantine(small: Estate, archive: str) -> bytes:
    [record] = small.records(archive)
    return small.at("prod", f".lastcopy/quarantine/{record.key}")


def killed_at(small: Estate, wanted: str, patched: pytest.MonkeyPatch, where: object, name: str) -> None:
    """Carry a job out until something is called, as if the engine died there."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with patched.context() as patch:
        if isinstance(where, dict):
            patch.setitem(where, name, die)
        else:
            patch.setattr(where, name, die)
        with pytest.raises(KeyboardInterrupt):
            small.carry_out(wanted)


def contents(small: Estate, volume: str) -> Iterator[bytes]:
    """What any file of a volume holds, our own folder included."""
    for folder, _, names in os.walk(small.at(volume)):
        for name in names:
            if not os.path.islink(os.path.join(folder, name)):
                yield Path(os.fsdecode(os.path.join(folder, name))).read_bytes()


@pytest.mark.parametrize("since", ["a hold", "the copy is gone", "nothing"])
def test_a_purge_that_was_killed_before_the_unlink_asks_again_before_it_removes(small: Estate, monkeypatch: pytest.MonkeyPatch, since: str) -> None:
    archive = archived(small)
    purge = purge_of(small, archive)
    killed_at(small, purge, monkeypatch, purging, "_remove")
    assert small.states(purge) == ["PURGING"]
    if since == "a hold":
        with small.journal() as journal:
            journal.place_hold(Scope("path", volume="prod", path=b"f"), reason="a lawsuit", until_us=None, at_us=small.clock(), actor="lawyer")
    elif since == "the copy is gone":
        os.unlink(small.at("vault", "f"))
    small.carry_out(purge)
    assert small.states(purge) == ["DONE" if since == "nothing" else "REFUSED"]
    assert os.path.exists(in_quarantine(small, archive)) == (since != "nothing")


def test_a_copy_that_lies_on_another_file_system_than_it_was_known_on_does_not_count_at_a_purge(small: Estate) -> None:
    """A backup that ran while its disk was not mounted wrote onto the disk of the source."""
    small.write("prod", "f", b"content")
    small.write("a", "f", b"content")
    known = small.copy("a", "f")._replace(fingerprint=small.look("a", "f")._replace(fs_id="the disk that is not mounted"))
    archive = archived(small)
    os.unlink(small.at("vault", "f"))
    purge = purge_of(small, archive, known)
    small.carry_out(purge)
    assert small.states(purge) == ["REFUSED"]
    assert os.path.exists(in_quarantine(small, archive))


def test_one_file_that_two_volumes_show_is_one_copy_whatever_is_declared(tmp_path: Path) -> None:
    small = estate.made(tmp_path, min_copies=2)
    small.write("prod", "f", b"content")
    small.write("a", "f", b"content")
    os.link(small.at("a", "f"), small.at("b", "f"))
    delete = small.job([small.step(1, "f", "delete", evidence=[small.copy("a", "f"), small.copy("b", "f")])], "delete")
    small.carry_out(delete)
    assert small.states(delete) == ["REFUSED"]
    assert "1 of at least 2" in small.reasons(delete)


def test_a_copy_on_a_volume_that_is_not_declared_any_more_does_not_count_and_ends_no_engine(small: Estate) -> None:
    small.write("prod", "f", b"content")
    small.write("a", "f", b"content")
    delete = small.job([small.step(1, "f", "delete", evidence=[small.copy("a", "f")])], "delete")
    volumes = {name: declared for name, declared in small.config.volumes.items() if name != "a"}
    small.config = small.config.model_copy(update={"volumes": volumes})
    small.carry_out(delete)
    assert small.states(delete) == ["REFUSED"]
    assert small.read("prod", "f") == b"content"


def test_a_file_that_replaces_the_source_while_it_is_taken_is_not_lost_where_there_are_no_rename_flags(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")])

    def no_flags(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    real, saved = os.unlink, []

    def unlink(name: bytes, *, dir_fd: int | None = None) -> None:
        if name == b"f":
            small.write("prod", "f.new", b"saved just now")
            os.rename(small.at("prod", "f.new"), small.at("prod", "f"))
            saved.append(name)
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(_calls, "rename_new", no_flags)
    monkeypatch.setattr(os, "unlink", unlink)
    small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED"], small.reasons(archive)
    assert not saved or small.read("prod", "f") == b"saved just now"


def test_what_a_killed_run_should_not_have_moved_goes_back(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")])
    killed_at(small, archive, monkeypatch, engine.STAGES, "retire")
    assert small.states(archive) == ["GUARDED"]
    small.write("prod", "f", b"saved just now")
    killed_at(small, archive, monkeypatch, _quarantine.Quarantine, "_move_back")
    assert not small.there("prod", "f")
    small.carry_out(archive)
    assert small.states(archive) == ["SOURCE_CHANGED"]
    assert small.read("prod", "f") == b"saved just now"
    assert small.strays("prod") == []


def test_an_undo_puts_back_what_somebody_wrote_to_after_it_was_moved(small: Estate) -> None:
    archive = archived(small)
    with open(in_quarantine(small, archive), "ab") as file:  # as by a descriptor that was open all the time
        file.write(b" and more")
    assert undone(small, archive).complete
    assert small.read("prod", "f") == b"content and more"


@pytest.mark.parametrize("obstacle", ["its name is taken", "its folder is gone"])
def test_an_undo_that_something_was_in_the_way_of_succeeds_once_that_is_mended(small: Estate, obstacle: str) -> None:
    archive = archived(small, "d/f")
    if obstacle == "its name is taken":
        small.write("prod", "d/f", b"another's")
    else:
        os.rmdir(small.at("prod", "d"))
    assert not undone(small, archive).complete
    if obstacle == "its name is taken":
        assert small.read("prod", "d/f") == b"another's"
        os.unlink(small.at("prod", "d/f"))
    else:
        os.mkdir(small.at("prod", "d"))
    assert undone(small, archive).complete
    assert small.read("prod", "d/f") == b"content"


def test_an_undo_by_a_link_that_was_cut_off_is_finished(small: Estate) -> None:
    archive = archived(small)
    os.link(in_quarantine(small, archive), small.at("prod", "f"))
    assert undone(small, archive).complete
    assert small.read("prod", "f") == b"content"
    assert os.stat(small.at("prod", "f")).st_nlink == 1
    assert small.strays("prod") == []


def test_a_file_is_durable_in_quarantine_before_its_old_name_is_durably_gone(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "d/f", b"content")
    archive = small.job([small.step(1, "d/f")])
    killed_at(small, archive, monkeypatch, engine.STAGES, "retire")
    synced: list[bytes] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}").encode())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    small.carry_out(archive)
    places = [place for place in synced if place in (small.at("prod", "d"), small.at("prod", ".lastcopy/quarantine"))]
    assert places[-2:] == [small.at("prod", ".lastcopy/quarantine"), small.at("prod", "d")]


def test_a_copy_is_durable_before_it_counts_as_read_from_its_storage(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("vault", "f", b"content")
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    found = small.look("vault", "f")
    store = Store(small.config, "vault")
    try:
        store.digest(b"f", found)
    finally:
        store.close()
    assert found.inode in synced


def test_what_is_below_any_folder_of_our_own_is_no_ones_file(small: Estate) -> None:
    """The quarantine of a volume that lies inside another one belongs to the inner one."""
    inner = "inner/.lastcopy/quarantine/jx-1-1"
    small.write("prod", inner, b"taken")
    small.write("prod", "f", b"content")
    archive = small.job([replace(small.step(1, "f"), path=inner.encode())])
    small.carry_out(archive)
    assert small.states(archive) == ["REFUSED"], small.reasons(archive)
    assert small.read("prod", inner) == b"taken"


HOSTILE = [
    "[]",
    "{",
    '{"key": "x"}',
    '{"path": 5}',
    '{"path": "!!"}',
    '{"path": "Zw==", "leave": 5}',
    '{"path": "Li4vZQ=="}',
    '{"path": "L2V0Yy9l"}',
]


def test_sidecars_that_lie_move_nothing_out_of_the_volume_and_keep_nothing_from_going_back(small: Estate) -> None:
    quarantine = small.at("prod", ".lastcopy/quarantine")
    for number, text in enumerate([*HOSTILE, '{"path": "Z29vZA=="}']):
        small.write("prod", f".lastcopy/quarantine/jx-{number}-1", b"taken %d" % number)
        Path(os.fsdecode(os.path.join(quarantine, b"jx-%d-1.json" % number))).write_text(text.replace("{", f'{{"key": "jx-{number}-1", ', 1))
    found = rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test")
    assert [one.came for one in found] == ["left"] * len(HOSTILE) + ["put_back"]
    assert small.read("prod", "good") == b"taken %d" % len(HOSTILE)
    assert not os.path.exists(small.folder / "e")
    assert len(list(contents(small, "prod"))) >= len(HOSTILE)


def test_a_rebuild_leaves_the_files_of_a_job_that_begins_meanwhile(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    real = Store.strays

    def strays(self: Store) -> Iterator[object]:
        if not begun:
            begun.append(archived(small))
        yield from real(self)

    monkeypatch.setattr(Store, "strays", strays)
    assert rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test") == []
    assert small.states(begun[0]) == ["QUARANTINED"]
    assert not small.there("prod", "f")


def held(small: Estate) -> None:
    with small.journal() as journal:
        journal.place_hold(Scope("path", volume="prod", path=b"f"), reason="a lawsuit", until_us=None, at_us=small.clock(), actor="lawyer")


def test_an_old_journal_that_is_written_into_the_same_file_is_read_and_nothing_more(small: Estate) -> None:
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")])
    file = small.root / "journal" / "journal.db"
    old = file.read_bytes()
    held(small)
    file.write_bytes(old)  # as `cp backup journal.db` does: the inode stays
    with small.journal() as journal:
        assert journal.holds().every == ()
        assert "restored from a backup" in (journal.verify().wrong or "")
    for act in (lambda: held(small), lambda: small.carry_out(archive)):
        with pytest.raises(RefusedError, match="job rebuild"):
            act()
    assert small.read("prod", "f") == b"content"
    rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test")
    held(small)


def test_what_was_last_seen_of_a_journal_is_no_matter_of_the_order_in_which_engines_end(small: Estate) -> None:
    first, second = small.journal(), small.journal()
    for journal, path in ((first, b"f"), (second, b"g")):
        journal.place_hold(Scope("path", volume="prod", path=path), reason="a lawsuit", until_us=None, at_us=small.clock(), actor="lawyer")
    second.close()
    first.close()
    with small.journal() as journal:
        assert len(journal.holds().every) == 2


def test_a_rebuild_keeps_the_holds_of_a_journal_that_can_be_read(small: Estate) -> None:
    held(small)
    file = small.root / "journal" / "journal.db"
    shutil.copy(file, small.folder / "restored.db")
    os.rename(small.folder / "restored.db", file)
    assert rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test") == []
    with small.journal() as journal:
        [hold] = journal.holds().every
    assert (hold.actor, hold.reason, hold.scope) == ("lawyer", "a lawsuit", Scope("path", volume="prod", path=b"f"))


def test_a_rebuild_says_that_holds_are_lost_where_the_journal_cannot_be_read(small: Estate) -> None:
    held(small)
    (small.root / "journal" / "journal.db").write_bytes(b"rubbish" * 4096)
    assert rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test") == []
    with small.journal() as journal:
        [event] = journal.events(kinds=("journal_renewed",))
    assert event.detail["holds"] is None


LABELS = {
    "a path": {"where": "path LIKE 'contracts/%'", "owner": "legal"},
    "a size and an ending": {"where": "extension = 'pdf' AND size_bytes = 7", "owner": "legal"},
    "what is not known here": {"where": "media_type = 'application/pdf'", "owner": "legal"},
    "a table": {"table": "labels.csv"},
    "a table that is gone": {"table": "gone.csv"},
}


@pytest.mark.parametrize("label", LABELS)
def test_a_hold_on_the_owner_that_a_label_names_holds_at_the_move_and_at_the_purge(small: Estate, label: str) -> None:
    (small.folder / "labels.csv").write_text("path,owner\ncontracts/,legal\n")
    archive = archived(small, "contracts/f.pdf")
    small.write("prod", "contracts/g.pdf", b"another")
    small.config = small.config.model_copy(update={"labels": (Label.model_validate(LABELS[label]),)})
    with small.journal() as journal:
        journal.place_hold(Scope("owner", owner="legal"), reason="a lawsuit", until_us=None, at_us=small.clock(), actor="lawyer")
    more, purge = small.job([small.step(1, "contracts/g.pdf")]), purge_of(small, archive)
    for wanted in (more, purge):
        small.carry_out(wanted)
        assert small.states(wanted) == ["REFUSED"], small.reasons(wanted)
        assert "owner" in small.reasons(wanted)


def test_a_hold_on_an_owner_that_labels_give_to_other_files_holds_only_those(small: Estate) -> None:
    small.write("prod", "f", b"content")
    label = Label.model_validate(LABELS["a path"])
    small.config = small.config.model_copy(update={"labels": (label,)})
    with small.journal() as journal:
        journal.place_hold(Scope("owner", owner="legal"), reason="a lawsuit", until_us=None, at_us=small.clock(), actor="lawyer")
    archive = small.job([small.step(1, "f")])
    small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED"], small.reasons(archive)


def test_a_second_undo_brings_back_what_was_taken_after_the_first(small: Estate) -> None:
    for name in ("f", "g"):
        small.write("prod", name, name.encode())
    archive = small.job([small.step(1, "f"), small.step(2, "g")])
    with open(small.at("prod", "g"), "r+b"):
        small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED", "SOURCE_BUSY"]
    assert undone(small, archive).complete
    with small.journal() as journal:
        journal.advance([Move(2, "PLANNED")], archive, small.clock(), "test")
    small.carry_out(archive)
    assert small.states(archive) == ["DONE", "QUARANTINED"]
    assert undone(small, archive).complete
    assert (small.read("prod", "f"), small.read("prod", "g")) == (b"f", b"g")
    assert undone(small, archive).complete


def test_a_catalog_that_never_had_a_journal_puts_back_what_is_anothers_only_if_it_is_told_so(small: Estate) -> None:
    archived(small)
    other = small.folder / "other catalog"
    other.mkdir()
    with pytest.raises(RefusedError, match="--take-over"):
        rebuilding.rebuild(other, small.config, at_us=small.clock(), actor="test")
    assert not small.there("prod", "f")
    [found] = rebuilding.rebuild(other, small.config, at_us=small.clock(), actor="test", take_over=True)
    assert (found.came, small.read("prod", "f")) == ("put_back", b"content")


def test_a_copy_of_a_catalog_takes_no_journal_over(small: Estate) -> None:
    archived(small)
    shutil.copytree(small.root, small.folder / "copied")
    with pytest.raises(RefusedError, match="is a copy of a catalog"):
        rebuilding.rebuild(small.folder / "copied", small.config, at_us=small.clock(), actor="test")
    assert not small.there("prod", "f")
    assert rebuilding.rebuild(small.folder / "copied", small.config, at_us=small.clock(), actor="test", take_over=True)


def declared(small: Estate, **volumes: dict[str, object]) -> None:
    """Say something else of volumes from now on."""
    told = {name: known.model_copy(update=volumes.get(name, {})) for name, known in small.config.volumes.items()}
    small.config = small.config.model_copy(update={"volumes": told})


@pytest.mark.parametrize("source_of_the_mirror", ["has it", "lacks it"])
def test_a_copy_on_a_mirror_of_another_volume_counts_only_if_that_one_has_it(small: Estate, source_of_the_mirror: str) -> None:
    """The next run of a mirror deletes what the volume that it follows does not have."""
    small.write("prod", "f", b"content")
    small.write("b", "f", b"content")
    declared(small, vault={"role": "replica", "of": ("b",)})
    known = [small.copy("b", "f")] if source_of_the_mirror == "has it" else []
    archive = small.job([small.step(1, "f", evidence=known)], min_copies=len(known) + 1)
    small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED" if known else "REFUSED"], small.reasons(archive)
    assert small.there("prod", "f") == (not known)
    assert known or "follows another (b)" in small.reasons(archive)


def test_mirrors_of_each_other_keep_nothing_for_one_another(small: Estate) -> None:
    for volume in ("prod", "a", "b"):
        small.write(volume, "f", b"content")
    declared(small, a={"role": "replica", "of": ("b",)}, b={"role": "replica", "of": ("a",)})
    delete = small.job([small.step(1, "f", "delete", evidence=[small.copy("a", "f"), small.copy("b", "f")])], "delete")
    small.carry_out(delete)
    assert small.states(delete) == ["REFUSED"]


@pytest.mark.slow
def test_a_floor_that_is_lowered_after_the_plan_was_made_is_the_plans(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path, "[lifecycle]\nmin_copies = 2\n")
    grounds.write("data", "f")
    far = grounds.write("far", "f")
    grounds.scanned().prepared()
    made = grounds.plan("archive", to="vault")
    with grounds.journal() as journal:
        plan.approve(made, journal, actor="bob", at_us=grounds.now_us)
    grounds.configure("[lifecycle]\nmin_copies = 1\n")
    os.unlink(far)
    came = job.run(grounds.root, grounds.config, made.id, clock=lambda: grounds.now_us, actor="ada")
    assert came.counts == {"REFUSED": 1}
    assert os.path.exists(grounds.at("data", "f"))


def test_a_job_that_was_undone_is_not_resumed(small: Estate) -> None:
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")])
    with open(small.at("prod", "f"), "r+b"):
        small.carry_out(archive)
    assert small.states(archive) == ["SOURCE_BUSY"]
    assert undone(small, archive).complete
    with pytest.raises(RefusedError, match="was undone by job"):
        job.resume(small.root, small.config, archive, clock=small.clock, actor="test")
    assert small.read("prod", "f") == b"content"


def test_a_file_that_a_killed_purge_refused_to_remove_can_be_purged_by_another_job(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archived(small)
    [before] = small.records(archive)
    purge = purge_of(small, archive)
    killed_at(small, purge, monkeypatch, purging, "_remove")
    os.rename(small.at("vault", "f"), small.at("vault", "away"))
    small.carry_out(purge)
    assert (small.states(purge), small.states(archive)) == (["REFUSED"], ["QUARANTINED"])
    [after] = small.records(archive)
    assert after.since_us == before.since_us
    os.rename(small.at("vault", "away"), small.at("vault", "f"))
    again = purge_of(small, archive)
    small.carry_out(again)
    assert (small.states(again), small.states(archive)) == (["DONE"], ["DONE"]), small.reasons(again)


@pytest.mark.slow
def test_evidence_that_was_too_old_for_the_plan_is_too_old_for_its_job(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path, more="[lifecycle]\nmin_copies = 1\nmax_evidence_age = '3d'\n")
    for volume in ("data", "far"):
        grounds.write(volume, "f")
    grounds.scanned().prepared("data", "far")
    made = grounds.plan("delete", report="largest", where="volume = 'far'", needs_approval=False)
    assert made.header.max_evidence_age == 3 * 86_400
    grounds.configure("[lifecycle]\nmin_copies = 1\nmax_evidence_age = '300d'\n")
    later_us = grounds.now_us + 2 * DAY_US  # the copy was read four days before; the plan has not expired
    outcome = job.run(grounds.root, grounds.config, made.id, clock=lambda: later_us, actor="ada")
    assert outcome.counts == {"REFUSED": 1}
    assert os.path.exists(grounds.at("far", "f"))
    strict = grounds.plan("delete", report="largest", where="volume = 'far'", max_evidence_age="1d")
    assert refusals(strict) == {"f": "floor_not_reachable"}


@pytest.mark.parametrize("ahead", ["host", "storage", "neither"])
def test_the_quiet_time_is_judged_again_by_the_clock_of_the_storage(small: Estate, monkeypatch: pytest.MonkeyPatch, ahead: str) -> None:
    """A host whose clock is days ahead would plan what was written just now."""
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")], quiet="1d")
    small.clock.ahead_us = 5 * DAY_US if ahead == "host" else 0
    real = Store.clock_ns
    with monkeypatch.context() as patched:
        patched.setattr(Store, "clock_ns", lambda store: real(store) + (5 * DAY_US * 1000 if ahead == "storage" else 0))
        small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED" if ahead == "storage" else "SOURCE_BUSY"], small.reasons(archive)
    assert small.there("prod", "f") == (ahead != "storage")
    if ahead == "host":
        assert "by the clock of its own storage" in small.reasons(archive)


def test_a_copy_back_waits_for_no_quiet_time(small: Estate) -> None:
    small.write("prod", "f", b"content")
    recall = small.job([small.step(1, "f", "recall")], "recall", quiet="1d")
    small.carry_out(recall)
    assert small.states(recall) == ["DONE"]


def test_a_target_that_is_the_very_source_is_no_copy(small: Estate) -> None:
    small.write("prod", "f", b"content")
    os.link(small.at("prod", "f"), small.at("vault", "f"))  # as a bind mount shows it
    copy = small.job([small.step(1, "f", "copy")], "copy")
    small.carry_out(copy)
    assert small.states(copy) == ["CONFLICT"]
    assert "is the source itself" in small.reasons(copy)


def test_a_file_that_is_replaced_twice_under_a_pointer_keeps_its_name(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")], leave="stub")
    real, saved = _calls.exchange, [b"saved first", b"saved last"]

    def exchange(*given: int | bytes) -> None:
        if saved:
            small.write("prod", "f.new", saved.pop(0))
            os.rename(small.at("prod", "f.new"), small.at("prod", "f"))
        real(*given)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(_calls, "exchange", exchange)
    small.carry_out(archive)
    small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED"], small.reasons(archive)
    assert not saved
    assert small.read("prod", "f") == b"saved last"
    os.unlink(small.at("prod", "f"))
    assert undone(small, archive).complete
    assert small.read("prod", "f") == b"saved first"


def test_directories_that_a_killed_run_named_are_durable_before_a_copy_below_them_counts(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "d/e/f", b"content")
    os.makedirs(small.at("vault", "d/e"))
    archive = small.job([small.step(1, "d/e/f")])
    synced: list[bytes] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}").encode())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    killed_at(small, archive, monkeypatch, engine.STAGES, "guard")
    assert small.states(archive) == ["PUBLISHED"]
    assert {small.at("vault", "d/e"), small.at("vault", "d"), small.at("vault").rstrip(b"/")} <= set(synced)
