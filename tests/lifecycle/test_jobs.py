"""Whole jobs over real folders: what goes where, what is kept, what is refused, and what comes back."""

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import RefusedError
from lifecycle import job as jobs
from lifecycle.manifest import Step
from lifecycle.stores import Fingerprint
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate

DAY_US = 86_400_000_000


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def purge_steps(small: Estate, job: str) -> list[Step]:
    records = small.records(job)
    return [
        replace(record.step, action="purge", chunk=1, target_volume=None, target_path=None, of_job=job, of_step=record.step.step, link_group=None)
        for record in records
        if record.state == "QUARANTINED"
    ]


def purged(small: Estate, job: str, **policy: object) -> str:
    return small.job(purge_steps(small, job), "purge", "purge", **policy)


def undone(small: Estate, job: str) -> jobs.Outcome:
    return jobs.undo(small.root, small.config, job, clock=small.clock, actor="test")


def rich_tree(small: Estate) -> None:
    """Files whose metadata is hard to keep: times in ns, modes, attributes, an ACL, holes, links."""
    where = small.write("prod", "a/plain", b"plain" * 999)
    os.utime(where, ns=(1_111_111_111_123_456_789, 1_222_222_222_987_654_321))
    os.chmod(where, 0o640)
    os.setxattr(where, b"user.note", b"\x00binary\xff")
    os.setxattr(where, b"system.posix_acl_access", bytes.fromhex("0200000001000600ffffffff020006000100000004000400ffffffff10000600ffffffff20000000ffffffff"))
    with open(small.write("prod", "a/sparse", b""), "r+b") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"in the middle")
    os.link(where, small.at("prod", "a/second name"))
    os.symlink(b"plain", small.at("prod", "a/link"))
    small.write("prod", b"a/\xff\n'; DROP", b"a hostile name")


def looked_at(small: Estate, volume: str, *, inodes: bool) -> dict[bytes, tuple[object, ...]]:
    found: dict[bytes, tuple[object, ...]] = {}
    for path, status, content in estate.tree(small.at(volume)):
        where = small.at(volume, path)
        attributes = () if stat.S_ISLNK(status.st_mode) else tuple((name, os.getxattr(where, name)) for name in sorted(os.listxattr(where)))
        kept = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink, attributes, content)
        found[path] = (*kept, status.st_ino) if inodes else kept
    return found


def rich_steps(small: Estate) -> list[Step]:
    paths = sorted(path for path, _, _ in estate.tree(small.at("prod")) if not os.path.islink(small.at("prod", path)))
    steps = [small.step(number, path) for number, path in enumerate(paths, 1)]
    return [replace(step, link_group=7) if step.fingerprint.link_count > 1 else step for step in steps]


def test_an_archived_tree_keeps_everything_and_an_undo_brings_it_back_bit_for_bit(small: Estate) -> None:
    rich_tree(small)
    before, inner = looked_at(small, "prod", inodes=True), looked_at(small, "prod", inodes=False)
    job = small.job(rich_steps(small))
    small.carry_out(job)
    assert set(small.states(job)) == {"QUARANTINED"}, small.reasons(job)
    moved = looked_at(small, "vault", inodes=False)
    assert moved == {path: kept for path, kept in inner.items() if path != b"a/link"}
    assert os.stat(small.at("vault", "a/sparse")).st_blocks * 512 < 1 << 20
    assert [path for path, _, _ in estate.tree(small.at("prod"))] == [b"a/link"]
    outcome = undone(small, job)
    assert outcome.complete
    assert looked_at(small, "prod", inodes=True) == before
    assert looked_at(small, "vault", inodes=False) == moved
    assert small.strays("prod") == small.strays("vault") == []
    assert undone(small, job).counts == outcome.counts
    assert small.trail_is_whole()


def test_after_a_purge_an_undo_brings_the_copy_back_with_its_metadata(small: Estate) -> None:
    rich_tree(small)
    inner = looked_at(small, "prod", inodes=False)
    job = small.job(rich_steps(small), grace="0s")
    small.carry_out(job)
    purge = purged(small, job)
    small.carry_out(purge)
    assert set(small.states(purge)) == {"DONE"}, small.reasons(purge)
    assert set(small.states(job)) == {"DONE"}
    assert small.strays("prod") == []
    assert undone(small, job).complete
    assert looked_at(small, "prod", inodes=False) == inner
    assert looked_at(small, "vault", inodes=False) == {path: kept for path, kept in inner.items() if path != b"a/link"}


