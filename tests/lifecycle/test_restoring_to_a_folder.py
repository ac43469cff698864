"""A restore to a folder outside of every volume: the plan, the approval and the run of any other, and nothing of ours left in it."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import ConfigError, RefusedError, UnreachableError
from lifecycle import job as jobs
from lifecycle.ends import EndError
from lifecycle.stores import posix
from tests.lifecycle.grounds import Grounds, refusals, steps


@pytest.fixture
def grounds(tmp_path: Path) -> Grounds:
    found = Grounds(tmp_path)
    found.write("data", "deep/down/file", b"precious" * 1000)
    found.write("data", "deep/other", b"other")
    found.write("far", "kept/copy", b"precious" * 1000)
    (tmp_path / "rescued").mkdir()
    return found.scanned()


def planned(grounds: Grounds, folder: str = "rescued", **policy: Any) -> str:  # noqa: ANN401  # keys of a policy
    return grounds.plan("restore", to_folder=str(grounds.folder / folder), needs_approval=False, where="volume = 'data'", **policy).id


def run(grounds: Grounds, plan_id: str) -> jobs.Outcome:
    return jobs.run(grounds.root, grounds.config, plan_id, clock=lambda: grounds.now_us, actor="ada")


def found(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}


def test_files_and_folders_come_back_with_their_metadata_and_nothing_else_stays(grounds: Grounds) -> None:
    before = os.stat(grounds.at("data", "deep/down/file"))
    assert run(grounds, planned(grounds)).counts == {"DONE": 2}
    assert found(grounds.folder / "rescued") == {"deep/down/file": b"precious" * 1000, "deep/other": b"other"}
    assert sorted(os.listdir(grounds.folder / "rescued")) == ["deep"]
    after = os.stat(grounds.folder / "rescued/deep/down/file")
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert os.path.exists(grounds.at("data", "deep/down/file"))


def test_no_volume_needs_to_be_prepared_and_a_copy_serves_where_the_file_is_gone(grounds: Grounds) -> None:
    os.unlink(grounds.at("data", "deep/down/file"))
    assert run(grounds, planned(grounds, to_dir="from far")).counts == {"DONE": 2}
    assert found(grounds.folder / "rescued")["from far/deep/down/file"] == b"precious" * 1000


@pytest.mark.slow
def test_what_is_there_is_never_overwritten_and_equal_content_is_taken_as_restored(grounds: Grounds) -> None:
    (grounds.folder / "rescued/deep/down").mkdir(parents=True)
    (grounds.folder / "rescued/deep/down/file").write_bytes(b"precious" * 1000)
    made = planned(grounds)
    (grounds.folder / "rescued/deep/other").write_bytes(b"OTHER")
    outcome = run(grounds, made)
    assert outcome.counts == {"DONE": 1, "CONFLICT": 1}
    assert (grounds.folder / "rescued/deep/other").read_bytes() == b"OTHER"
    assert refusals(grounds.plan("restore", to_folder=str(grounds.folder / "rescued"), report="assets")) == {}
    (grounds.folder / "rescued/deep/other").write_bytes(b"longer than before")
    assert refusals(grounds.plan("restore", to_folder=str(grounds.folder / "rescued"))) == {"deep/other": "target_exists_differs"}


def test_what_the_folder_does_not_give_back_is_not_called_restored(grounds: Grounds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lifecycle.stores._staging.StagedFile.digest", lambda _self: (b"\0" * 32, 0))
    outcome = run(grounds, planned(grounds))
    assert not outcome.complete
    assert "other content than was written" in str(outcome.reasons)
    assert not [name for name in found(grounds.folder / "rescued") if ".lastcopy" not in name]


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("data/a folder", "lies in volume data"),
        ("data", "lies in volume data"),
        (".", "volume data lies below it"),
        ("catalog/new", "holds the catalog"),
        ("link", "lies in volume far"),
        ("elsewhere/below", "was prepared as a volume"),
    ],
)
def test_a_folder_of_a_volume_or_of_a_catalog_is_refused(grounds: Grounds, folder: str, words: str) -> None:
    (grounds.folder / "catalog/new").mkdir()
    (grounds.folder / "link").symlink_to(grounds.folder / "far/a folder")
    (grounds.folder / "elsewhere/below").mkdir(parents=True)
    (grounds.folder / "elsewhere/.lastcopy").mkdir()
    (grounds.folder / "elsewhere/.lastcopy/volume.json").write_text("{}")
    with pytest.raises(RefusedError, match=words):
        planned(grounds, folder)


def test_a_folder_that_is_not_there_is_not_made(grounds: Grounds) -> None:
    with pytest.raises(UnreachableError, match="make it first"):
        planned(grounds, "absent")
    assert not (grounds.folder / "absent").exists()


def test_another_folder_at_the_same_path_is_refused(grounds: Grounds) -> None:
    made = planned(grounds)
    (grounds.folder / "rescued").rename(grounds.folder / "moved")
    (grounds.folder / "rescued").mkdir()
    with pytest.raises(RefusedError, match="is not the folder that the plan found"):
        run(grounds, made)
    shutil.rmtree(grounds.folder / "rescued")
    (grounds.folder / "rescued").symlink_to(grounds.folder / "data")
    with pytest.raises(RefusedError, match="lies in volume data"):
        run(grounds, made)
    assert found(grounds.folder / "moved") == {}


def test_a_folder_that_is_exchanged_while_the_job_rests_is_left_alone(grounds: Grounds, monkeypatch: pytest.MonkeyPatch) -> None:
    made = planned(grounds)

    def lost(*_: object, **__: object) -> None:
        raise EndError("FAILED", "the disk went", retry=True, stops_volume=True)

    with monkeypatch.context() as patched:
        patched.setattr(posix.Store, "publish", lost)
        outcome = run(grounds, made)
    assert not outcome.complete
    (grounds.folder / "rescued").rename(grounds.folder / "moved")
    (grounds.folder / "rescued").mkdir()
    again = jobs.resume(grounds.root, grounds.config, outcome.job_id, clock=lambda: grounds.now_us, actor="ada")
    assert again.state == "waiting"
    assert found(grounds.folder / "rescued") == {}


def test_the_users_own_folder_of_our_name_is_not_touched(grounds: Grounds) -> None:
    own = grounds.folder / "rescued/.lastcopy"
    own.mkdir()
    (own / "clock").write_bytes(b"mine")
    (grounds.folder / "rescued/deep").mkdir()
    made = planned(grounds)
    (grounds.folder / "rescued/deep/other").write_bytes(b"OTHER")
    assert run(grounds, made).counts == {"DONE": 1, "CONFLICT": 1}
    assert found(own) == {"clock": b"mine"}


def test_only_a_restore_goes_to_a_folder_and_to_one_place(grounds: Grounds) -> None:
    ended = grounds.ask("plan", "create", "--action", "archive", "--report", "assets", "--to-folder", "rescued", code=2)
    assert "'to_folder' is for restore" in ended.err
    ended = grounds.ask("plan", "create", "--action", "restore", "--to", "vault", "--to-folder", "rescued", code=2)
    assert "in place of 'to'" in ended.err
    (grounds.folder / "lastcopy.toml").write_text('[policies.back]\naction = "restore"\nto_folder = "rescued"\n')
    with pytest.raises(ConfigError, match="is not the path of a folder"):
        _ = grounds.config


def test_from_the_command_line_to_the_last_word(grounds: Grounds) -> None:
    ended = grounds.ask("plan", "create", "--action", "restore", "--to-folder", "rescued", "--where", "volume = 'data'", "--format", "json")
    made = ended.data
    assert made["effect"]["coverage"]["before"] == made["effect"]["coverage"]["after"]
    assert f"-> {grounds.folder}/rescued/deep/other" in grounds.ask("plan", "show", made["id"]).out.decode()
    grounds.ask("plan", "approve", made["id"])
    ended = grounds.ask("job", "run", made["id"])
    assert "2 DONE" in ended.err
    assert "lastcopy scan" not in ended.err
    assert found(grounds.folder / "rescued") == {"deep/down/file": b"precious" * 1000, "deep/other": b"other"}


def test_the_plan_freezes_the_folder_itself(grounds: Grounds) -> None:
    made = grounds.plan("restore", to_folder=str(grounds.folder / "rescued"), where="path = 'deep/other'")
    [step] = steps(made)
    folder = str(grounds.folder / "rescued")
    assert (step.target_volume, step.target_path) == (folder, b"deep/other")
    assert made.header.volumes[folder]["marker"] == f"inode {os.stat(folder).st_ino}"
