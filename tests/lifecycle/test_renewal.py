"""A journal that is made anew keeps the holds of the old one, wherever making it was cut off."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from catalog.errors import CatalogError, RefusedError
from lifecycle import database, holds, rebuilding
from lifecycle.holds import Scope
from lifecycle.journal import Journal
from lifecycle.records import Move
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate

_STEPS = ((os, "link"), (Path, "rename"), (Path, "unlink"), (database, "sync"), (database, "name_journal"), (holds, "carry_over"), (database, "write_tables"))


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def held(small: Estate) -> None:
    """A file under hold; one that was released is of no more account."""
    small.write("prod", "f", b"content")
    with small.journal() as journal:
        for path in (b"f", b"g"):
            journal.place_hold(Scope("path", volume="prod", path=path), reason="a lawsuit", until_us=None, at_us=small.clock(), actor="lawyer")
        journal.release_hold(journal.holds().every[-1].number, reason="settled", at_us=small.clock(), actor="another")


def restored(small: Estate) -> None:
    """The journal is a copy of itself, as after a restore from a backup: it is refused."""
    file = small.root / "journal" / "journal.db"
    shutil.copy(file, small.folder / "restored.db")
    os.rename(small.folder / "restored.db", file)


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, at: int) -> Iterator[list[int]]:
    """Die before the call of that number that changes a disk."""
    calls = [0]
    with monkeypatch.context() as patch:
        for place, name in _STEPS:
            real = getattr(place, name)

            def called(*given: object, real: object = real, **more: object) -> object:
                calls[0] += 1
                if calls[0] == at:
                    raise KeyboardInterrupt
                assert callable(real)
                return real(*given, **more)

            patch.setattr(place, name, called)
        yield calls


def rebuild(small: Estate, *, take_over: bool = False) -> None:
    rebuilding.rebuild(small.root, small.config, at_us=small.clock(), actor="test", take_over=take_over)


def standing(small: Estate) -> list[str]:
    with Journal.open(small.config, small.root, create=True) as journal:
        assert journal.verify().wrong is None
        return [f"{hold.scope} by {hold.actor}" for hold in journal.holds().every if hold.holds_at(small.clock())]


def refused(small: Estate) -> str | None:
    """Why the journal does not open, for whoever prepares a volume."""
    try:
        Journal.open(small.config, small.root, create=True).close()
    except (RefusedError, CatalogError) as error:
        return str(error)
    return None


def test_a_rebuild_that_was_killed_at_any_step_leaves_no_journal_without_the_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = 0
    while True:
        at += 1
        small = estate.made(_folder(tmp_path, at))
        held(small)
        restored(small)
        with dying(monkeypatch, at) as calls:
            try:
                rebuild(small)
            except KeyboardInterrupt:
                pass
            else:
                break
        if refusal := refused(small):
            assert "job rebuild" in refusal, at
            rebuild(small)
        assert standing(small) == ["prod:f by lawyer"], at
        assert not [path for path in (small.root / "journal").iterdir() if path.name.startswith("new-") or path.suffix == ".part"], at
        shutil.rmtree(tmp_path / str(at))
    assert calls[0] >= at - 1 > 10


def _folder(above: Path, number: int) -> Path:
    (above / str(number)).mkdir()
    return above / str(number)


def test_a_journal_that_was_put_aside_is_not_begun_anew_without_its_holds(small: Estate) -> None:
    held(small)
    folder = small.root / "journal"
    aside = folder / "lost-1"
    aside.mkdir()
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        if (folder / name).exists():
            os.rename(folder / name, aside / name)
    os.unlink(small.root / "journal.json")
    with pytest.raises(RefusedError, match="job rebuild --take-over"):
        Journal.open(small.config, small.root, create=True)
    rebuild(small, take_over=True)
    assert standing(small) == ["prod:f by lawyer"]


def test_holds_that_were_released_since_an_earlier_renewal_do_not_come_back_at_the_next(small: Estate) -> None:
    held(small)
    for _ in range(2):
        restored(small)
        rebuild(small)
        assert standing(small) == ["prod:f by lawyer"]
    with small.journal() as journal:
        journal.release_hold(journal.holds().every[-1].number, reason="settled", at_us=small.clock(), actor="another")
    restored(small)
    rebuild(small)
    assert standing(small) == []


def test_a_hold_is_told_as_placed_when_it_was_placed_first(small: Estate) -> None:
    held(small)
    with small.journal() as journal:
        placed = journal.holds().every[0].at_us
    for _ in range(2):
        restored(small)
        rebuild(small)
    with small.journal() as journal:
        [event] = journal.events(kinds=("hold_placed",))
    assert event.detail["placed_us"] == placed


def test_a_journal_is_put_aside_also_where_there_are_no_links(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    held(small)
    restored(small)
    monkeypatch.setattr(os, "link", no_links)
    rebuild(small)
    assert standing(small) == ["prod:f by lawyer"]


def test_a_lock_file_that_somebody_removed_gives_no_chunk_to_two_engines(small: Estate) -> None:
    small.write("prod", "f", b"content")
    archive = small.job([small.step(1, "f")])
    lock = small.root / "journal" / "journal.lock"
    with small.journal() as one, small.journal() as two, one.claim(archive, 1) as mine:
        assert mine
        lock.unlink()
        with pytest.raises(RefusedError, match="end all jobs"), two.claim(archive, 1):
            pass
        with pytest.raises(RefusedError, match="end all jobs"):
            small.journal()
        lock.touch()  # though the jobs were not ended
        with pytest.raises(RefusedError, match="end all jobs"):
            one.advance([Move(1, "CLAIMED")], archive, small.clock(), "test")
    assert small.states(archive) == ["PLANNED"]
