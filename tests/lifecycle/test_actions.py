"""What each action means, planned over real folders and, where a later one needs it, carried out."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from catalog import extensions
from catalog.errors import ConfigError, NotFoundError
from lifecycle import actions, engine
from lifecycle import job as jobs
from lifecycle.plan import Plan
from tests.lifecycle.grounds import DAY_US, Grounds, paths, refusals, steps


@pytest.fixture
def grounds(tmp_path: Path) -> Grounds:
    return Grounds(tmp_path)


def carried_out(grounds: Grounds, made: Plan, clock: Callable[[], int] | None = None) -> jobs.Outcome:
    at_us = clock or (lambda: grounds.now_us)
    return jobs.run(grounds.root, grounds.config, made.id, clock=at_us, actor="ada")


def archived(grounds: Grounds, **policy: Any) -> jobs.Outcome:  # noqa: ANN401  # keys of a policy
    made = grounds.plan("archive", **{"to": "vault", "report": "assets", "needs_approval": False, "where": "volume = 'data'", **policy})
    return carried_out(grounds, made)


@pytest.mark.parametrize("name", actions.names())
def test_every_action_has_a_name_a_line_and_stages_that_the_engine_has(name: str) -> None:
    action = actions.load(name)
    assert name == action.NAME
    assert type(action).__doc__
    assert set(action.STAGES) <= set(engine.STAGES)
    order = list(engine.STAGES)
    assert sorted(action.STAGES, key=order.index) == list(action.STAGES)
    assert action.TOUCHES or not action.REMOVES


def test_actions_are_listed_and_an_unknown_one_names_them() -> None:
    assert actions.names() == ["archive", "copy", "dedupe", "delete", "purge", "recall", "restore"]
    with pytest.raises(NotFoundError, match="archive, copy"):
        actions.load("shred")
    assert extensions.names("actions", ".py", actions.DEFINES) == actions.names()


def test_an_action_is_looked_for_once_whatever_the_number_of_files_that_have_a_quiet_time(grounds: Grounds, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        grounds.write("data", f"file{number}")
    grounds.scanned().prepared("data", "vault")
    actions.load.cache_clear()
    asked, load = list[str](), extensions.load

    def counted(group: str, name: str, defines: str | None = None) -> ModuleType:
        asked.append(name)
        return load(group, name, defines)

    monkeypatch.setattr(extensions, "load", counted)  # only to count
    assert archived(grounds, quiet=1e-3).counts == {"QUARANTINED": 5}
    assert asked.count("archive") == 1


def test_an_action_that_needs_a_target_says_so(grounds: Grounds) -> None:
    grounds.write("data", "file")
    grounds.scanned()
    for name in actions.names():
        if actions.load(name).NEEDS_TARGET:
            with pytest.raises(ConfigError, match="needs 'to'"):
                grounds.plan(name, report="assets")


def test_a_restore_takes_the_file_itself_while_it_is_there(grounds: Grounds) -> None:
    grounds.write("data", "file")
    grounds.write("far", "kept/copy")
    grounds.scanned().prepared("vault")
    [step] = steps(grounds.plan("restore", to="vault", to_dir="back", where="path = 'file'"))
    assert (step.volume, step.path, step.target_path) == ("data", b"file", b"back/file")


def test_a_restore_takes_a_copy_of_equal_content_where_the_file_is_gone(grounds: Grounds) -> None:
    grounds.write("data", "file", b"precious")
    grounds.write("mirror", "file", b"precious")
    grounds.write("far", "kept/copy", b"precious")
    grounds.scanned().prepared("data")
    os.unlink(grounds.at("data", "file"))
    os.unlink(grounds.at("mirror", "file"))
    made = grounds.plan("restore", to="data", where="volume = 'data'", needs_approval=False)
    [step] = steps(made)
    assert (step.volume, step.path, step.target_volume, step.target_path) == ("far", b"kept/copy", "data", b"file")
    assert carried_out(grounds, made).counts == {"DONE": 1}
    assert Path(os.fsdecode(grounds.at("data", "file"))).read_bytes() == b"precious"


def test_a_restore_rescues_from_a_file_that_may_not_protect(grounds: Grounds) -> None:
    grounds.configure(far='role = "archive"\nof = []\n', mirror='role = "primary"\n')
    for volume, path, content in (
        ("data", "file", b"precious"),
        ("far", "kept/same", b"precious"),
        ("far", "kept/later", b"precious"),
        ("mirror", "x", b"obvious!"),
    ):
        grounds.write(volume, path, content)
    grounds.scanned().prepared("data")
    os.unlink(grounds.at("data", "file"))
    os.unlink(grounds.at("far", "kept/later"))
    made = grounds.plan("restore", to="data", where="volume = 'data'", needs_approval=False)
    [step] = steps(made)
    assert (step.volume, step.path, step.target_path) == ("far", b"kept/same", b"file")
    assert [row["reason"] for batch in made.rows("steps.parquet", 1) for row in batch] == [
        "assets: data class default, status unprotected, reasons never_copied, copies 1, from another file with its content"
    ]
    assert carried_out(grounds, made).counts == {"DONE": 1}
    assert Path(os.fsdecode(grounds.at("data", "file"))).read_bytes() == b"precious"


def test_a_rescue_takes_nothing_that_was_changed_since_it_was_read(grounds: Grounds) -> None:
    grounds.configure(far='role = "archive"\nof = []\n')
    grounds.write("data", "file", b"precious")
    grounds.write("far", "kept/same", b"precious")
    grounds.scanned().prepared("data")
    os.unlink(grounds.at("data", "file"))
    grounds.write("far", "kept/same", b"precioux")
    assert refusals(grounds.plan("restore", to="data", where="volume = 'data'")) == {"file": "changed_since_scan"}


def test_a_copy_that_was_replaced_since_an_earlier_scan_is_not_restored_and_another_file_is(grounds: Grounds) -> None:
    grounds.configure(mirror='role = "primary"\n')
    for volume, path in (("data", "file"), ("far", "file")):
        grounds.write(volume, path, b"precious")
    grounds.scanned().prepared("data")
    grounds.write("far", "file", b"strange!")  # the catalog still has the reading of what was there
    grounds.scanned()
    os.unlink(grounds.at("data", "file"))
    assert refusals(grounds.plan("restore", to="data", where="volume = 'data'")) == {"file": "changed_since_scan"}
    grounds.write("data", "file", b"precious")
    grounds.write("mirror", "same", b"precious")
    grounds.scanned()
    os.unlink(grounds.at("data", "file"))
    made = grounds.plan("restore", to="data", where="volume = 'data'", needs_approval=False)
    [step] = steps(made)
    assert (step.volume, step.path, step.sha256) == ("mirror", b"same", sha256(b"precious").digest())
    assert carried_out(grounds, made).counts == {"DONE": 1}
    assert Path(os.fsdecode(grounds.at("data", "file"))).read_bytes() == b"precious"


def test_a_restore_of_what_no_copy_has_says_that_it_is_gone(grounds: Grounds) -> None:
    grounds.write("data", "file", b"precious")
    grounds.write("mirror", "file", b"otherwise")
    grounds.scanned().prepared("data")
    os.unlink(grounds.at("data", "file"))
    assert refusals(grounds.plan("restore", to="data")) == {"file": "changed_since_scan"}


def test_a_restore_never_goes_over_what_is_there(grounds: Grounds) -> None:
    grounds.write("data", "file")
    grounds.scanned().prepared("data")
    assert refusals(grounds.plan("restore", to="data")) == {"file": "already_there"}


def test_what_was_archived_is_recalled_to_its_old_path(grounds: Grounds) -> None:
    for name in ("closed/one", "closed/two", "other"):
        grounds.write("data", name, name.encode())
    grounds.scanned().prepared("data", "vault")
    assert archived(grounds, to_dir="closed").counts == {"QUARANTINED": 3}
    made = grounds.plan("recall", where="path LIKE 'closed/%' AND archive_volume = 'vault'", needs_approval=False)
    assert [(step.volume, step.path, step.target_volume, step.target_path) for step in steps(made)] == [
        ("vault", b"closed/closed/one", "data", b"closed/one"),
        ("vault", b"closed/closed/two", "data", b"closed/two"),
    ]
    assert carried_out(grounds, made).counts == {"DONE": 2}
    assert os.path.exists(grounds.at("data", "closed/one"))
    assert os.path.exists(grounds.at("vault", "closed/closed/one"))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("leave", ["stub", "symlink"])
def test_a_recall_takes_the_place_of_the_pointer_that_was_left(grounds: Grounds, leave: str) -> None:
    grounds.write("data", "file", b"precious" * 20_000)
    grounds.scanned().prepared("data", "vault")
    archived(grounds, leave=leave)
    made = grounds.plan("recall", needs_approval=False)
    assert paths(made) == [b"file"]
    assert carried_out(grounds, made).counts == {"DONE": 1}
    assert Path(os.fsdecode(grounds.at("data", "file"))).read_bytes() == b"precious" * 20_000
    assert not os.path.islink(grounds.at("data", "file"))


@pytest.mark.slow
def test_a_recall_may_be_asked_for_by_a_report_over_the_archive(grounds: Grounds) -> None:
    for name in ("one", "two"):
        grounds.write("data", name, name.encode())
    grounds.scanned().prepared("data", "vault")
    archived(grounds)
    grounds.write("data", "new")
    grounds.scanned()
    made = grounds.plan("recall", report="assets", where="volume = 'vault' AND path = 'two'")
    assert [(step.volume, step.path, step.target_volume) for step in steps(made)] == [("vault", b"two", "data")]


def test_a_recall_over_a_changed_archive_or_an_occupied_path_is_left_out(grounds: Grounds) -> None:
    for name in ("changed", "occupied"):
        grounds.write("data", name, name.encode())
    grounds.scanned().prepared("data", "vault")
    archived(grounds)
    with open(grounds.at("vault", "changed"), "ab") as file:
        file.write(b"!")
    grounds.write("data", "occupied", b"a new file of that name")
    assert refusals(grounds.plan("recall")) == {"changed": "changed_since_scan", "occupied": "target_exists_differs"}


@pytest.mark.slow
def test_a_purge_takes_what_is_past_the_grace_of_its_own_job(grounds: Grounds) -> None:
    for name in ("soon", "later"):
        grounds.write("data", name, name.encode())
    grounds.scanned().prepared("data", "vault")
    archived(grounds, where="path = 'soon'", grace="1d")
    archived(grounds, where="path = 'later'", grace="9d")
    assert steps(grounds.plan("purge")) == []
    made = grounds.plan("purge", now_us=grounds.now_us + 2 * DAY_US, needs_approval=False)
    [step] = steps(made)
    assert (step.path, step.of_step, [(copy.volume, copy.path) for copy in step.evidence]) == (b"soon", 1, [("vault", b"soon")])
    assert carried_out(grounds, made, lambda: grounds.now_us + 2 * DAY_US).counts == {"DONE": 1}
    assert steps(grounds.plan("purge", now_us=grounds.now_us + 3 * DAY_US)) == []


def test_a_purge_refuses_a_grace_time_of_its_own(grounds: Grounds) -> None:
    grounds.write("data", "file")
    grounds.scanned().prepared("data", "vault")
    archived(grounds, grace="9d")
    with pytest.raises(ConfigError, match="goes by the grace time of the job"):
        grounds.plan("purge", grace="0s")


def test_a_purge_keeps_what_the_floor_needs(grounds: Grounds) -> None:
    grounds.write("data", "file")
    grounds.scanned().prepared("data", "vault")
    archived(grounds, grace="0s")
    assert refusals(grounds.plan("purge", min_copies=2)) == {"file": "floor_not_reachable"}


@pytest.mark.slow
def test_what_was_undone_is_neither_recalled_nor_purged(grounds: Grounds) -> None:
    grounds.write("data", "file")
    grounds.scanned().prepared("data", "vault")
    outcome = archived(grounds, grace="0s")
    jobs.undo(grounds.root, grounds.config, outcome.job_id, clock=lambda: grounds.now_us, actor="ada")
    assert steps(grounds.plan("recall")) == []
    assert steps(grounds.plan("purge")) == []


def test_of_equal_files_the_oldest_keeps_its_blocks(grounds: Grounds) -> None:
    for name, modified in (("b", 1_500_000_000), ("a", 1_600_000_000), ("c/d", 1_600_000_000)):
        os.utime(grounds.write("data", name, b"equal" * 2000), (modified, modified))
    grounds.write("vault", "elsewhere", b"equal" * 2000)
    grounds.write("data", "other", b"other" * 2000)
    grounds.scanned().prepared("data")
    grounds.able("data", dedupe=True)
    made = steps(grounds.plan("dedupe"))
    assert [(step.path, step.kept_path) for step in made] == [(b"a", b"b"), (b"c/d", b"b")]
    for step in made:
        kept = next(copy for copy in step.evidence if copy.path == b"b")
        assert kept.fingerprint.inode == os.stat(grounds.at("data", "b")).st_ino


def test_a_file_system_that_shares_no_blocks_is_told(grounds: Grounds) -> None:
    for name in ("a", "b"):
        grounds.write("data", name, b"equal" * 2000)
    grounds.scanned().prepared("data")
    grounds.able("data", dedupe=False)
    assert refusals(grounds.plan("dedupe")) == {"b": "not_supported"}


def test_hard_links_are_only_made_of_files_of_one_owner_and_mode(grounds: Grounds) -> None:
    for name in ("a", "b", "c"):
        grounds.write("data", name, b"equal" * 2000)
    os.chmod(grounds.at("data", "c"), 0o600)
    grounds.scanned().prepared("data")
    grounds.able("data", dedupe=False, hard_links=True)
    made = grounds.plan("dedupe", hard_links=True)
    assert (paths(made), refusals(made)) == ([b"b"], {"c": "not_supported"})


def test_only_copies_are_deleted_and_no_original(grounds: Grounds) -> None:
    grounds.write("data", "file")
    grounds.write("far", "file")
    grounds.write("vault", "an archived original", b"nowhere else")
    grounds.scanned().prepared("data", "far", "vault")
    made = grounds.plan("delete", report="largest")
    assert [(step.volume, step.path) for step in steps(made)] == [("far", b"file")]
    assert refusals(made) == {"file": "is_original", "an archived original": "is_original"}


@pytest.mark.slow
def test_what_a_stub_leads_to_is_an_original_though_another_primary_holds_its_content(grounds: Grounds) -> None:
    grounds.configure(vault='role = "archive"\n', far='role = "primary"\n')
    grounds.write("data", "file", b"precious" * 20_000)
    grounds.write("far", "scratch", b"precious" * 20_000)
    grounds.scanned().prepared("data", "vault")
    assert archived(grounds, leave="stub").counts == {"QUARANTINED": 1}
    grounds.scanned()
    made = grounds.plan("delete", report="largest", where="volume = 'vault'")
    assert (paths(made), refusals(made)) == ([], {"file": "is_original"})


def test_what_was_never_read_is_not_deleted(grounds: Grounds) -> None:
    grounds.configure("", far='role = "replica"\nof = ["data"]\n')
    text = (grounds.folder / "lastcopy.toml").read_text()
    (grounds.folder / "lastcopy.toml").write_text(text.replace('digest = "all"', 'digest = "off"'))
    grounds.write("data", "file")
    grounds.write("far", "file")
    grounds.scanned().prepared("far")
    assert refusals(grounds.plan("delete", report="largest", where="volume = 'far'")) == {"file": "unknown_digest"}