def test_a_symbolic_link_is_copied_as_one_and_never_followed(small: Estate) -> None:
    small.write("prod", "target", b"content")
    os.symlink(b"/etc/passwd\xff", small.at("prod", "link"))
    os.utime(small.at("prod", "link"), ns=(1, 1_234_567_890_123_456_789), follow_symlinks=False)
    job = small.job([small.step(1, "link", "copy")], "copy")
    small.carry_out(job)
    assert small.states(job) == ["DONE"], small.reasons(job)
    assert os.readlink(small.at("vault", "link")) == b"/etc/passwd\xff"
    assert os.lstat(small.at("vault", "link")).st_mtime_ns == 1_234_567_890_123_456_789


@pytest.mark.parametrize("leave", ["stub", "symlink"])
def test_a_pointer_stays_where_the_policy_says_so_and_an_undo_takes_it_away(small: Estate, leave: str) -> None:
    small.write("prod", "f", b"content" * 100)
    job = small.job([small.step(1, "f")], leave=leave)
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"], small.reasons(job)
    if leave == "symlink":
        assert small.read("prod", "f") == b"content" * 100
        assert os.path.islink(small.at("prod", "f"))
    else:
        assert small.read("prod", "f").startswith(b"#!lastcopy-stub ")
    assert undone(small, job).complete
    assert not os.path.islink(small.at("prod", "f"))
    assert small.read("prod", "f") == b"content" * 100
    assert small.strays("prod") == []


@pytest.mark.parametrize("leave", ["stub", "symlink"])
def test_a_purged_file_comes_back_in_the_place_of_its_pointer(small: Estate, leave: str) -> None:
    small.write("prod", "f", b"content" * 100)
    job = small.job([small.step(1, "f")], leave=leave, grace="0s")
    small.carry_out(job)
    small.carry_out(purged(small, job))
    assert undone(small, job).complete, small.reasons(job)
    assert not os.path.islink(small.at("prod", "f"))
    assert small.read("prod", "f") == b"content" * 100
    assert small.strays("prod") == []


def test_equal_content_at_the_target_is_adopted_and_other_content_is_a_conflict(small: Estate) -> None:
    for name, there in (("same", b"content"), ("other", b"CONTENT"), ("longer", b"content and more")):
        small.write("prod", name, b"content")
        small.write("vault", name, there)
    before = {name: small.look("vault", name) for name in ("same", "other", "longer")}
    job = small.job([small.step(number, name) for number, name in enumerate(before, 1)])
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED", "CONFLICT", "CONFLICT"]
    assert {name: small.look("vault", name) for name in before} == before
    assert small.read("prod", "other") == small.read("prod", "longer") == b"content"


