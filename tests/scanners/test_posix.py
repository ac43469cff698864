"""File trees: what is peculiar to them, on real files."""

import contextlib
import errno
import json
import os
import re
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scanners
from catalog import names, snapshot, table
from scanners import _kernel, _place, crawl, posix
from tests.scanners import contract
from tests.scanners.contract import Contract, Factory, Item, entries, expected, paths, problems, scan


class Tree:
    """Makes folders with files."""

    kind = "posix"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        self.folder.mkdir(exist_ok=True)
        for item in items:
            path = os.path.join(os.fsencode(self.folder), item.path)
            if item.content is None:
                os.makedirs(path, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(item.content)
        return {"url": str(self.folder)}

    def takes(self, name: bytes) -> bool:
        return b"/" not in name and b"\0" not in name and len(name) <= 255


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    return Tree(tmp_path / "tree")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


class TestPosix(Contract):
    """The suite that every kind passes."""


def found_by_find(folder: Path, *options: str) -> list[bytes]:
    out = subprocess.run(["find", str(folder), "-mindepth", "1", *options, "-printf", r"%P\0"], capture_output=True, check=True).stdout
    return sorted(out.split(b"\0")[:-1])


def test_entries_of_a_real_tree_are_what_find_sees_column_by_column(root: Path) -> None:
    folder = Path(os.path.realpath(sys.prefix)) / "lib"
    result = crawl.scan(root, contract.settings_of({"url": str(folder)}), "v", now=contract.clock, workers=2)
    assert paths(root, result) == found_by_find(folder)
    for row in entries(root, result)[::97]:
        status = os.lstat(os.path.join(os.fsencode(folder), names.unescape(row["dir"] + row["name"])))
        assert (row["size_bytes"], row["allocated_bytes"], row["inode"]) == (status.st_size, status.st_blocks * 512, status.st_ino)
        assert (row["mode"], row["uid"], row["gid"], row["link_count"]) == (status.st_mode, status.st_uid, status.st_gid, status.st_nlink)
        epoch = datetime(1970, 1, 1)
        for column, nanoseconds in (("modified", status.st_mtime_ns), ("changed", status.st_ctime_ns)):
            since = row[f"{column}_at"] - epoch
            assert (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000 + row[f"{column}_ns"] == nanoseconds


def test_links_fifos_and_sockets_are_entries_and_links_are_never_followed(factory: Factory, root: Path, tmp_path: Path) -> None:
    declared = factory.make([Item(b"d/f", b"x")])
    tree = tmp_path / "tree"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")
    (tree / "to_outside").symlink_to(outside)
    (tree / "loop").symlink_to("loop")
    (tree / "up").symlink_to("..")
    os.symlink(b"/nowhere/\xff\n", os.fsencode(tree / "dangling"))
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
    os.link(tree / "d" / "f", tree / "hard")
    result = scan(root, declared)
    rows = {row["dir"] + row["name"]: row for row in entries(root, result)}
    assert {path: row["type"] for path, row in rows.items()} == {
        "d": "dir", "d/f": "file", "hard": "file", "to_outside": "symlink", "loop": "symlink", "up": "symlink", "dangling": "symlink",
        "fifo": "special", "socket": "special",
    }  # fmt: skip
    assert rows["dangling"]["link_target"] == "/nowhere/\\xff\\x0a"
    assert rows["to_outside"]["link_target"] == str(outside)
    assert rows["d/f"]["inode"] == rows["hard"]["inode"]
    assert (result.files, result.bytes) == (2, 1)


def test_no_component_of_an_opened_path_may_be_a_link(factory: Factory, tmp_path: Path) -> None:
    declared = factory.make([Item(b"real/f", b"x")])
    (tmp_path / "tree" / "link").symlink_to("real")
    (tmp_path / "tree" / "real" / "g").symlink_to("f")
    os.mkfifo(tmp_path / "tree" / "fifo")
    scanner = scanners.connect(contract.settings_of(declared), "v")
    for directory, name in (("link/", "f"), ("real/", "g"), ("../tree/real/", "f"), ("", "fifo"), ("", "real"), ("", "missing")):
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on the kernel's way
            scanner.open_file(directory, name)


def test_without_openat2_no_link_is_followed_either(factory: Factory, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = contract.many(60)
    declared = factory.make(items)
    (tmp_path / "tree" / "link").symlink_to("d01")
    monkeypatch.setattr(_kernel, "_openat2_works", [False])
    result = scan(root, declared, workers=1)
    assert paths(root, result) == expected([*items, Item(b"link")])
    scanner = scanners.connect(contract.settings_of(declared), "v")
    with pytest.raises(OSError):  # noqa: PT011 - ELOOP or ENOTDIR, the kernel's choice
        scanner.open_file("link/s0/", "f000.txt")
    with pytest.raises(OSError, match="Invalid cross-device link"):
        scanner.open_file("../tree/d01/", "f001.txt")


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder for what pytest cannot remove: it would recurse."""
    folder = tmp_path / "deep"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def make_deep(folder: Path, depth: int, name: bytes) -> None:
    """A chain of directories far deeper than a path can say."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open(b"bottom", os.O_WRONLY | os.O_CREAT, dir_fd=at))
    os.close(at)


@pytest.mark.parametrize("openat2", [True, False])
def test_a_tree_1200_deep_is_read_to_the_bottom(root: Path, deep: Path, openat2: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kernel, "_openat2_works", [openat2])
    name = b"d" * 12
    make_deep(deep, 1200, name)
    result = crawl.scan(root, contract.settings_of({"url": str(deep)}), "v", now=contract.clock, workers=1)
    assert result.entries == 1201
    assert result.state == "complete"
    last = max(paths(root, result), key=len)
    assert last == (name + b"/") * 1200 + b"bottom"
    scanner = scanners.connect(contract.settings_of({"url": str(deep)}), "v")
    os.close(scanner.open_file(((name + b"/") * 1200).decode(), "bottom"))


def test_a_directory_whose_path_is_longer_than_16_kib_is_not_entered_and_a_problem(root: Path, deep: Path) -> None:
    make_deep(deep, 70, b"d" * 255)
    (deep / "beside").write_bytes(b"seen")
    result = crawl.scan(root, contract.settings_of({"url": str(deep)}), "v", now=contract.clock, workers=1)
    assert (result.state, result.entries, result.problems) == ("incomplete", 66, 1)  # 65 directories, the last of them not entered
    [problem] = table.read(root, "problems").to_pylist()
    assert (problem["path"], problem["stage"], problem["errno"], problem["hides_below"]) == ("/".join(["d" * 255] * 65), "list", errno.ENAMETOOLONG, True)


def as_nobody(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user without rights."""
    prefix = [] if os.geteuid() else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    return subprocess.run([*prefix, sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


SCAN = """
import sys, datetime
from pathlib import Path
from catalog import config
from scanners import crawl
declared = config.parse({"volumes": {"v": {"url": sys.argv[1]}}})
print(crawl.scan(Path(sys.argv[2]), declared, "v", now=lambda: datetime.datetime.now(datetime.UTC), workers=1, accept_losses="accept" in sys.argv).scan_id)
"""


def open_to_all(tmp_path: Path) -> None:
    """Let another user reach a test's folders, as pytest makes them for its own user only."""
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith(("/tmp/pytest", str(tmp_path))):  # the folders that pytest made
            folder.chmod(0o777)
    if as_nobody("import duckdb, deltalake, pyarrow").returncode:
        pytest.skip("a user without rights cannot run this Python")


@pytest.mark.slow
def test_a_directory_that_may_not_be_read_is_a_problem_and_what_was_below_is_carried_over(factory: Factory, root: Path, tmp_path: Path) -> None:
    declared = factory.make([Item(b"open/a", b"1"), Item(b"shut/b", b"2"), Item(b"shut/in/c", b"3"), Item(b"dim/d", b"4")])
    open_to_all(tmp_path)
    root.mkdir()
    root.chmod(0o777)
    run = as_nobody(SCAN, declared["url"], str(root))
    assert run.returncode == 0, run.stderr
    first = run.stdout.strip()
    (tmp_path / "tree" / "shut").chmod(0o700)
    (tmp_path / "tree" / "dim").chmod(0o444)
    if os.geteuid():
        (tmp_path / "tree" / "shut").chmod(0)
    for _ in range(2):  # what was carried once is carried again, from the scan that saw it
        run = as_nobody(SCAN, declared["url"], str(root))
        assert run.returncode == 0, run.stderr
        published = snapshot.newest_scans(root)["v"]
        result: Any = published
        rows = {row["dir"] + row["name"]: row["carried_from"] for row in entries(root, result)}
        assert rows == {"open": None, "open/a": None, "shut": None, "dim": None, "shut/b": first, "shut/in": first, "shut/in/c": first, "dim/d": first}
        assert (published.state, published.entries, published.carried_entries) == ("incomplete", 4, 4)
        assert {(p["path"], p["stage"], p["hides_below"]) for p in problems(root, result)} == {("shut", "list", True), ("dim/d", "stat", True)}
        ids = [row["entry_id"] for row in entries(root, result)]
        assert len(set(ids)) == len(ids)


class Meddler:
    """Does something to the tree each time that the scanner has listed directories and not yet looked at what is in them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Any) -> None:  # noqa: ANN401 - any callable
        self.times = 0
        before = posix.Scanner._stat

        def stat_later(scanner: posix.Scanner, *arguments: Any) -> dict[int, int]:  # noqa: ANN401 - those of _stat
            self.times += 1
            act(self.times)
            return before(scanner, *arguments)

        monkeypatch.setattr(posix.Scanner, "_stat", stat_later)


def test_a_file_that_vanished_after_its_directory_settled_is_no_entry(factory: Factory, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = factory.make([Item(b"a"), Item(b"b"), Item(b"c")])
    Meddler(monkeypatch, lambda times: (tmp_path / "tree" / "b").unlink(missing_ok=True))
    result = scan(root, declared, workers=1)
    assert paths(root, result) == [b"a", b"c"]
    assert result.state == "complete"


def test_a_file_that_vanishes_each_time_is_a_problem_and_hides_nothing(factory: Factory, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = factory.make([Item(b"a"), Item(b"v0")])
    tree = tmp_path / "tree"

    def rename(times: int) -> None:
        (tree / f"v{times - 1}").rename(tree / f"v{times}")

    Meddler(monkeypatch, rename)
    result = scan(root, declared, workers=1)
    assert paths(root, result) == [b"a"]
    assert {(p["path"], p["stage"], p["hides_below"]) for p in problems(root, result)} == {("v3", "stat", False), ("", "changed", False)}
    assert result.state == "incomplete"


def test_a_directory_that_changes_while_it_is_read_is_read_again(factory: Factory, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = factory.make([Item(b"d/a")])

    def add(times: int) -> None:
        if times == 2:
            (tmp_path / "tree" / "d" / "b").write_bytes(b"")

    meddler = Meddler(monkeypatch, add)
    result = scan(root, declared, workers=1)
    assert paths(root, result) == [b"d", b"d/a", b"d/b"]
    assert (meddler.times, result.state) == (3, "complete")


def test_a_directory_that_changed_since_its_entry_was_read_is_listed_as_it_is_now(
    factory: Factory, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = factory.make([Item(b"d/a"), Item(b"e/a")])
    before, opened = posix.Scanner._open, []

    def add(scanner: posix.Scanner, walk: Any, directory: str) -> Any:  # noqa: ANN401 - those of _open
        opened.append(directory)
        if opened.count("d/") == 1:
            (tmp_path / "tree" / "d" / "b").write_bytes(b"")
        return before(scanner, walk, directory)

    monkeypatch.setattr(posix.Scanner, "_open", add)
    result = scan(root, declared, workers=1)
    assert paths(root, result) == [b"d", b"d/a", b"d/b", b"e", b"e/a"]
    assert result.state == "complete"
    assert (opened.count("d/"), opened.count("e/")) == (2, 1)


@pytest.mark.parametrize(("times", "state"), [(1, "complete"), (9, "incomplete")])
def test_a_name_that_a_listing_gives_twice_is_one_entry_and_the_directory_is_listed_again(
    factory: Factory, root: Path, monkeypatch: pytest.MonkeyPatch, times: int, state: str
) -> None:
    declared = factory.make([Item(b"sub/a"), Item(b"sub/b"), Item(b"z")])
    real, given = os.listdir, []

    def twice(descriptor: int) -> list[str]:
        found = real(descriptor)
        given.append(found)
        return [*found, "sub"] if "sub" in found and len(given) <= times else found

    monkeypatch.setattr(os, "listdir", twice)
    result = scan(root, declared, workers=1)
    assert paths(root, result) == [b"sub", b"sub/a", b"sub/b", b"z"]
    assert [(p["path"], p["stage"]) for p in problems(root, result)] == ([("", "changed")] if times > 1 else [])
    assert (result.state, result.entries) == (state, 4)


def test_a_name_that_two_pieces_of_a_large_directory_give_is_one_entry(factory: Factory, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = factory.make([Item(b"sub/a"), *(Item(b"f%d" % number) for number in range(20))])
    real = os.scandir

    @contextlib.contextmanager
    def again(descriptor: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        with real(descriptor) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
            yield iter([*found, *found[:5], found[-1], found[-1]])

    monkeypatch.setattr(os, "scandir", lambda place: again(place) if isinstance(place, int) else real(place))
    monkeypatch.setattr(posix, "_LARGE", 10)
    monkeypatch.setattr(posix, "_GROUP", 4)
    result = scan(root, declared, workers=1)
    assert paths(root, result) == sorted([b"sub", b"sub/a", *(b"f%d" % number for number in range(20))])
    assert [(p["path"], p["stage"], p["hides_below"]) for p in problems(root, result)] == [("", "changed", False)]


def test_a_directory_that_vanishes_before_it_is_read_is_a_problem(factory: Factory, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = factory.make([Item(b"d/a"), Item(b"e/b")])
    before = posix.Scanner._open

    def gone(scanner: posix.Scanner, walk: Any, directory: str) -> Any:  # noqa: ANN401 - those of _open
        if directory == "e/":
            (tmp_path / "tree" / "e" / "b").unlink()
            (tmp_path / "tree" / "e").rmdir()
        return before(scanner, walk, directory)

    monkeypatch.setattr(posix.Scanner, "_open", gone)
    result = scan(root, declared, workers=1)
    assert [(p["path"], p["stage"], p["errno"], p["hides_below"]) for p in problems(root, result)] == [("e", "list", 2, False)]


@pytest.mark.parametrize(
    ("seconds", "flag", "kept"),
    [(10**10, 1, True), (0, 1, True), (315532800, 1, True), (-1, 0, True), (10**9, 0, True), (2**33, 1, True)],
)
def test_a_time_that_cannot_be_is_flagged_and_kept(factory: Factory, root: Path, tmp_path: Path, seconds: int, flag: int, kept: bool) -> None:
    declared = factory.make([Item(b"f"), Item(b"g")])
    os.utime(tmp_path / "tree" / "f", ns=(10**18, seconds * 10**9))
    row = entries(root, scan(root, declared))[0]
    stored = os.stat(tmp_path / "tree" / "f").st_mtime
    if stored != seconds:
        pytest.skip(f"this file system stores {seconds} as {stored}")
    assert (row["time_flags"], row["modified_at"] is not None) == (flag, kept)


def test_a_huge_sparse_file_has_its_size_and_its_blocks(factory: Factory, root: Path, tmp_path: Path) -> None:
    declared = factory.make([Item(b"f")])
    os.truncate(tmp_path / "tree" / "f", 2**40)
    row = entries(root, scan(root, declared))[0]
    assert (row["size_bytes"], row["allocated_bytes"]) == (2**40, 0)


def test_times_outside_the_range_are_null_and_do_not_stop_the_others() -> None:
    from scanners import _columns

    batch = _columns.Batch(started_us=1_700_000_000_000_000)
    for slot, seconds in enumerate([2**62, -(2**62), 253_402_300_800, 10_413_792_000, 1_600_000_000]):
        batch.slots[slot] = 0
        batch.slots[slot]["modified_s"], batch.slots[slot]["modified_ns"] = seconds, 123_456_789
        batch.slots[slot]["mode"], batch.slots[slot]["size_bytes"] = stat.S_IFREG, 2**62
    batch.add(_columns.Part("", [b"a", b"b", b"c", b"d", b"e"], 0))
    columns = batch.take({(0, 0): None})
    assert [value and value.year for value in columns["modified_at"].to_pylist()] == [None, None, None, 2300, 2020]
    assert columns["modified_ns"].to_pylist() == [None, None, None, 789, 789]
    assert [flags & 3 for flags in columns["time_flags"].to_pylist()] == [2, 2, 2, 1, 0]
    assert columns["size_bytes"].to_pylist() == [2**62] * 5


in_a_mount_namespace = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0, reason="mounting needs root"
)

MOUNT = """
import subprocess, sys, datetime
from pathlib import Path
from catalog import config, snapshot
from scanners import crawl
tree, root, cross = sys.argv[1:]
def mount(*options): subprocess.run(["mount", *options], check=True)
mount("--bind", tree + "/a", tree + "/bound")
mount("-t", "tmpfs", "none", tree + "/ram")
Path(tree, "ram", "inside").write_text("x")
declared = config.parse({"volumes": {"v": {"url": tree, "cross_mounts": bool(int(cross))}}})
result = crawl.scan(Path(root), declared, "v", now=lambda: datetime.datetime.now(datetime.UTC), workers=1)
import pyarrow.parquet as pq
for file in snapshot.entry_files(Path(root), result.scan_id, "v"):
    for row in pq.ParquetFile(file).read().to_pylist():
        print(row["dir"] + row["name"], row["fs_id"], row["inode"])
print(result.state)
"""


@in_a_mount_namespace
@pytest.mark.parametrize("openat2", [True])
@pytest.mark.parametrize("cross", [False, True])
def test_mounts_and_bind_mounts_are_crossed_only_if_asked(factory: Factory, root: Path, tmp_path: Path, cross: bool, openat2: bool) -> None:
    factory.make([Item(b"a/f", b"x"), Item(b"bound", None), Item(b"ram", None)])
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", MOUNT, str(tmp_path / "tree"), str(root), str(int(cross))]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert run.returncode == 0, run.stderr
    *lines, state = run.stdout.split("\n")[:-1]
    rows = {line.split(" ")[0]: line.split(" ")[1:] for line in lines}
    below = {"bound/f", "ram/inside"} if cross else set()
    assert set(rows) == {"a", "a/f", "bound", "ram"} | below
    assert state == "complete"
    assert rows["ram"][0] != rows["a"][0]
    assert rows["bound"] == rows["a"]
    if cross:
        assert rows["bound/f"] == rows["a/f"]


CHANGED_MOUNT = """
import subprocess, sys, datetime
from pathlib import Path
from catalog import config
from catalog.errors import RefusedError
from scanners import crawl
tree, root, cross = sys.argv[1:]
def mount(): subprocess.run(["mount", "-t", "tmpfs", "none", tree + "/disk"], check=True)
def scan(**options):
    declared = config.parse({"volumes": {"v": {"url": tree, "cross_mounts": bool(int(cross))}}})
    return crawl.scan(Path(root), declared, "v", now=lambda: datetime.datetime.now(datetime.UTC), workers=1, **options)
if int(cross):
    mount()
Path(tree, "disk", "sub").mkdir()
Path(tree, "disk", "sub", "inside").write_text("x")
scan()
if int(cross):
    subprocess.run(["umount", tree + "/disk"], check=True)
else:
    mount()
try:
    scan()
except RefusedError as error:
    print(error)
print(scan(accept_losses=True).state, scan().state)
"""


@in_a_mount_namespace
@pytest.mark.parametrize("cross", [False, True])
def test_what_vanished_with_a_mount_below_the_root_is_refused_as_a_deletion(factory: Factory, root: Path, tmp_path: Path, cross: bool) -> None:
    factory.make([Item(b"disk", None), *(Item(b"kept/%d" % number, b"x") for number in range(20))])
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", CHANGED_MOUNT, str(tmp_path / "tree"), str(root), str(int(cross))]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert run.returncode == 0, run.stderr
    refused, accepted = run.stdout.splitlines()
    assert "another file system now (2 below disk/)" in refused
    assert accepted == "complete complete"


def test_our_own_folder_and_a_catalog_inside_the_volume_are_left_out(factory: Factory, tmp_path: Path) -> None:
    declared = factory.make([Item(b"a")])
    prepared(tmp_path / "tree")
    result = scan(tmp_path / "tree" / "my" / "catalog", declared)
    assert paths(tmp_path / "tree" / "my" / "catalog", result) == [b"a", b"my"]
    assert (result.excluded, result.state) == (2, "complete")


def prepared(folder: Path, **marker: object) -> Path:
    """Make the `.lastcopy` that jobs make in a folder."""
    home = folder / ".lastcopy"
    (home / "quarantine").mkdir(mode=0o700, parents=True)
    here = os.open(folder, os.O_RDONLY)
    told = {"volume": "v", "id": "x", "fs_id": _place.fs_id(here), "root_inode": os.fstat(here).st_ino, "prepared_us": 0, "capabilities": None}
    os.close(here)
    (home / "volume.json").write_text(json.dumps(told | marker))
    (home / "clock").touch()
    (home / "quarantine" / "jx-1-1").write_text("taken")
    (home / "quarantine" / "jx-1-1.json").write_text("{}")
    (home / "quarantine" / "jx-2-1").symlink_to("elsewhere")
    return home


def found_in(root: Path, factory: Factory) -> list[str]:
    """What a scan enters that has to do with `.lastcopy`."""
    found = [os.fsdecode(path) for path in paths(root, scan(root, factory.make([Item(b"a")]), workers=1))]
    return [path for path in found if ".lastcopy" in path]


@pytest.mark.parametrize("where", ["", "outer/vault"])
def test_of_a_folder_of_ours_only_what_jobs_put_there_is_left_out(factory: Factory, root: Path, tmp_path: Path, where: str) -> None:
    home = prepared(tmp_path / "tree" / where)
    prefix = str(home.relative_to(tmp_path / "tree"))
    assert found_in(root, factory) == []
    (home / "mine").write_text("x")
    (home / "quarantine" / "my letter.txt").write_text("x")
    (home / "quarantine" / "jx-3-1").mkdir()
    (home / "quarantine" / "jx-3-1" / "below").write_text("x")
    inside = ["", "/mine", "/quarantine", "/quarantine/jx-3-1", "/quarantine/jx-3-1/below", "/quarantine/my letter.txt"]
    assert found_in(root, factory) == [prefix + path for path in inside]


@pytest.mark.parametrize("marker", [{"root_inode": 1}, {"fs_id": "another"}, {"id": 7}, "[" * 60_000, "{}", "", None])
def test_a_folder_of_that_name_without_our_marker_is_one_like_others(factory: Factory, root: Path, tmp_path: Path, marker: Any) -> None:  # noqa: ANN401 - any text, or what is to change
    home = prepared(tmp_path / "tree" / "sub", **(marker if isinstance(marker, dict) else {}))
    if not isinstance(marker, dict):
        (home / "volume.json").unlink()
        os.mkfifo(home / "volume.json") if marker is None else (home / "volume.json").write_text(marker)
    inside = ["", "/clock", "/quarantine", "/quarantine/jx-1-1", "/quarantine/jx-1-1.json", "/quarantine/jx-2-1", "/volume.json"]
    assert found_in(root, factory) == [f"sub/.lastcopy{path}" for path in inside]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("whose", ["", "volume.json"])
def test_a_folder_that_anybody_else_made_hides_nothing(factory: Factory, root: Path, tmp_path: Path, whose: str) -> None:
    os.chown(prepared(tmp_path / "tree" / "sub") / whose, 65534, 65534)
    assert "sub/.lastcopy/quarantine/jx-1-1" in found_in(root, factory)


def test_a_link_of_that_name_leads_nowhere(factory: Factory, root: Path, tmp_path: Path) -> None:
    prepared(tmp_path / "elsewhere")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / ".lastcopy").symlink_to(tmp_path / "elsewhere" / ".lastcopy")
    assert found_in(root, factory) == [".lastcopy"]


def test_temporary_names_are_left_out_by_the_pattern_of_jobs_and_only_files_and_links(factory: Factory, root: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / ".lastcopy~jx-1-1~.part").mkdir(parents=True)
    for name in (".lastcopy~jx-2-1~.part", ".lastcopy~jx-2-1~.bad", ".lastcopy~my letter~.part", f".lastcopy~{'x' * 49}~.part", ".lastcopy~jx-1-1~.part/x"):
        (tree / name).write_text("x")
    (tree / ".lastcopy~jx-3-1~.part").symlink_to("elsewhere")
    kept = [".lastcopy~jx-1-1~.part", ".lastcopy~jx-1-1~.part/x", ".lastcopy~my letter~.part", f".lastcopy~{'x' * 49}~.part"]
    assert found_in(root, factory) == sorted(kept)


@pytest.mark.parametrize("at_once", [1, 40, 2**20])
def test_names_of_any_bytes_are_excluded_however_many_are_matched_at_once(factory: Factory, root: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("scanners._omissions._AT_ONCE", at_once)
    kept = [b"a/x", b"a/\xff/x.tmpl", b"back\\slash", "é".encode(), b"new\nline", b"tmp"]
    gone = [b"a/x.tmp", b"a/\xff/\xfe.tmp", b"\n.tmp", b"a/x.tmp.d/.tmp", b"\xe2\x80.tmp"]
    found = paths(root, scan(root, factory.make([Item(path, b"") for path in kept + gone]) | {"exclude": ["*.tmp", "no/such"]}, workers=1))
    assert found == sorted([*kept, b"a", b"a/\xff", b"a/x.tmp.d"])


def test_media_types_come_from_the_head_and_are_kept_for_unchanged_files(factory: Factory, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media = pytest.importorskip("scanners.media")
    declared = factory.make([Item(b"a.txt", b"hello, world\n"), Item(b"b.bin", b"\x89PNG\r\n\x1a\n" + b"\0" * 30), Item(b"empty")]) | {"media_types": True}
    expected_types = {"a.txt": "text/plain", "b.bin": None, "empty": "inode/x-empty"}
    first = {row["name"]: row["media_type"] for row in entries(root, scan(root, declared, workers=1))}
    assert first["a.txt"] == expected_types["a.txt"]
    assert first["empty"] == expected_types["empty"]
    assert str(first["b.bin"]).startswith(("image/png", "application/octet-stream"))
    (tmp_path / "tree" / "a.txt").write_bytes(b"%PDF-1.4\n")
    opened: list[str] = []
    head = media._of_head

    def noted(directory: str, name: str, open_file: Any) -> str | None:  # noqa: ANN401 - any callable
        opened.append(name)
        found: str | None = head(directory, name, open_file)
        return found

    monkeypatch.setattr(media, "_of_head", noted)
    second = {row["name"]: row["media_type"] for row in entries(root, scan(root, declared, workers=1))}
    assert opened == ["a.txt"]
    assert second == first | {"a.txt": "application/pdf"}


@pytest.mark.slow
def test_a_directory_of_100000_entries_needs_little_memory(factory: Factory, root: Path, tmp_path: Path) -> None:
    declared = factory.make([Item(b"big", None)])
    at = os.open(tmp_path / "tree" / "big", os.O_RDONLY)
    for number in range(100_000):
        os.mknod(f"file-with-a-name-of-some-length-{number:08d}", dir_fd=at)
    os.close(at)
    code = "import resource; " + SCAN.replace("print(", "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; print(") + MEMORY
    run = subprocess.run([sys.executable, "-c", code, declared["url"], str(root)], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert run.returncode == 0, run.stderr
    published = snapshot.newest_scans(root)["v"]
    assert (published.entries, published.state) == (100_001, "complete")
    grown = re.search(r"grown (\d+)", run.stdout)
    assert grown
    assert int(grown[1]) < 200 * 1024  # KiB, most of it libraries; the names alone would take 10 MB each time that they are held


MEMORY = """
print("grown", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")),
        unique=True,
        min_size=1,
        max_size=30,
    )
)
def test_any_names_are_found_again_sorted_and_with_their_bytes(tmp_path_factory: pytest.TempPathFactory, found: list[bytes]) -> None:
    from scanners.sink import ParquetSink, Target

    folder = tmp_path_factory.mktemp("names")
    (folder / "tree").mkdir()
    for name in found:
        open(os.path.join(os.fsencode(folder / "tree"), name), "wb").close()
    target = Target(folder, "20260101T000000000000Z-v-0000", "v")
    scanner = posix.Scanner(scanners.Settings("v", str(folder / "tree"), 0))
    record = scanner.run_shard(scanner.root_shard(), ParquetSink(target, 0, 10**9, 3600.0))
    scanner.close()
    import pyarrow.parquet as pq
    import xxhash

    rows = pq.ParquetFile(folder / "entries" / str(record.entries)).read().to_pylist()
    raw = [names.unescape(row["name"]) for row in rows]
    assert sorted(raw) == sorted(found)
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    assert [row["path_hash"] for row in rows] == [xxhash.xxh3_64_intdigest(name) % 2**48 for name in raw]
    assert [row["extension"] for row in rows] == [names.extension(row["name"]) for row in rows]
    inode = {name: os.lstat(os.path.join(os.fsencode(folder / "tree"), name)).st_ino for name in found}
    assert [row["inode"] for row in rows] == [inode[name] for name in raw]


def test_facts_of_the_root_name_its_file_system_and_its_disk(factory: Factory, tmp_path: Path) -> None:
    declared = factory.make([Item(b"a")])
    scanner = scanners.connect(contract.settings_of(declared), "v")
    facts = scanner.probe()
    space = os.statvfs(tmp_path)
    assert facts.fs_id
    assert facts.device
    assert facts.clock in ("accessed", "modified")
    assert facts.capacity_bytes == space.f_blocks * space.f_frsize
    assert not facts.empty
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > posix._OPEN_DIRECTORIES


def test_a_large_directory_that_its_server_loses_is_a_problem_not_the_end_of_the_scan(
    factory: Factory, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = factory.make([Item(b"a", b""), Item(b"large/b", b"")])
    scan(root, volume)
    large = (tmp_path / "tree" / "large").stat().st_ino
    real, seen = os.fstat, [0]

    def lost(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        seen[0] += status.st_ino == large
        if status.st_ino == large and seen[0] > 1:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return status

    monkeypatch.setattr(posix, "_LISTED_AT_ONCE_BYTES", 0)
    monkeypatch.setattr(os, "fstat", lost)
    done = scan(root, volume, workers=1)
    assert done.state == "incomplete"
    assert [(row["path"], row["errno"], row["hides_below"]) for row in problems(root, done)] == [("large", errno.ESTALE, True)]
