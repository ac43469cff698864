"""Scans by lists of what changed: they see what a whole scan sees, if the list is whole, and take nothing for seen that was not."""

import io
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog import snapshot, table
from catalog.errors import ConfigError, RefusedError
from catalog.schema import PROBLEMS
from scanners import change_lists, crawl
from scanners.change_lists import Changes
from tests.scanners import contract

_NAMES = [b"a", b"b", b"c", b"new\nline", b"\xff", b"back\\slash", b"=cmd()", "ü".encode()]
Scan = Callable[..., crawl.ScanResult]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "kept" / "below").mkdir(parents=True)
    (folder / "kept" / "below" / "file").write_bytes(b"kept")
    for name in _NAMES:
        place = os.path.join(bytes(folder), name)
        os.makedirs(os.path.join(place, b"below", name))
        Path(os.fsdecode(os.path.join(place, b"file"))).write_bytes(name)
    return folder


@pytest.fixture
def scan(tmp_path: Path, tree: Path) -> Scan:
    def run(changes: Changes | None = None, into: str = "catalog", **declared: Any) -> crawl.ScanResult:  # noqa: ANN401 - what a configuration has
        made = contract.settings_of({"url": str(tree), **declared})
        return crawl.scan(tmp_path / into, made, "v", now=lambda: datetime.now(UTC), workers=1, changes=changes)

    return run


def entries(root: Path) -> list[dict[str, Any]]:
    """What the newest scan has, without what no two scans share."""
    newest = snapshot.newest_scans(root)["v"].scan_id
    rows = table.read(root, "entries", scan_id=[newest], volume=["v"]).drop_columns(["entry_id", "accessed_at"]).to_pylist()
    return sorted(rows, key=lambda row: (row["dir"], row["name"]))


def _names(*paths: str | bytes, alone: tuple[str, ...] = ()) -> Changes:
    return Changes({os.fsencode(path): False for path in paths} | {os.fsencode(path): True for path in alone})


class _Change:
    """Does one thing to a tree, and knows what a watcher would name."""

    def __init__(self, tree: Path, chance: random.Random) -> None:
        self.tree, self.chance = bytes(tree), chance
        self.named: dict[bytes, bool] = {}

    def some(self, *, directory: bool) -> bytes | None:
        found = [
            os.path.join(place, name) for place, below, files in os.walk(self.tree) for name in (below if directory else files) if not place.endswith(b"kept")
        ]
        return self.chance.choice(sorted(found)) if found else None

    def tell(self, path: bytes, *, alone: bool = False) -> None:
        path = os.path.relpath(path, self.tree)
        self.named[path] = self.named.get(path, True) and alone

    def go(self) -> None:
        file, other, folder = self.some(directory=False), self.some(directory=False), self.some(directory=True) or self.tree
        new = os.path.join(folder, self.chance.choice(_NAMES) + b"%d" % self.chance.randrange(5))
        kind = self.chance.choice(["make", "write", "remove", "move", "folder", "link", "symlink", "chmod", "drop", "swap"])
        if kind in ("make", "folder", "link", "symlink", "move") and os.path.lexists(new):
            return
        if kind == "make":
            Path(os.fsdecode(new)).write_bytes(new)
        elif kind == "folder":
            os.makedirs(os.path.join(new, b"deep", b"deeper"))
            Path(os.fsdecode(os.path.join(new, b"deep", b"file"))).write_bytes(b"x")
        elif kind == "symlink":
            os.symlink(b"nowhere", new)
        elif kind == "link" and file and not os.path.islink(file):
            os.link(file, new)
            self.tell(file)
        elif kind == "write" and file and not os.path.islink(file):
            Path(os.fsdecode(file)).write_bytes(b"more" * self.chance.randrange(9))
            new = file
        elif kind == "remove" and file:
            os.unlink(file)
            new = file
        elif kind == "move" and folder != self.tree and not new.startswith(folder):
            os.rename(folder, new)
            self.tell(folder)
        elif kind == "chmod" and folder != self.tree:
            os.chmod(folder, 0o700 + self.chance.randrange(64))
            self.tell(folder, alone=True)
            return
        elif kind == "drop" and folder != self.tree:
            shutil.rmtree(folder)
            new = folder
        elif kind == "swap" and folder != self.tree and other and not other.startswith(folder):
            shutil.rmtree(folder)
            os.rename(other, folder)
            self.tell(other)
            new = folder
        else:
            return
        self.tell(new)


