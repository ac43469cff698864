"""A program that saves a file at the very instant at which two names change places: what it saved keeps its name, whatever goes wrong then."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle.stores import _calls
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate
from tests.lifecycle.test_enemies import purge_of, undone

SAVED = b"saved by a user"


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def dedupe_of(small: Estate) -> str:
    for name in ("kept", "f"):
        small.write("prod", name, b"content")
    step = small.step(1, "f", "dedupe", kept_path=b"kept", evidence=[small.copy("prod", "kept")])
    return small.job([step], "dedupe", hard_links=True)


def stub_of(small: Estate) -> str:
    """A job that archived a file for good, and left a stub at its name."""
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")], leave="stub", grace="0s")
    small.carry_out(archive)
    small.carry_out(purge_of(small, archive))
    assert small.states(archive) == ["DONE"], small.reasons(archive)
    return archive


def save(small: Estate, content: bytes = SAVED) -> None:
    """As programs do it: written beside, and renamed over."""
    small.write("prod", "new", content)
    os.rename(small.at("prod", "new"), small.at("prod", "f"))


def saving(small: Estate, patch: pytest.MonkeyPatch, *meanwhile: Callable[[], None]) -> None:
    """Have somebody save the file right before the first exchange, and do these things before each that follows."""
    real, acts = _calls.exchange, [lambda: save(small), *meanwhile]

    def exchange(*given: int | bytes) -> None:
        if acts:
            acts.pop(0)()
        real(*given)  # type: ignore[arg-type]  # passed on as they came

    patch.setattr(_calls, "exchange", exchange)


def die() -> None:
    raise KeyboardInterrupt


def test_a_dedupe_that_is_killed_between_two_exchanges_gives_what_was_saved_its_name_again(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    dedupe = dedupe_of(small)
    with monkeypatch.context() as patch:
        saving(small, patch, die)
        with pytest.raises(KeyboardInterrupt):
            small.carry_out(dedupe)
    small.carry_out(dedupe)
    assert small.states(dedupe) == ["SOURCE_CHANGED"], small.reasons(dedupe)
    assert (small.read("prod", "f"), small.read("prod", "kept")) == (SAVED, b"content")
    assert small.strays("prod") == []


def test_a_name_that_a_dedupe_cannot_give_back_since_it_went_is_given_anew(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    dedupe = dedupe_of(small)
    saving(small, monkeypatch, lambda: os.rename(small.at("prod", "f"), small.at("prod", "f.bak")))
    small.carry_out(dedupe)
    assert small.states(dedupe) == ["SOURCE_CHANGED"], small.reasons(dedupe)
    assert (small.read("prod", "f"), small.read("prod", "f.bak")) == (SAVED, b"content")
    assert small.strays("prod") == []


def test_what_was_saved_last_has_the_name_and_what_it_replaced_rests_in_quarantine(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    dedupe = dedupe_of(small)
    saving(small, monkeypatch, lambda: save(small, b"saved once more"))
    small.carry_out(dedupe)
    small.carry_out(dedupe)
    assert small.states(dedupe) == ["QUARANTINED"], small.reasons(dedupe)
    assert small.read("prod", "f") == b"saved once more"
    os.unlink(small.at("prod", "f"))
    assert undone(small, dedupe).complete
    assert (small.read("prod", "f"), small.read("prod", "kept")) == (SAVED, b"content")


def test_what_was_saved_has_its_name_again_though_the_exchange_back_failed_once(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error")

    dedupe = dedupe_of(small)
    saving(small, monkeypatch, fail)
    small.carry_out(dedupe)
    assert SAVED in {small.read("prod", stray) for stray in small.strays("prod")}
    small.carry_out(dedupe)
    assert small.states(dedupe) == ["SOURCE_CHANGED"], small.reasons(dedupe)
    assert (small.read("prod", "f"), small.read("prod", "kept"), small.strays("prod")) == (SAVED, b"content", [])


def test_an_undo_over_a_stub_that_is_killed_between_two_exchanges_gives_what_was_saved_its_name_again(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = stub_of(small)
    with monkeypatch.context() as patch:
        saving(small, patch, die)
        with pytest.raises(KeyboardInterrupt):
            undone(small, archive)
    assert undone(small, archive).counts == {"CONFLICT": 1}
    assert small.read("prod", "f") == SAVED
    assert small.strays("prod") == []


def test_an_undo_over_a_stub_whose_name_went_before_the_exchange_back_gives_it_anew(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = stub_of(small)
    saving(small, monkeypatch, lambda: os.rename(small.at("prod", "f"), small.at("prod", "f.bak")))
    assert undone(small, archive).counts == {"CONFLICT": 1}
    assert (small.read("prod", "f"), small.read("prod", "f.bak")) == (SAVED, b"content")
    assert small.strays("prod") == []


@pytest.mark.parametrize("written", [True, False])
def test_a_recalled_copy_whose_stub_was_not_cleared_away_yet_is_left_as_its_user_wrote_it(
    small: Estate, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    archive = stub_of(small)
    real = os.unlink

    def unlink(name: bytes, *, dir_fd: int | None = None) -> None:
        if os.fsdecode(name).startswith(".lastcopy~"):
            raise KeyboardInterrupt
        real(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        with pytest.raises(KeyboardInterrupt):
            undone(small, archive)
    assert small.read("prod", "f") == b"content"
    if written:
        with open(small.at("prod", "f"), "ab") as file:
            file.write(b" and more")
    assert undone(small, archive).counts == {"CONFLICT" if written else "DONE": 1}
    assert small.read("prod", "f") == (b"content and more" if written else b"content")
    assert small.strays("prod") == []
