"""What a plan leaves out, and why: each reason on real folders."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lifecycle import holds
from lifecycle.manifest import REFUSAL_REASONS
from lifecycle.plan import Plan
from tests.lifecycle.grounds import Grounds, details, paths, refusals, steps

DAY_SECONDS = 86_400


@pytest.fixture
def grounds(tmp_path: Path) -> Grounds:
    return Grounds(tmp_path)


def ready(grounds: Grounds, *files: str, prepare: tuple[str, ...] = ("data", "vault")) -> Grounds:
    for name in files:
        grounds.write("data", name, name.encode())
    return grounds.scanned().prepared(*prepare)


def archived(grounds: Grounds, **policy: Any) -> Plan:  # noqa: ANN401  # keys of a policy
    return grounds.plan("archive", **{"to": "vault", "report": "assets", **policy})


@pytest.mark.slow
def test_what_changed_since_the_scan_or_is_gone_is_left_out(grounds: Grounds) -> None:
    ready(grounds, "same", "longer", "rewritten", "gone", "replaced", "a folder now")
    with open(grounds.at("data", "longer"), "ab") as file:
        file.write(b"more")
    with open(grounds.at("data", "rewritten"), "r+b") as file:  # equal size and time: the changed time tells
        file.write(b"R")
    os.utime(grounds.at("data", "rewritten"), (1_577_836_800, 1_577_836_800))
    os.unlink(grounds.at("data", "gone"))
    os.rename(grounds.write("data", "new", b"replaced"), grounds.at("data", "replaced"))
    os.unlink(grounds.at("data", "a folder now"))
    os.mkdir(grounds.at("data", "a folder now"))
    made = archived(grounds)
    assert paths(made) == [b"same"]
    assert refusals(made) == dict.fromkeys(("longer", "rewritten", "gone", "replaced", "a folder now"), "changed_since_scan")
    assert any("size_bytes" in detail for detail in details(made))


@pytest.mark.slow
def test_a_link_put_in_the_place_of_a_folder_above_leads_nowhere(grounds: Grounds) -> None:
    ready(grounds, "deep/file")
    os.rename(grounds.at("data", "deep"), grounds.at("far", "deep"))
    os.symlink(grounds.at("far", "deep"), grounds.at("data", "deep"))
    assert refusals(archived(grounds)) == {"deep/file": "changed_since_scan"}


@pytest.mark.slow
def test_files_within_the_quiet_time_are_left_alone(grounds: Grounds) -> None:
    ready(grounds, "one", "two")
    made = archived(grounds, quiet="3d")  # the plan is made two days after they were written
    assert refusals(made) == {"one": "too_young", "two": "too_young"}
    assert len(steps(archived(grounds, quiet="1d"))) == 2


@pytest.mark.slow
def test_a_time_beyond_what_a_fingerprint_holds_blinds_no_plan(grounds: Grounds) -> None:
    ready(grounds, "far ahead", "ordinary")
    for volume in ("data", "far"):
        os.utime(grounds.write(volume, "far ahead", b"far ahead"), (10_000_000_000, 10_000_000_000))  # the year 2286
    grounds.scanned()
    if os.stat(grounds.at("data", "far ahead")).st_mtime < 10_000_000_000:
        pytest.skip("the file system of the temporary folder keeps no such time")
    made = archived(grounds, where="volume = 'data'")
    assert (paths(made), refusals(made)) == ([b"ordinary"], {"far ahead": "not_supported"})


@pytest.mark.slow
def test_times_before_1970_are_kept(grounds: Grounds) -> None:
    where = grounds.write("data", "old", b"old")
    os.utime(where, ns=(-1_500, -1_500))
    [step] = steps(archived(ready(grounds)))
    assert step.fingerprint.modified_ns == os.stat(where).st_mtime_ns == -1_500


@pytest.mark.slow
def test_only_some_names_of_a_file_are_not_archived_but_may_be_copied(grounds: Grounds) -> None:
    where = grounds.write("data", "a/one", b"linked")
    os.link(where, grounds.at("data", "a/two"))
    os.mkdir(grounds.at("data", "b"))
    os.link(where, grounds.at("data", "b/three"))
    ready(grounds, "alone")
    some = archived(grounds, where="path <> 'b/three'")
    assert (paths(some), refusals(some)) == ([b"alone"], {"a/one": "partial_hard_link_group", "a/two": "partial_hard_link_group"})
    whole = steps(archived(grounds))
    groups = {step.path: step.link_group for step in whole}
    assert groups[b"a/one"] == groups[b"a/two"] == groups[b"b/three"] is not None
    assert groups[b"alone"] is None
    assert len(steps(grounds.plan("copy", to="vault", where="path = 'a/one'"))) == 1


@pytest.mark.slow
def test_a_refused_name_takes_the_other_names_of_its_file_with_it(grounds: Grounds) -> None:
    os.link(grounds.write("data", "one", b"linked"), grounds.at("data", "two"))
    grounds.write("vault", "two", b"something else")
    ready(grounds, "alone")
    assert refusals(archived(grounds, where="volume = 'data'")) == {"two": "target_exists_differs", "one": "partial_hard_link_group"}


@pytest.mark.slow
def test_what_is_at_the_target_is_never_planned_over(grounds: Grounds) -> None:
    grounds.write("vault", "longer", b"something else")
    grounds.write("vault", "same", b"same")
    os.makedirs(grounds.at("vault", "folder"))
    made = archived(ready(grounds, "longer", "same", "folder", "free"), where="volume = 'data'")
    assert refusals(made) == {"longer": "target_exists_differs", "folder": "target_exists_differs"}
    assert paths(made) == [b"free", b"same"]


@pytest.mark.slow
def test_what_lies_on_the_target_volume_already_does_not_go_there(grounds: Grounds) -> None:
    grounds.write("vault", "old", b"old")
    made = archived(ready(grounds, "new"))
    assert (paths(made), refusals(made)) == ([b"new"], {"old": "already_there"})


@pytest.mark.slow
def test_two_files_for_one_name_are_not_both_planned(grounds: Grounds) -> None:
    grounds.write("far", "same name", b"another")
    made = archived(ready(grounds, "same name", prepare=("data", "vault", "far")), min_copies=1)
    assert len(steps(made)) == 1
    assert list(refusals(made).values()) == ["name_collides"]


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("folds", "names", "expected"),
    [
        ({}, ("File", "file"), 2),
        ({"folds_case": True}, ("File", "file"), 1),
        ({"folds_case": True}, ("a/x", "A/y"), 2),
        ({"folds_unicode": True}, ("caf\u00e9", "cafe\u0301"), 1),
        ({"folds_case": True, "folds_unicode": True}, ("CAF\u00c9", "cafe\u0301"), 1),
        ({"folds_unicode": True}, ("File", "file"), 2),
    ],
)
def test_names_that_the_target_cannot_tell_apart_collide(grounds: Grounds, folds: Mapping[str, bool], names: tuple[str, ...], expected: int) -> None:
    ready(grounds, *names)
    grounds.able("vault", **folds)
    made = archived(grounds)
    assert len(steps(made)) == expected
    assert set(refusals(made).values()) == (set() if expected == 2 else {"name_collides"})


def test_names_that_the_target_does_not_take_are_refused(grounds: Grounds) -> None:
    grounds.write("data", b"raw\xff", b"raw")
    ready(grounds, "a rather long name", "short")
    grounds.able("vault", name_bytes=10, raw_names=False)
    assert refusals(archived(grounds)) == {"a rather long name": "name_too_long", "raw\\xff": "name_too_long"}


@pytest.mark.slow
def test_a_volume_that_was_never_prepared_is_told(grounds: Grounds) -> None:
    made = archived(ready(grounds, "file", prepare=("data",)))
    assert refusals(made) == {"file": "not_prepared"}
    assert "volume prepare vault" in next(iter(details(made)))
    assert len(steps(grounds.plan("copy", to="data", where="volume = 'nothing'"))) == 0


@pytest.mark.slow
def test_a_copy_only_reads_its_source_which_need_not_be_prepared(grounds: Grounds) -> None:
    ready(grounds, "file", prepare=("vault",))
    assert paths(grounds.plan("copy", to="vault")) == [b"file"]
    assert refusals(archived(grounds)) == {"file": "not_prepared"}


def test_another_medium_in_the_place_of_a_volume_is_told(grounds: Grounds) -> None:
    ready(grounds, "file")
    marker = grounds.folder / "vault" / ".lastcopy" / "volume.json"
    marker.unlink()
    made = archived(grounds)
    assert refusals(made) == {"file": "not_prepared"}
    assert "another medium" in next(iter(details(made)))


def test_a_volume_that_is_not_there_makes_its_files_wait(grounds: Grounds) -> None:
    ready(grounds, "file")
    os.rename(grounds.at("vault"), grounds.at("unplugged"))
    made = archived(grounds)
    assert refusals(made) == {"file": "offline"}
    assert "mount" in next(iter(details(made)))


@pytest.mark.slow
def test_what_is_under_hold_is_not_taken_away_but_may_be_copied(grounds: Grounds) -> None:
    ready(grounds, "held/file", "free")
    with grounds.journal() as journal:
        scope = holds.Scope("path", volume="data", path=b"held")
        journal.place_hold(scope, reason="a lawsuit", until_us=None, at_us=grounds.now_us - 1, actor="eve")
    made = archived(grounds)
    assert (paths(made), refusals(made)) == ([b"free"], {"held/file": "on_hold"})
    assert len(steps(grounds.plan("copy", to="vault"))) == 2


def held_for(grounds: Grounds, owner: str) -> None:
    with grounds.journal() as journal:
        journal.place_hold(holds.Scope("owner", owner=owner), reason="a lawsuit", until_us=None, at_us=grounds.now_us - 1, actor="eve")


@pytest.mark.slow
def test_a_hold_on_an_owner_that_a_label_names_keeps_its_files_out_of_a_plan(grounds: Grounds) -> None:
    ready(grounds, "contracts/one", "free")
    grounds.configure('[[labels]]\nwhere = "path LIKE \'contracts/%\'"\nowner = "legal"\n')
    held_for(grounds, "legal")
    made = archived(grounds)
    assert (paths(made), refusals(made)) == ([b"free"], {"contracts/one": "on_hold"})
    assert "owner legal" in next(iter(details(made)))
    assert len(steps(grounds.plan("copy", to="vault"))) == 2


def test_a_hold_on_the_storages_owner_keeps_its_files_out_of_a_plan(grounds: Grounds) -> None:
    ready(grounds, "one", "two")
    held_for(grounds, pwd.getpwuid(os.getuid()).pw_name)
    assert refusals(archived(grounds)) == {"one": "on_hold", "two": "on_hold"}


def test_a_label_that_cannot_be_read_is_anybodys(grounds: Grounds) -> None:
    ready(grounds, "one")
    grounds.configure('[[labels]]\ntable = "gone.csv"\n')
    held_for(grounds, "legal")
    assert refusals(archived(grounds)) == {"one": "on_hold"}


@pytest.mark.slow
def test_a_quarantine_of_a_volume_inside_another_is_no_ones_file(grounds: Grounds) -> None:
    grounds.write("data", "inner/.lastcopy/quarantine/j2222222222-1-1", b"taken")
    grounds.write("data", "inner/.lastcopy-notes", b"mine")
    ready(grounds, "file")
    made = archived(grounds)
    assert paths(made) == [b"file", b"inner/.lastcopy-notes"]
    assert refusals(made) == {name: "is_ours" for name in refusals(made)}
    assert refusals(grounds.plan("copy", to="vault")) == refusals(made)


def test_a_file_in_quarantine_of_a_volume_inside_another_is_no_copy_that_the_floor_rests_on(grounds: Grounds) -> None:
    grounds.write("far", "inner/.lastcopy/quarantine/j2222222222-1-1", b"file")
    ready(grounds, "file")
    made = archived(grounds, min_copies=2, where="volume = 'data'")
    assert refusals(made) == {"file": "floor_not_reachable"}


@pytest.mark.slow
def test_limits_cut_off_the_end_of_the_reports_order(grounds: Grounds) -> None:
    for number, size in enumerate((400, 300, 200, 100)):
        grounds.write("data", f"{number}", bytes([number]) * size)
    ready(grounds)
    order: dict[str, Any] = {"report": "largest", "where": "volume = 'data'"}
    assert paths(archived(grounds, **order, max_steps=2)) == [b"0", b"1"]
    assert refusals(archived(grounds, **order, max_steps=2)) == {"2": "over_limit", "3": "over_limit"}
    assert paths(archived(grounds, **order, max_bytes=750)) == [b"0", b"1"]
    assert paths(archived(grounds, **order, max_share_pct=75)) == [b"0", b"1"]  # 700 of 1000 bytes
    assert "max_bytes is 750" in next(iter(details(archived(grounds, **order, max_bytes=750))))


@pytest.mark.slow
def test_all_names_of_a_file_are_within_a_limit_or_none(grounds: Grounds) -> None:
    where = grounds.write("data", "linked 1", b"linked")
    for number in (2, 3):
        os.link(where, grounds.at("data", f"linked {number}"))
    ready(grounds, "a")
    assert paths(archived(grounds, max_steps=3)) == [b"a"]
    assert len(steps(archived(grounds, max_steps=4))) == 4


@pytest.mark.slow
def test_twice_the_largest_file_must_be_free_beside_all_that_goes(grounds: Grounds, monkeypatch: pytest.MonkeyPatch) -> None:
    from lifecycle.stores import posix

    for number, size in enumerate((400, 300, 200)):
        grounds.write("data", f"{number}", bytes([number]) * size)
    ready(grounds)
    order: dict[str, Any] = {"report": "largest", "where": "volume = 'data'"}
    monkeypatch.setattr(posix.Store, "free_bytes", lambda self: 1500)
    assert paths(archived(grounds, **order)) == [b"0", b"1"]  # 400 + 300 + 800
    assert refusals(archived(grounds, **order)) == {"2": "no_space"}


@pytest.mark.slow
def test_the_floor_says_which_copies_do_not_count_and_why(grounds: Grounds) -> None:
    grounds.write("mirror", "file", b"file")
    ready(grounds, "file")
    made = archived(grounds, min_copies=2)
    assert refusals(made) == {"file": "floor_not_reachable"}
    [detail] = details(made)
    assert "1 of at least 2" in detail
    assert "mirror:file: its volume follows" in detail


@pytest.mark.slow
def test_an_independent_copy_lets_the_floor_hold(grounds: Grounds) -> None:
    grounds.write("far", "kept", b"file")
    assert paths(archived(ready(grounds, "file"), min_copies=2, where="volume = 'data'")) == [b"file"]


@pytest.mark.slow
def test_evidence_that_is_too_old_does_not_count(grounds: Grounds) -> None:
    grounds.write("far", "kept", b"file")
    ready(grounds, "file")
    grounds.configure('[lifecycle]\nmin_copies = 2\nmax_evidence_age = "1d"\n')
    made = archived(grounds, where="volume = 'data'")
    assert "too long ago" in next(iter(details(made)))


@pytest.mark.slow
def test_an_empty_file_has_no_content_that_a_copy_could_prove(grounds: Grounds) -> None:
    grounds.write("data", "empty", b"")
    assert refusals(archived(ready(grounds))) == {"empty": "empty"}


@pytest.mark.slow
def test_copies_that_are_deleted_by_the_plan_itself_count_for_no_other(grounds: Grounds) -> None:
    for volume in ("vault", "far", "mirror"):
        grounds.write(volume, "file", b"file")
    ready(grounds, "file", prepare=("data", "vault", "far", "mirror"))
    order: dict[str, Any] = {"report": "largest", "where": "path = 'file' AND (volume = 'mirror' OR volume <> 'mirror')"}
    made = grounds.plan("delete", **order, min_copies=2)
    assert sorted(one["reason"] for batch in made.rows("refusals.parquet") for one in batch) == ["floor_not_reachable", "is_original"]
    assert len(steps(made)) == 2  # of three copies beside the original, with two left
    assert len(steps(grounds.plan("delete", **order, min_copies=1))) == 3
    assert steps(grounds.plan("delete", **order, min_copies=4)) == []


def test_every_reason_has_a_meaning_that_is_a_sentence_without_an_end() -> None:
    assert all(word == word.lower() and meaning and not meaning.endswith(".") for word, meaning in REFUSAL_REASONS.items())