def test_a_file_that_appears_at_the_target_is_never_overwritten(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    from lifecycle.stores.posix import Store

    small.write("prod", "f", b"content")
    real = Store.publish

    def late(self: Store, path: bytes, key: str, inode: int | None, **more: Any) -> Fingerprint:  # noqa: ANN401  # passed on as they came
        small.write("vault", "f", b"foreign")
        return real(self, path, key, inode, **more)

    monkeypatch.setattr(Store, "publish", late)
    job = small.job([small.step(1, "f")])
    small.carry_out(job)
    assert small.states(job) == ["CONFLICT"]
    assert small.read("vault", "f") == b"foreign"
    assert small.read("prod", "f") == b"content"
    assert small.strays("vault") == []


def test_content_that_is_not_what_the_catalog_knew_is_not_archived(small: Estate) -> None:
    small.write("prod", "f", b"content")
    step = replace(small.step(1, "f"), sha256=bytes(32))
    job = small.job([step])
    small.carry_out(job)
    assert small.states(job) == ["SOURCE_CHANGED"]
    assert not small.there("vault", "f")


def test_the_floor_keeps_the_source_and_says_that_the_new_copy_stays(tmp_path: Path) -> None:
    small = estate.made(tmp_path, min_copies=2)
    small.write("prod", "f", b"content")
    small.write("a", "f", b"content")
    one = small.job([small.step(1, "f")])
    small.carry_out(one)
    assert small.states(one) == ["REFUSED"]
    assert "the new copy too" in small.reasons(one)
    assert small.read("prod", "f") == small.read("vault", "f") == b"content"
    two = small.job([small.step(1, "f", evidence=[small.copy("a", "f")])])
    small.carry_out(two)
    assert small.states(two) == ["QUARANTINED"], small.reasons(two)


@pytest.mark.parametrize("harm", ["changed", "gone", "old"])
def test_a_copy_that_is_not_what_it_was_counts_for_nothing(tmp_path: Path, harm: str) -> None:
    small = estate.made(tmp_path, min_copies=1)
    small.write("prod", "f", b"content")
    where = small.write("a", "f", b"content")
    step = small.step(1, "f", "delete", evidence=[small.copy("a", "f")])
    if harm == "old":
        step = replace(step, evidence=(step.evidence[0]._replace(verified_us=small.clock() - 40 * DAY_US),))
    elif harm == "gone":
        os.unlink(where)
    else:
        small.write("a", "f", b"CONTENT")
    job = small.job([step], "delete")
    small.carry_out(job)
    assert small.states(job) == ["REFUSED"]
    assert small.read("prod", "f") == b"content"


def test_a_redundant_copy_is_deleted_only_after_it_was_read(small: Estate) -> None:
    small.write("a", "f", b"content")
    small.write("prod", "f", b"content")
    small.write("prod", "rotten", b"c0ntent")
    good = small.step(1, "f", "delete", evidence=[small.copy("a", "f")])
    rotten = replace(small.step(2, "rotten", "delete", evidence=good.evidence), sha256=good.sha256)
    job = small.job([good, rotten], "delete")
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED", "SOURCE_CHANGED"]
    assert small.read("prod", "rotten") == b"c0ntent"
    assert undone(small, job).complete
    assert small.read("prod", "f") == b"content"


def test_two_jobs_never_take_each_others_last_copy(small: Estate) -> None:
    small.write("prod", "f", b"content")
    small.write("a", "f", b"content")
    first = small.job([small.step(1, "f", "delete", evidence=[small.copy("a", "f")])], "delete")
    other = replace(small.step(1, "f", "delete", evidence=[small.copy("prod", "f")]), volume="a", fingerprint=small.look("a", "f"))
    second = small.job([other], "delete")
    small.carry_out(first)
    small.carry_out(second)
    assert small.states(first) == ["QUARANTINED"]
    assert small.states(second) == ["REFUSED"]
    assert small.read("a", "f") == b"content"


def test_a_purge_removes_only_what_still_is_what_was_moved_and_while_copies_stay(small: Estate) -> None:
    for name in ("good", "written", "uncovered"):
        small.write("prod", name, name.encode())
    job = small.job([small.step(number, name) for number, name in enumerate(("good", "written", "uncovered"), 1)], grace="0s")
    small.carry_out(job)
    quarantine = small.at("prod", ".lastcopy/quarantine")
    key = small.records(job)[1].key
    assert key is not None
    where = os.path.join(quarantine, key.encode())
    status = os.stat(where)
    with open(where, "r+b") as file:
        file.write(b"WRITTEN")
    os.utime(where, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.unlink(small.at("vault", "uncovered"))
    purge = purged(small, job)
    small.carry_out(purge)
    assert small.states(purge) == ["DONE", "SOURCE_CHANGED", "REFUSED"], small.reasons(purge)
    assert small.states(job) == ["DONE", "QUARANTINED", "QUARANTINED"]
    assert undone(small, job).complete
    assert {name: small.read("prod", name) for name in ("good", "written", "uncovered")} == {"good": b"good", "written": b"WRITTEN", "uncovered": b"uncovered"}


def test_nothing_is_purged_before_its_grace_time_is_over(small: Estate) -> None:
    small.write("prod", "f", b"content")
    job = small.job([small.step(1, "f")], grace="7d")
    small.carry_out(job)
    early = purged(small, job)
    small.carry_out(early)
    assert small.states(early) == ["REFUSED"]
    small.clock.ahead_us = 8 * DAY_US
    late = purged(small, job)
    small.carry_out(late)
    assert small.states(late) == ["DONE"], small.reasons(late)


def test_a_purge_whose_floor_rests_on_an_offline_copy_waits_for_its_medium(tmp_path: Path) -> None:
    small = estate.made(tmp_path)
    volumes = dict(small.config.volumes) | {"a": small.config.volumes["a"].model_copy(update={"access": "offline"})}
    small.config = small.config.model_copy(update={"volumes": volumes})
    small.write("prod", "f", b"content")
    small.write("a", "f", b"content")
    step = small.step(1, "f", "delete", evidence=[small.copy("a", "f")])
    os.rename(small.at("a"), small.at("shelf"))
    job = small.job([step], "delete", grace="0s")
    small.carry_out(job)
    assert small.states(job) == ["QUARANTINED"], small.reasons(job)
    purge = purged(small, job)
    came = small.carry_out(purge)
    assert "marker-of-a" in came.blocked["a"]
    assert small.states(purge) == ["CLAIMED"]
    assert small.states(job) == ["QUARANTINED"]
    os.rename(small.at("shelf"), small.at("a"))
    small.carry_out(purge)
    assert small.states(purge) == ["DONE"], small.reasons(purge)


def dedupe_step(small: Estate, number: int, path: str, kept: str) -> Step:
    return small.step(number, path, "dedupe", evidence=[small.copy("prod", kept)], kept_path=kept.encode())


def test_files_share_blocks_or_are_left_as_they_are(small: Estate) -> None:
    small.write("prod", "kept", b"content" * 9999)
    small.write("prod", "f", b"content" * 9999)
    inode = os.stat(small.at("prod", "f")).st_ino
    job = small.job([dedupe_step(small, 1, "f", "kept")], "dedupe")
    small.carry_out(job)
    assert small.states(job)[0] in {"DONE", "REFUSED"}  # as the file system of the test can or cannot
    assert os.stat(small.at("prod", "f")).st_ino == inode


def test_equal_files_become_names_of_one_only_where_the_policy_says_so(small: Estate) -> None:
    for name, content in (("kept", b"content"), ("equal", b"content"), ("third", b"content"), ("other", b"c0ntent"), ("mode", b"content")):
        os.utime(small.write("prod", name, content), ns=(5, 5))
        os.chmod(small.at("prod", name), 0o600 if name == "mode" else 0o644)
    names = ("equal", "other", "mode", "third")
    job = small.job([dedupe_step(small, number, name, "kept") for number, name in enumerate(names, 1)], "dedupe", hard_links=True)
    small.carry_out(job)
    if os.stat(small.at("prod", "equal")).st_nlink == 1:
        pytest.skip("this file system shares blocks, so no link is made")
    assert small.states(job) == ["QUARANTINED", "SOURCE_CHANGED", "REFUSED", "QUARANTINED"], small.reasons(job)
    assert {os.stat(small.at("prod", name)).st_nlink for name in ("kept", "equal", "third")} == {3}
    assert small.read("prod", "other") == b"c0ntent"
    assert os.stat(small.at("prod", "mode")).st_nlink == 1
    assert len([name for name in small.strays("prod") if not name.endswith(".json")]) == 2


def test_an_undo_is_refused_for_an_undo(small: Estate) -> None:
    small.write("prod", "f", b"content")
    job = small.job([small.step(1, "f")])
    small.carry_out(job)
    undo = undone(small, job)
    with pytest.raises(RefusedError, match=job):
        undone(small, undo.job_id)


def test_an_undo_of_a_half_done_job_settles_it_first(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("f", "g"):
        small.write("prod", name, name.encode())
    first, second = small.step(1, "f"), replace(small.step(2, "g"), chunk=2)
    job = small.job([first, second])
    from lifecycle import engine

    monkeypatch.setitem(engine.STAGES, "check", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        small.carry_out(job)
    monkeypatch.undo()
    assert small.states(job) == ["RETIRING", "PLANNED"]
    outcome = undone(small, job)
    assert outcome.counts == {}
    assert small.states(job) == ["REFUSED", "REFUSED"]
    assert small.read("prod", "f") == b"f"
    with small.journal() as journal:
        assert journal.chunks(job) == []


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
