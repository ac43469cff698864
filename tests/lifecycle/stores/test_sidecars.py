"""Sidecars: many are one file, each is read by its own name, and what is not whole says nothing."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.stores import Fingerprint, Move, Pointer, _sidecars

FOUND = Fingerprint("file", 5, 1, "fs", 7, 2, 3)
MOVES = [Move(b"dir/\xff%d" % number, f"j1-{number}-1", FOUND, Pointer("stub", b"text") if number % 2 else None) for number in range(1, 20)]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def _paths(directory: int) -> list[str | None]:
    found = [_sidecars.read(directory, move.key) for move in MOVES]
    return [None if one is None else one["key"] for one in found]


def test_each_is_read_by_its_own_name_and_all_are_one_file(directory: int) -> None:
    _sidecars.write(directory, MOVES)
    assert _paths(directory) == [move.key for move in MOVES]
    assert len({os.stat(_sidecars.name(move.key), dir_fd=directory).st_ino for move in MOVES}) == 1


def test_one_that_goes_leaves_the_others(directory: int) -> None:
    _sidecars.write(directory, MOVES)
    os.unlink(_sidecars.name(MOVES[0].key), dir_fd=directory)
    assert _paths(directory) == [None, *(move.key for move in MOVES[1:])]


def test_what_is_there_already_is_not_touched(directory: int) -> None:
    _sidecars.write(directory, MOVES[:3])
    before = os.stat(_sidecars.name(MOVES[0].key), dir_fd=directory)
    _sidecars.write(directory, MOVES)
    after = os.stat(_sidecars.name(MOVES[0].key), dir_fd=directory)
    assert (after.st_ino, after.st_nlink) == (before.st_ino, before.st_nlink)
    assert _paths(directory) == [move.key for move in MOVES]


@pytest.mark.parametrize("left", [0, 1, 100, 200])
def test_one_that_a_killed_run_left_cut_off_says_nothing_and_is_written_anew(directory: int, left: int) -> None:
    _sidecars.write(directory, MOVES[:1])
    os.truncate(f"/proc/self/fd/{directory}/{MOVES[0].key}.json", left)
    assert _sidecars.read(directory, MOVES[0].key) is None
    _sidecars.write(directory, MOVES)
    assert _paths(directory) == [move.key for move in MOVES]


def test_where_there_are_no_hard_links_each_has_its_own_file(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:  # noqa: ANN401  whatever os.link is given
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)
    _sidecars.write(directory, MOVES)
    assert _paths(directory) == [move.key for move in MOVES]


def test_long_paths_and_texts_take_several_files(directory: int) -> None:
    moves = [Move(b"d/" * 2000 + b"%d" % number, f"j1-{number}-1", FOUND, Pointer("stub", b"t" * 60_000)) for number in range(40)]
    _sidecars.write(directory, moves)
    for move in moves:
        found = _sidecars.read(directory, move.key)
        assert found is not None
        assert found["key"] == move.key


def test_all_of_a_file_is_durable_before_it_has_a_second_name(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    acts: list[str] = []
    sync, link = os.fsync, os.link

    def syncing(descriptor: int) -> None:
        acts.append("sync")
        sync(descriptor)

    def linking(*given: Any, **more: Any) -> None:  # noqa: ANN401  whatever os.link is given
        acts.append("link")
        link(*given, **more)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "link", linking)
    _sidecars.write(directory, MOVES)
    assert acts == ["sync"] + ["link"] * (len(MOVES) - 1)
