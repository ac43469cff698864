"""Pointers of moves that are announced together: whole in quarantine before the first file is moved, and one that goes wrong concerns no other."""

import errno
import os

import pytest

from lifecycle.ends import EndError
from lifecycle.stores import STUB_MAGIC, Move, Pointer
from lifecycle.stores.posix import Store
from tests.lifecycle.stores.contract import CONTENT, look
from tests.lifecycle.stores.places import PosixPlace

PATHS = {f"jtest-{number}-1": b"d%d/file" % number for number in range(3)}
STUBS = {key: Pointer("stub", STUB_MAGIC + key.encode() + b"\n") for key in PATHS}


@pytest.fixture
def moves(place: PosixPlace) -> list[Move]:
    for path in PATHS.values():
        place.put(path, CONTENT)
    store = place.connect()
    return [Move(path, key, look(store, path), STUBS[key]) for key, path in PATHS.items()]


def carried_out(store: Store, moves: list[Move]) -> None:
    for move in moves:
        store.quarantine(move.path, move.key, move.expected, leave=move.leave)
    store.settle_quarantine()


def text(place: PosixPlace, key: str, ending: str = "") -> bytes | None:
    return place.get(f".lastcopy/quarantine/{key}{ending}".encode())


def all_left(place: PosixPlace, *keys: str) -> bool:
    """Whether each of these files rests in quarantine, and its own stub has its name."""
    return all(place.get(PATHS[key]) == STUBS[key].text and text(place, key) == CONTENT for key in keys or PATHS)


def test_they_are_whole_before_a_file_is_moved_and_no_storage_takes_them_for_files(place: PosixPlace, moves: list[Move]) -> None:
    store = place.connect()
    store.announce(moves)
    for key, path in PATHS.items():
        assert (text(place, key), place.get(path)) == (STUBS[key].text, CONTENT)
        assert store.quarantined(key) is None
    assert list(store.strays()) == []
    carried_out(store, moves)
    assert all_left(place)


@pytest.mark.parametrize("how", ["stub", "symlink"])
def test_few_syncs_of_directories_serve_many(place: PosixPlace, moves: list[Move], monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    synced, real = list[bytes](), os.fsync

    def counted(descriptor: int) -> None:
        synced.append(os.fsencode(os.readlink(f"/proc/self/fd/{descriptor}")))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    given = [Move(move.path, move.key, move.expected, Pointer("symlink", b"../vault") if how == "symlink" else move.leave) for move in moves]
    store = place.connect()
    store.announce(given)
    announced = len(synced)
    carried_out(store, given)
    assert synced.count(place.at(b".lastcopy/quarantine")) == 3  # after the sidecars, the pointers, the moves
    assert len(synced) == announced + 1  # no move needs another
    assert sum(path.endswith(b".new") for path in synced) == (3 if how == "stub" else 0)


def test_what_a_killed_run_had_announced_is_made_anew_or_forgotten(place: PosixPlace, moves: list[Move]) -> None:
    place.connect().announce(moves)
    later = place.connect()
    carried_out(later, moves[:1])
    later.announce(moves)
    carried_out(later, moves[1:2])
    later.discard(moves[2].path, moves[2].key)
    assert all_left(place, moves[0].key, moves[1].key)
    assert (place.get(moves[2].path), text(place, moves[2].key), text(place, moves[2].key, ".json")) == (CONTENT, None, None)


def test_a_file_that_a_killed_run_had_moved_is_found_though_it_is_announced_once_more(place: PosixPlace, moves: list[Move]) -> None:
    carried_out(place.connect(), moves)
    again = place.connect()
    again.announce(moves)
    carried_out(again, moves)
    assert all_left(place)
    assert [text(place, key, ".new") for key in PATHS] == [None] * 3


def test_a_file_that_is_gone_by_then_concerns_no_other(place: PosixPlace, moves: list[Move]) -> None:
    os.unlink(place.at(moves[0].path))
    os.rmdir(place.at(b"d0"))
    store = place.connect()
    store.announce(moves)
    with pytest.raises(EndError, match="STALE"):
        carried_out(store, moves[:1])
    store.discard(moves[0].path, moves[0].key)
    carried_out(store, moves[1:])
    assert all_left(place, moves[1].key, moves[2].key)
    assert text(place, moves[0].key, ".json") is None


def test_a_stub_of_which_a_sync_failed_is_not_used_but_made_anew(place: PosixPlace, moves: list[Move], monkeypatch: pytest.MonkeyPatch) -> None:
    failing, real = list[int](), os.fsync

    def once(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".new") and not failing:
            failing.append(os.fstat(descriptor).st_ino)
            raise OSError(errno.EIO, "injected")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", once)
    store = place.connect()
    store.announce(moves)
    assert [text(place, key) for key in PATHS] == [None, STUBS["jtest-1-1"].text, STUBS["jtest-2-1"].text]
    held = os.open(place.at(b".lastcopy/quarantine/jtest-0-1.new"), os.O_RDONLY)  # so that its number is not given anew
    carried_out(store, moves)
    os.close(held)
    assert all_left(place)
    assert os.stat(place.at(moves[0].path)).st_ino not in failing


def test_a_file_that_was_replaced_after_its_pointer_was_made_is_put_back(place: PosixPlace, moves: list[Move]) -> None:
    store = place.connect()
    store.announce(moves)
    place.replace(moves[1].path, b"saved just now")
    with pytest.raises(EndError, match="SOURCE_CHANGED"):
        carried_out(store, moves[1:2])
    carried_out(store, [moves[0], moves[2]])
    assert place.get(moves[1].path) == b"saved just now"
    assert all_left(place, moves[0].key, moves[2].key)