@pytest.mark.parametrize("seed", range(12))
def test_a_whole_list_gives_what_a_whole_scan_gives(seed: int, tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan(max_loss_pct=100)
    for round_number in range(2):  # the second goes on from a scan that itself went by a list
        change = _Change(tree, random.Random(1000 * round_number + seed))
        for _ in range(12):
            change.go()
        found = scan(Changes(change.named), max_loss_pct=100)
        whole = scan(into=f"whole-{round_number}", max_loss_pct=100)
        assert entries(tmp_path / "catalog") == entries(tmp_path / f"whole-{round_number}"), change.named
        assert (found.entries, found.files, found.bytes, found.state) == (whole.entries, whole.files, whole.bytes, whole.state)


def test_what_the_list_does_not_name_is_not_looked_at(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan()
    (tree / "kept" / "below" / "file").write_bytes(b"changed, and not told")
    (tree / "a" / "new").write_bytes(b"told")
    scan(_names("a/new"))
    sizes = {row["dir"] + row["name"]: row["size_bytes"] for row in entries(tmp_path / "catalog")}
    assert (sizes["kept/below/file"], sizes["a/new"]) == (4, 4)


def test_a_directory_that_is_still_the_same_is_not_read_for_a_file_in_it(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan()
    (tree / "kept" / "below" / "file").write_bytes(b"changed, and not told")
    (tree / "kept" / "new").write_bytes(b"")
    scan(_names("kept/new", alone=("kept",)))
    found = {row["dir"] + row["name"]: row for row in entries(tmp_path / "catalog")}
    assert found["kept/below/file"]["size_bytes"] == 4
    assert found["kept"]["modified_at"] == datetime.fromtimestamp(int((tree / "kept").stat().st_mtime_ns // 1000) / 1e6, UTC).replace(tzinfo=None)


def test_the_evidence_is_as_old_as_the_last_whole_scan_which_the_next_one_says_missed_what(tmp_path: Path, tree: Path, scan: Scan) -> None:
    first = scan()
    (tree / "kept" / "below" / "file").write_bytes(b"changed, and not told")
    second = scan(_names("a/file"))
    scan(_names("a/file"))
    newest = snapshot.newest_scans(tmp_path / "catalog")["v"]
    assert newest.known_at == first.started_at
    assert not newest.is_hearsay
    assert json.loads(newest.options or "")["changes_since"] == second.scan_id
    last = scan()
    assert last.missed == 1
    assert snapshot.newest_scans(tmp_path / "catalog")["v"].known_at == last.started_at
    assert scan().missed == 0


def test_a_directory_that_its_list_calls_alone_and_that_is_another_now_is_read_as_a_whole(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan()
    os.rename(tree / "kept", tmp_path / "away")
    (tree / "kept").mkdir()
    (tree / "kept" / "other").write_bytes(b"")
    scan(_names(alone=("kept",)))
    scan(into="whole")
    assert entries(tmp_path / "catalog") == entries(tmp_path / "whole")


def test_what_lies_below_a_directory_that_is_no_longer_there_is_gone_though_the_list_names_only_a_file(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan()
    shutil.rmtree(tree / "kept")
    os.symlink("a", tree / "kept")
    scan(_names("kept/below/file"))
    scan(into="whole")
    assert entries(tmp_path / "catalog") == entries(tmp_path / "whole")


def test_what_is_excluded_stays_out_however_deep_the_list_names_it(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan(exclude=["kept/"])
    (tree / "kept" / "below" / "new").write_bytes(b"")
    scan(_names("kept/below/new", "kept/below/file"), exclude=["kept/"])
    assert not [row for row in entries(tmp_path / "catalog") if row["dir"].startswith("kept") or row["name"] == "kept"]


def test_jobs_own_files_stay_out(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan()
    (tree / ".lastcopy" / "quarantine").mkdir(parents=True)
    (tree / ".lastcopy" / "quarantine" / "one").write_bytes(b"")
    scan(_names(".lastcopy/quarantine/one"))
    scan(into="whole")
    assert entries(tmp_path / "catalog") == entries(tmp_path / "whole")


def test_problems_of_the_scan_before_stay_where_nobody_looked(tmp_path: Path, scan: Scan, blind: Callable[[bytes], None]) -> None:
    scan()
    blind(b"kept/below")
    hidden = scan()
    assert (hidden.state, hidden.carried_entries) == ("incomplete", 1)
    found = scan(_names("a/file"))
    assert (found.state, found.carried_entries, found.problems) == ("incomplete", 1, hidden.problems)
    assert [row["name"] for row in entries(tmp_path / "catalog") if row["carried_from"]] == ["file"]
    blind(b"")
    found = scan(_names("kept/below"))
    assert (found.state, found.carried_entries) == ("complete", 0)


def test_a_directory_that_could_not_be_read_is_read_as_a_whole_when_something_in_it_is_named(
    tmp_path: Path, tree: Path, scan: Scan, blind: Callable[[bytes], None]
) -> None:
    scan()
    blind(b"kept")
    assert scan().carried_entries == 2
    assert scan(_names("kept/below/file")).carried_entries == 2
    blind(b"")
    assert scan(_names("kept/below/file")).carried_entries == 0
    scan(into="whole")
    assert entries(tmp_path / "catalog") == entries(tmp_path / "whole")


def test_where_sight_is_lost_all_that_lies_below_is_carried_over(tmp_path: Path, scan: Scan, blind: Callable[[bytes], None]) -> None:
    scan()
    blind(b"kept")
    found = scan(_names("kept/below/new", "kept/other"))
    assert (found.state, found.carried_entries) == ("incomplete", 2)
    assert {row["name"] for row in entries(tmp_path / "catalog") if row["carried_from"]} == {"below", "file"}


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Lets a directory of the volume and all below be opened by nobody."""
    from scanners import _kernel

    opened, hidden = _kernel.open_beneath, [b""]

    def refuse(root: int, path: bytes, flags: int, cross_mounts: bool = True) -> int:
        if hidden[0] and (path + b"/").startswith(hidden[0] + b"/"):
            raise PermissionError(13, "Permission denied")
        return opened(root, path, flags, cross_mounts)

    def choose(path: bytes) -> None:
        hidden[0] = path

    monkeypatch.setattr(_kernel, "open_beneath", refuse)
    return choose


def test_problems_of_those_that_read_contents_do_not_become_the_scans_own(tmp_path: Path, scan: Scan) -> None:
    first = scan()
    row = {"path": "a/file", "stage": "open", "error": "Permission denied", "errno": 13, "hides_below": False, "seen_at": datetime(2026, 1, 1), "inode": None}
    partition = {"scan_id": first.scan_id, "volume": "v"}
    written = table.write(tmp_path / "catalog", "problems", pa.Table.from_pylist([row], PROBLEMS), partition)
    table.commit(tmp_path / "catalog", "problems", [written], "read")
    assert scan(_names("b/file")).problems == 0


def test_another_folder_at_the_place_of_the_root_is_refused(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan()
    os.rename(tree, tmp_path / "away")
    shutil.copytree(tmp_path / "away", tree, symlinks=True)
    with pytest.raises(RefusedError, match="is another folder"):
        scan(_names("a/file"))


def test_a_replaced_directory_of_which_the_list_names_a_child_is_read_as_a_whole(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan()
    os.rename(tree / "kept", tmp_path / "away")
    (tree / "kept").mkdir()
    (tree / "kept" / "y").write_bytes(b"")
    scan(_names("kept/y"))
    scan(into="whole")
    assert entries(tmp_path / "catalog") == entries(tmp_path / "whole")


def test_of_a_directory_that_is_gone_nothing_stays(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan()
    shutil.rmtree(tree / "kept")
    scan(_names(alone=("kept",)))
    assert not [row for row in entries(tmp_path / "catalog") if row["dir"].startswith("kept") or row["name"] == "kept"]


def test_another_medium_below_with_the_same_inode_keeps_nothing_of_the_one_before(tmp_path: Path, tree: Path, scan: Scan) -> None:
    if os.geteuid():
        pytest.skip("needs root: mounts")
    place = tree / "medium"
    place.mkdir()
    for name, declared in (("old", None), ("new", _names("medium/new"))):
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        try:
            (place / name).write_bytes(b"")
            scan(declared, cross_mounts=True, max_loss_pct=100)
        except RefusedError as refused:
            assert "another file system" in str(refused)  # noqa: PT017 - as a whole scan refuses it: what was below vanished
        finally:
            subprocess.run(["umount", "-l", place], check=True)
    names = {row["name"] for row in entries(tmp_path / "catalog") if row["dir"] == "medium/"}
    assert names in ({"new"}, {"old"})  # the second: nothing was published


def test_a_whole_scan_that_was_interrupted_can_be_gone_on_with_after_one_by_a_list(tmp_path: Path, tree: Path, scan: Scan) -> None:
    scan()
    stopped = contract.Interrupt(1)
    made = contract.settings_of({"url": str(tree)})
    with pytest.raises(KeyboardInterrupt):
        crawl.scan(tmp_path / "catalog", made, "v", now=lambda: datetime.now(UTC), progress=stopped, budget=crawl.Budget(1, 0.0, 1, 0.0, 0.0))
    waiting = sorted((tmp_path / "catalog" / ".scans").iterdir())
    scan(_names("a/file"))
    assert sorted((tmp_path / "catalog" / ".scans").iterdir()) == waiting
    assert len(waiting) == 1


def test_without_a_scan_and_with_other_excludes_it_is_refused(tmp_path: Path, scan: Scan) -> None:
    with pytest.raises(RefusedError, match="scan it as a whole"):
        scan(_names("a"))
    scan()
    with pytest.raises(RefusedError, match="declared otherwise"):
        scan(_names("a"), exclude=["*.tmp"])
    with pytest.raises(RefusedError, match="names its root"):
        scan(_names(""))


def test_losses_that_are_too_great_are_refused_as_in_every_scan(tree: Path, scan: Scan) -> None:
    scan()
    for name in _NAMES:
        shutil.rmtree(os.path.join(bytes(tree), name))
    with pytest.raises(RefusedError, match="vanished"):
        scan(_names(*_NAMES))


def test_a_scan_that_was_interrupted_is_not_gone_on_with_by_a_whole_one(tmp_path: Path, tree: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    from scanners.changes import Changes

    scan()
    with monkeypatch.context() as patched:
        patched.setattr(Changes, "keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            scan(_names("a/file"))
    made = contract.settings_of({"url": str(tree)})
    crawl.scan(tmp_path / "catalog", made, "v", now=lambda: datetime.now(UTC), resume=True)
    scan(into="whole")
    assert entries(tmp_path / "catalog") == entries(tmp_path / "whole")


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (b"a\nb/c\n", [b"a", b"b/c"]),
        (b"new\nline\0\xff/x\0", [b"new\nline", b"\xff/x"]),
        (b"./a//b/\n\n", [b"a/b"]),
        (b"%(root)s/in/side\n", [b"in/side"]),
        (b"", []),
    ],
)
def test_paths_are_of_the_volume(listed: bytes, found: list[bytes], tmp_path: Path) -> None:
    listed = listed.replace(b"%(root)s", bytes(tmp_path))
    assert list(change_lists.read(io.BytesIO(listed), "paths", tmp_path).alone) == found


@pytest.mark.parametrize("listed", [b"/elsewhere/x", b"a/../../x", b"%(root)s-not/x"])
def test_paths_of_elsewhere_are_an_error(listed: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of the list of changes"):
        change_lists.read(io.BytesIO(listed.replace(b"%(root)s", bytes(tmp_path))), "paths", tmp_path)


@pytest.fixture
def btrfs(tmp_path: Path) -> Iterator[Path]:
    """A subvolume on a btrfs of its own."""
    if os.geteuid() or not shutil.which("mkfs.btrfs") or "btrfs" not in Path("/proc/filesystems").read_text():
        pytest.skip("needs root, btrfs-progs and a kernel with btrfs")
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop,noatime", image, mounted], check=True)
    try:
        subprocess.run(["btrfs", "-q", "subvolume", "create", mounted / "volume"], check=True)
        yield mounted / "volume"
    finally:
        subprocess.run(["umount", "-l", mounted], check=True)


def _difference(volume: Path, older: str, newer: str) -> bytes:
    sent = subprocess.run(
        ["btrfs", "-q", "send", "--no-data", "-p", volume.parent / older, volume.parent / newer], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return subprocess.run(["btrfs", "receive", "--dump"], input=sent.stdout, check=True, capture_output=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize("inside", ["", "some folder"])
def test_the_difference_of_two_snapshots_of_btrfs_is_a_whole_list(btrfs: Path, inside: str, tree: Path, tmp_path: Path) -> None:
    volume = btrfs / inside
    shutil.copytree(tree, volume, symlinks=True, dirs_exist_ok=True)
    made = contract.settings_of({"url": str(volume)})

    def scanned(into: str, changes: Changes | None = None) -> None:
        crawl.scan(tmp_path / into, made, "v", now=lambda: datetime.now(UTC), changes=changes)

    def snap(name: str) -> None:
        subprocess.run(["btrfs", "-q", "subvolume", "snapshot", "-r", btrfs, btrfs.parent / name], check=True, stdout=subprocess.DEVNULL)

    snap("snap 0")
    scanned("catalog")
    for number in range(1, 6):
        change = _Change(volume, random.Random(number))
        for _ in range(15):
            change.go()
        snap(f"snap {number}")
        listed = _difference(btrfs, f"snap {number - 1}", f"snap {number}")
        scanned("catalog", change_lists.read(io.BytesIO(listed), "btrfs", volume))
        scanned(f"whole-{number}")
        assert entries(tmp_path / "catalog") == entries(tmp_path / f"whole-{number}"), listed.decode("utf-8", "backslashreplace")


def test_a_subvolume_within_is_refused_since_no_list_tells_of_it(btrfs: Path, tmp_path: Path) -> None:
    subprocess.run(["btrfs", "-q", "subvolume", "create", btrfs / "within"], check=True, stdout=subprocess.DEVNULL)
    made = contract.settings_of({"url": str(btrfs)})
    crawl.scan(tmp_path / "catalog", made, "v", now=lambda: datetime.now(UTC))
    with pytest.raises(RefusedError, match="other subvolumes"):
        crawl.scan(tmp_path / "catalog", made, "v", now=lambda: datetime.now(UTC), changes=Changes({b"x": False}, of_subvolume=True))


def test_other_text_is_no_difference_of_btrfs(tmp_path: Path, btrfs: Path) -> None:
    for wrong, said in (
        (b"subvol          ./s1                            uuid=1 transid=2\n", "older snapshot"),
        (b"hello\n", "line 1"),
        (b"", "no snapshot"),
        (b"snapshot ./s uuid=1\nmkfile /etc/passwd\n", "outside"),
        (b"snapshot ./s uuid=1\nrename ./s/x\n", "where to"),
    ):
        with pytest.raises(ConfigError, match=said):
            change_lists.read(io.BytesIO(wrong), "btrfs", btrfs)
