"""Stubs in file trees: what a job leaves is known again, what only looks like it is an ordinary file, and looking changes nothing."""

import os
from pathlib import Path
from typing import Any

import pytest

from catalog import stubs
from catalog.config import Config
from catalog.stubs import Stub
from lifecycle import stores
from lifecycle.stores import Pointer
from scanners import _stubs
from tests.scanners import contract
from tests.scanners.contract import clock, entries, scan
from tests.scanners.test_posix import SCAN, as_nobody, open_to_all

STUB = Stub("vault", "docs/a.txt", bytes(range(32)), 1000)
LONG_AGO = 1_500_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


def put(path: Path, text: bytes = stubs.write(STUB), mode: int = 0o444, modified: int = LONG_AGO) -> Path:
    path.write_bytes(text)
    path.chmod(mode)
    os.utime(path, (modified, modified))
    return path


def found(root: Path, tree: Path) -> dict[str, tuple[Any, ...]]:
    """What the entries of a scan keep of a stub, by path."""
    rows = entries(root, scan(root, {"url": str(tree)}))
    return {row["dir"] + row["name"]: (row["storage_class"], row["link_target"], row["tags"]) for row in rows}


def test_what_a_job_leaves_is_known_again(tree: Path, root: Path) -> None:
    (tree / "archived").write_bytes(b"x" * 1000)
    os.utime(tree / "archived", (LONG_AGO, LONG_AGO))
    config: Config = contract.settings_of({"url": str(tree)})
    store = stores.connect(config, "v")
    store.prepare("marker", at_us=int(clock().timestamp() * 1e6))
    seen = store.look(b"archived")
    assert seen is not None
    store.quarantine(b"archived", "j0123456789-1-1", seen, leave=Pointer("stub", stubs.write(STUB)))
    store.settle([b"archived"])
    store.settle_quarantine()
    store.close()
    assert found(root, tree) == {"archived": ("stub", STUB.link_target, STUB.tags)}


def test_stubs_stand_among_other_entries_in_their_own_rows(tree: Path, root: Path) -> None:
    for number in range(40):
        folder = tree / f"d{number % 5}"
        folder.mkdir(exist_ok=True)
        (folder / f"plain {number:02}\n").write_bytes(b"x")
        (folder / f"link {number:02}").symlink_to(f"to\\{number}")
        (folder / "left-out").write_bytes(b"")
        put(folder / f"stub {number:02}", stubs.write(Stub("vault", f"at {number}", bytes(32), number + 1)))
    rows = entries(root, scan(root, {"url": str(tree), "exclude": ["**/left-out"]}))
    for row in rows:
        kind, number = row["name"][:4], row["name"][5:7]
        expected: tuple[str | None, ...] = (None, None, None)
        if kind == "stub":
            stub = Stub("vault", f"at {int(number)}", bytes(32), int(number) + 1)
            expected = ("stub", stub.link_target, stub.tags)
        elif kind == "link":
            expected = (None, f"to\\\\{int(number)}", None)
        assert (row["storage_class"], row["link_target"], row["tags"]) == expected
    assert sum(row["storage_class"] == "stub" for row in rows) == 40


@pytest.mark.parametrize(
    "why", ["may be written", "another name", "newer than itself", "a word more", "too long", "too short", "a directory", "a pipe", "a link"]
)
def test_what_only_looks_like_a_stub_is_what_it_is(tree: Path, root: Path, tmp_path: Path, why: str) -> None:
    path = tree / "it"
    if why == "may be written":
        put(path, mode=0o644)
    elif why == "another name":
        os.link(put(path), tmp_path / "another")
    elif why == "newer than itself":
        put(path, modified=int(clock().timestamp()) + 60)
    elif why == "a directory":
        path.mkdir(mode=0o444)
    elif why == "a pipe":
        os.mkfifo(path, 0o444)
    elif why == "a link":
        path.symlink_to(put(tmp_path / "elsewhere"))
    else:
        text = {"a word more": stubs.write(STUB) + b" ", "too long": stubs.write(STUB) + b"\n" * stubs.MOST_BYTES, "too short": stubs.MAGIC + b"{}"}[why]
        put(path, text)
    kept = found(root, tree)["it"]
    assert kept[0] is None
    assert kept[2] is None


def test_only_files_that_may_be_stubs_are_opened(tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bytes] = []
    real = _stubs._opened

    def noting(directory: int, name: bytes) -> int:
        opened.append(name)
        return real(directory, name)

    monkeypatch.setattr(_stubs, "_opened", noting)
    put(tree / "stub")
    put(tree / "as old", b"x" * 200)
    put(tree / "left-out")
    (tree / "as it was made").write_bytes(b"x" * 200)
    (tree / "as it was made").chmod(0o444)
    put(tree / "written", mode=0o644)
    put(tree / "small", b"x")
    scan(root, {"url": str(tree), "exclude": ["left-out"]}, workers=1)
    assert sorted(opened) == [b"as old", b"stub"]


def test_another_file_that_took_the_name_meanwhile_is_not_the_stub(tree: Path) -> None:
    put(tree / "it")
    inode = (tree / "it").stat().st_ino
    directory = os.open(tree, os.O_RDONLY)
    try:
        assert _stubs._read(directory, b"it", inode, len(stubs.write(STUB))) == STUB
        assert _stubs._read(directory, b"it", inode + 1, len(stubs.write(STUB))) is None
        assert _stubs._read(directory, b"it", inode, len(stubs.write(STUB)) - 1) is None
        assert _stubs._read(directory, b"gone", inode, len(stubs.write(STUB))) is None
    finally:
        os.close(directory)


def test_looking_leaves_the_access_times_alone(tree: Path, root: Path) -> None:
    paths = [put(tree / "stub"), put(tree / "as old", b"x" * 200)]
    before = [path.stat().st_atime_ns for path in paths]
    scan(root, {"url": str(tree)})
    assert [path.stat().st_atime_ns for path in paths] == before


@pytest.mark.parametrize("scans", ["who made it", "root", "another"])
def test_only_who_scans_and_root_leave_stubs(tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch, scans: str) -> None:
    """Who could forge one in a folder of his would learn whether a content is where he may not look."""
    put(tree / "it")
    real = _stubs._may_be

    def owned(slots: _stubs.Slots) -> _stubs.Slots:
        slots = slots.copy()
        slots["uid"] = {"who made it": os.geteuid(), "root": 0, "another": os.geteuid() + 1}[scans]
        return real(slots)

    monkeypatch.setattr(_stubs, "_may_be", owned)
    rows = entries(root, scan(root, {"url": str(tree)}, workers=1))
    assert [row["storage_class"] for row in rows] == [None if scans == "another" else "stub"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave files of root")
def test_who_may_not_read_without_a_trace_reads_only_what_is_marked(tree: Path, root: Path, tmp_path: Path) -> None:
    put(tree / "marked")
    put(tree / "unmarked")
    os.setxattr(tree / "marked", stubs.ATTRIBUTE, b"j0123456789-1-1")
    before = (tree / "unmarked").stat().st_atime_ns
    root.mkdir()
    open_to_all(tmp_path)
    root.chmod(0o777)
    tree.chmod(0o755)
    done = as_nobody(SCAN, str(tree), str(root))
    assert done.returncode == 0, done.stderr
    result = type("Result", (), {"scan_id": done.stdout.strip()})()
    assert {row["name"]: row["storage_class"] for row in entries(root, result)} == {"marked": "stub", "unmarked": None}
    assert (tree / "unmarked").stat().st_atime_ns == before
