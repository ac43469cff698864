"""No step ends while its file lies in quarantine under a key that no undo knows: it goes back, or rests there."""

import os
from pathlib import Path

import pytest

from lifecycle import rebuilding, retiring
from lifecycle.chunk import Run, Work
from lifecycle.ends import EndError
from lifecycle.records import Move
from lifecycle.stores._reading import Reading
from lifecycle.stores.posix import Store
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate
from tests.lifecycle.test_enemies import in_quarantine, killed_at, undone
from tests.lifecycle.test_exchanges import SAVED, die, saving


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def moved(small: Estate, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job of one file that was killed when the file was in quarantine, and the journal did not say so yet."""
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")])
    killed_at(small, archive, monkeypatch, Store, "settle_quarantine")
    assert (small.states(archive), small.there("prod", "f")) == (["GUARDED"], False)
    return archive


def harm(small: Estate, how: str) -> None:
    if how == "gone":
        os.unlink(small.at("vault", "f"))
    else:
        small.write("vault", "f", b"CONTENT")


@pytest.mark.parametrize("how", ["gone", "rotted"])
def test_a_file_goes_back_whose_copy_did_not_stand_when_its_job_went_on(small: Estate, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    archive = moved(small, monkeypatch)
    harm(small, how)
    small.carry_out(archive)
    assert small.states(archive) == ["FAILED" if how == "gone" else "CONFLICT"]
    assert "it was put back" in small.reasons(archive)
    assert small.read("prod", "f") == b"content"
    assert small.strays("prod") == []


@pytest.mark.parametrize("how", ["gone", "rotted"])
def test_a_file_whose_name_was_taken_rests_where_an_undo_finds_it(small: Estate, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    archive = moved(small, monkeypatch)
    harm(small, how)
    small.write("prod", "f", b"another")
    small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED"], small.reasons(archive)
    assert undone(small, archive).counts == {"CONFLICT": 1}
    os.unlink(small.at("prod", "f"))
    assert undone(small, archive).complete
    assert small.read("prod", "f") == b"content"


def test_a_file_that_a_writer_waits_for_rests_where_an_undo_finds_it_if_its_name_was_taken(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")])
    real = retiring.unheard

    def busy(_self: Reading) -> None:
        raise EndError("SOURCE_BUSY", "somebody wants to write to it", retry=True)

    def unheard(run: Run, work: Work) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Reading, "check", busy)
            small.write("prod", "f", b"another")
            real(run, work)

    with monkeypatch.context() as patch:
        patch.setattr(retiring, "unheard", unheard)
        small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED"], small.reasons(archive)
    os.unlink(small.at("prod", "f"))
    assert undone(small, archive).complete
    assert small.read("prod", "f") == b"content"


def test_what_was_moved_cannot_be_told_where_the_quarantine_cannot_be_opened(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = moved(small, monkeypatch)
    os.chmod(small.at("prod", ".lastcopy/quarantine"), 0o777)  # as a folder of somebody else's would be
    small.carry_out(archive)
    assert small.states(archive) == ["GUARDED"]
    os.chmod(small.at("prod", ".lastcopy/quarantine"), 0o700)
    small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED"]


def test_an_undo_that_is_killed_between_two_exchanges_gives_what_was_saved_its_name_again(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")], leave="stub")
    small.carry_out(archive)
    with monkeypatch.context() as patch:
        saving(small, patch, die)
        with pytest.raises(KeyboardInterrupt):
            undone(small, archive)
    assert undone(small, archive).counts == {"CONFLICT": 1}
    assert small.read("prod", "f") == SAVED
    assert Path(os.fsdecode(in_quarantine(small, archive))).read_bytes() == b"content"
    os.unlink(small.at("prod", "f"))
    assert undone(small, archive).complete
    assert small.read("prod", "f") == b"content"


def test_a_rebuild_puts_back_what_lies_in_quarantine_though_its_step_has_ended_and_its_copy_counts_again(
    small: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = moved(small, monkeypatch)
    with small.journal() as journal:
        journal.advance([Move(1, "FAILED", "ended by an earlier version")], archive, small.clock(), "test")
    [found] = rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test")
    assert (found.path, found.came, small.read("prod", "f")) == ("f", "put_back", b"content")
    small.write("a", "f", b"content")
    delete = small.job([small.step(1, "f", "delete", evidence=[small.copy("vault", "f"), small.copy("a", "f")])], "delete", min_copies=2)
    small.carry_out(delete)
    assert small.states(delete) == ["QUARANTINED"], small.reasons(delete)


def test_a_rebuild_leaves_what_a_job_has_at_rest_or_under_way(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = moved(small, monkeypatch)
    assert rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test") == []
    small.carry_out(archive)
    assert small.states(archive) == ["QUARANTINED"]
    assert rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test") == []
