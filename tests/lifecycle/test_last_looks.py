"""What is looked at right before content goes, or a step ends: a copy that went meanwhile, two names of one file, an exchange that a killed run left."""

import errno
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lifecycle import copying, crew, sharing
from lifecycle.crew import Errand
from lifecycle.stores import Fingerprint, _calls
from lifecycle.stores._tree import Tree
from lifecycle.stores.posix import Store
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate
from tests.lifecycle.test_enemies import archived, in_quarantine, killed_at, purge_of, undone


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def test_a_copy_that_goes_after_it_was_read_stops_the_purge_that_rests_on_it(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("f", "g"):
        small.write("prod", name, name.encode() * 5)
    made = small.job([small.step(1, "f"), small.step(2, "g")], grace="0s")
    small.carry_out(made)
    steps = [
        replace(one.step, action="purge", target_volume=None, target_path=None, of_job=made, of_step=one.step.step, evidence=()) for one in small.records(made)
    ]
    purge = small.job(steps, "purge", "purge")
    real = Store.digest

    def digest(self: Store, path: bytes, expected: Fingerprint) -> bytes:
        if path == b"g" and small.there("vault", "f"):
            os.unlink(small.at("vault", "f"))  # while the copy of the second file is read, that of the first one goes
        return real(self, path, expected)

    monkeypatch.setattr(Store, "digest", digest)
    small.carry_out(purge)
    assert small.states(purge) == ["REFUSED", "DONE"]
    assert "vault:f changed or went after it was read" in str(small.reasons(purge))
    assert small.states(made) == ["QUARANTINED", "DONE"]


def test_a_copy_that_became_another_name_of_a_copy_is_not_counted_twice_at_a_purge(small: Estate) -> None:
    small.write("prod", "f", b"content")
    small.write("a", "f", b"content")
    made = small.job([small.step(1, "f", evidence=[small.copy("a", "f")])], grace="0s", min_copies=2)
    small.carry_out(made)
    assert small.states(made) == ["QUARANTINED"], small.reasons(made)
    os.unlink(small.at("a", "f"))
    os.link(small.at("vault", "f"), small.at("a", "f"))
    purge = purge_of(small, made, *small.records(made)[0].step.evidence)
    small.carry_out(purge)
    assert small.states(purge) == ["REFUSED"]


def test_a_copy_that_became_another_name_of_the_file_itself_does_not_count_at_its_purge(small: Estate) -> None:
    small.write("prod", "f", b"content")
    small.write("a", "f", b"content")
    known = small.copy("a", "f")
    made = archived(small)
    os.unlink(small.at("vault", "f"))
    os.unlink(small.at("a", "f"))
    os.link(in_quarantine(small, made), small.at("a", "f"))
    purge = purge_of(small, made, known)
    small.carry_out(purge)
    assert small.states(purge) == ["REFUSED"]
    assert os.path.exists(in_quarantine(small, made))


def test_a_purge_whose_copies_stand_goes_through(small: Estate) -> None:
    purge = purge_of(small, archived(small))
    small.carry_out(purge)
    assert small.states(purge) == ["DONE"], small.reasons(purge)


def test_what_a_writer_wrote_to_a_file_that_a_killed_dedupe_exchanged_comes_back_though_the_plan_expired(
    small: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kept", "other"):
        small.write("prod", name, b"content")
    step = small.step(1, "other", "dedupe", kept_path=b"kept", evidence=[small.copy("prod", "kept")])
    made = small.job([step], "dedupe", hard_links=True)
    killed_at(small, made, monkeypatch, sharing, "unheard")
    [stray] = [name for name in small.strays("prod") if not name.endswith(".json")]
    with open(small.at("prod", stray), "r+b") as file:
        file.write(b"WRITTEN")
    crew.work(Errand(small.root, small.config, made, "test", small.clock, 1), lambda _steps, _bytes: None)
    assert small.read("prod", "other") == b"WRITTEN", small.reasons(made)


def test_all_names_of_a_hard_linked_file_are_archived_though_the_target_lacks_the_folder_of_one(small: Estate) -> None:
    small.write("prod", "one/f", b"content")
    os.makedirs(small.at("prod", "two/deep"))
    os.chmod(small.at("prod", "two"), 0o750)
    os.link(small.at("prod", "one/f"), small.at("prod", "two/deep/f"))
    made = small.job([small.step(1, "one/f", link_group=1), small.step(2, "two/deep/f", link_group=1)])
    small.carry_out(made)
    assert small.states(made) == ["QUARANTINED", "QUARANTINED"], small.reasons(made)
    first, second = (os.stat(small.at("vault", path)) for path in ("one/f", "two/deep/f"))
    assert (first.st_ino, first.st_nlink) == (second.st_ino, 2)
    assert os.stat(small.at("vault", "two")).st_mode & 0o777 == 0o750


def test_names_of_a_hard_linked_file_that_a_killed_run_had_linked_are_found_so(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    os.link(small.at("prod", "f"), small.at("prod", "g"))
    made = small.job([small.step(1, "f", link_group=1, digest=False), small.step(2, "g", link_group=1, digest=False)])
    killed_at(small, made, monkeypatch, copying, "_stands")
    assert small.states(made) == ["VERIFIED", "VERIFIED"]
    small.carry_out(made)
    assert small.states(made) == ["QUARANTINED", "QUARANTINED"], small.reasons(made)
    assert os.path.samefile(small.at("vault", "f"), small.at("vault", "g"))


def test_a_temporary_copy_that_was_written_to_after_it_was_read_back_gets_no_name(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    copy = small.job([small.step(1, "f", "copy")], "copy")
    real = Store.publish

    def publish(self: Store, path: bytes, key: str, inode: int | None, **more: Any) -> Fingerprint:  # noqa: ANN401  # passed on as they came
        temporary = small.at("vault", f".lastcopy~{key}~.part")
        status = os.stat(temporary)
        with open(temporary, "r+b") as file:  # as by the owner of the source, whose the copy is too
            file.write(b"CONTENT")
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
        return real(self, path, key, inode, **more)

    monkeypatch.setattr(Store, "publish", publish)
    small.carry_out(copy)
    assert small.states(copy) == ["FAILED"]
    assert "after it was read back" in small.reasons(copy)
    assert not small.there("vault", "f")
    assert small.strays("vault") == []


def test_a_file_with_attributes_that_a_link_would_not_keep_is_not_replaced_by_one(small: Estate) -> None:
    for name in ("kept", "other"):
        small.write("prod", name, b"content")
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    try:
        os.setxattr(small.at("prod", "other"), "security.capability", capability)
    except OSError:
        pytest.skip("no file capabilities here")
    step = small.step(1, "other", "dedupe", kept_path=b"kept", evidence=[small.copy("prod", "kept")])
    dedupe = small.job([step], "dedupe", hard_links=True)
    small.carry_out(dedupe)
    assert small.states(dedupe) == ["REFUSED"]
    assert "security.capability" in small.reasons(dedupe)
    assert os.getxattr(small.at("prod", "other"), "security.capability") == capability


def test_an_inode_number_that_was_given_to_another_file_does_not_make_an_undo_done(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a storage that does not tell when a file was created (NFS, ext3, an older XFS)."""
    real = Tree.fingerprint_of
    given: list[int | None] = []

    def fingerprint_of(self: Tree, found: _calls.Status, path: bytes) -> Fingerprint:
        made = real(self, found, path)._replace(created_ns=None)
        return made._replace(inode=given[0]) if given and (self.volume, path) == ("prod", b"f") else made

    monkeypatch.setattr(Tree, "fingerprint_of", fingerprint_of)
    made = archived(small)
    [record] = small.records(made)
    assert record.quarantine_fingerprint is not None
    os.unlink(in_quarantine(small, made))
    given.append(record.quarantine_fingerprint.inode)
    small.write("prod", "f", b"quite another text")
    assert undone(small, made).counts == {"STALE": 1}
    assert small.states(made) == ["QUARANTINED"]


def test_a_copy_that_is_going_counts_under_no_other_name_of_its_volume(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    for volume in ("prod", "vault"):
        small.write(volume, "f", b"content")
    elsewhere = small.config.volumes["vault"].model_copy(update={"system": "s-other", "device": "d-other"})
    small.config = small.config.model_copy(update={"volumes": {**small.config.volumes, "alias": elsewhere}})
    going = replace(small.step(1, "f", "delete", evidence=[small.copy("prod", "f")]), volume="vault", fingerprint=small.look("vault", "f"))
    first = small.job([going], "delete")
    killed_at(small, first, monkeypatch, Store, "announce")
    assert small.states(first) == ["GUARDED"]
    second = small.job([small.step(1, "f", "delete", evidence=[small.copy("alias", "f")])], "delete")
    small.carry_out(second)
    assert small.states(second) == ["REFUSED"]
    assert "is being removed" in small.reasons(second)


def offline(small: Estate, volume: str) -> None:
    declared = small.config.volumes[volume].model_copy(update={"access": "offline"})
    small.config = small.config.model_copy(update={"volumes": {**small.config.volumes, volume: declared}})


def failing(monkeypatch: pytest.MonkeyPatch, volume: str) -> None:
    """A disk that is mounted, and fails where a copy lies."""
    real = Tree.open

    def fails(self: Tree, path: bytes, flags: int) -> int:
        if (self.volume, path) == (volume, b"d/f"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, path, flags)

    monkeypatch.setattr(Tree, "open", fails)


def test_an_offline_copy_whose_medium_is_here_and_that_cannot_be_looked_at_does_not_count(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    small.write("a", "d/f", b"content")
    delete = small.job([small.step(1, "f", "delete", evidence=[small.copy("a", "d/f")])], "delete")
    offline(small, "a")
    failing(monkeypatch, "a")
    small.carry_out(delete)
    assert small.states(delete) == ["REFUSED"]
    assert "a:d/f: it could not be read" in small.reasons(delete)


def test_an_offline_copy_whose_medium_is_away_counts_by_its_evidence(small: Estate) -> None:
    small.write("prod", "f", b"content")
    small.write("a", "d/f", b"content")
    delete = small.job([small.step(1, "f", "delete", evidence=[small.copy("a", "d/f")])], "delete")
    offline(small, "a")
    os.rename(small.at("a"), small.at("on a shelf"))
    small.carry_out(delete)
    assert small.states(delete) == ["QUARANTINED"], small.reasons(delete)


def test_a_purge_does_not_wait_for_a_medium_that_is_here(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    small.write("a", "d/f", b"content")
    known = small.copy("a", "d/f")
    made = archived(small)
    os.unlink(small.at("vault", "f"))
    offline(small, "a")
    failing(monkeypatch, "a")
    purge = purge_of(small, made, known)
    assert small.carry_out(purge).blocked == {}
    assert small.states(purge) == ["REFUSED"]
    assert os.path.exists(in_quarantine(small, made))
