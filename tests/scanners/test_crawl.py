"""The driver: refusals, locks, what a crash leaves, and what is published."""

import json
import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import scanners
from catalog import config, lock, snapshot, table
from catalog.errors import CatalogError, ConfigError, LockedError, NotFoundError, RefusedError, UnreachableError
from lifecycle import stores
from scanners import crawl, journal, pool
from scanners.progress import Progress
from tests.scanners import contract
from tests.scanners.contract import Interrupt, Item, expected, many, paths, scan
from tests.scanners.test_posix import Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def left_behind(root: Path, but: str = "_delta_log") -> list[Path]:
    """What a catalog holds besides its tables' logs, its locks, and one of its tables."""
    return [path for path in root.rglob("*") if path.is_file() and not {".locks", "_delta_log", but} & set(path.relative_to(root).parts)]


def test_an_unknown_volume_or_kind_is_an_error_that_lists_the_known_ones(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="volumes are v"):
        crawl.scan(root, contract.settings_of({"url": "/x"}), "w", now=contract.clock)
    with pytest.raises(ConfigError, match=r"kind 'tapes'.*posix"):
        scan(root, {"url": "tapes:/x"})
    assert "posix" in scanners.kinds()
    assert "crawl" not in scanners.kinds()
    assert not root.exists()


def test_a_root_that_is_missing_or_no_directory_cannot_be_reached(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in ("missing", "file"):
        with pytest.raises(UnreachableError, match=place):
            scan(root, {"url": str(tmp_path / place)}, accept_losses=True)
    assert [(row.state, row.entries) for row in snapshot.scans(root)] == [("failed", 0)] * 2
    assert {path.parent.name for path in left_behind(root)} == {"scans"}
    assert snapshot.newest_scans(root) == {}


def test_a_shelved_medium_that_is_not_there_has_not_failed(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="missing"):
        scan(root, {"url": str(tmp_path / "missing"), "access": "offline"})
    assert left_behind(root) == []


def test_an_empty_root_is_refused_unless_losses_are_accepted(root: Path, tmp_path: Path, tree: Tree) -> None:
    declared = tree.make([Item(b".lastcopy/marker")])
    with pytest.raises(RefusedError, match="empty"):
        scan(root, declared)
    assert left_behind(root, but="scans") == []
    [refused] = snapshot.scans(root)
    assert (refused.state, refused.entries) == ("failed", 0)
    assert "its root is empty" in str(refused.error)
    assert scan(root, declared, accept_losses=True).entries == 2


def test_a_root_that_became_empty_is_refused_and_the_last_scan_stays(root: Path, tmp_path: Path, tree: Tree) -> None:
    declared = tree.make(many(20))
    first = scan(root, declared)
    before = left_behind(root, but="scans")
    shutil.rmtree(tree.folder)
    tree.folder.mkdir()
    with pytest.raises(RefusedError):
        scan(root, declared | {"access": "offline"})
    assert snapshot.newest_scans(root)["v"].scan_id == first.scan_id
    assert left_behind(root, but="scans") == before
    refused = snapshot.scans(root)[-1]
    assert (refused.state, refused.previous_scan_id) == ("failed", first.scan_id)


def test_a_root_on_another_file_system_is_refused_unless_losses_are_accepted(root: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tree.make(many(20))
    scan(root, declared)
    monkeypatch.setattr("scanners._place.fs_id", lambda *_: "another")
    with pytest.raises(RefusedError, match="file system another"):
        scan(root, declared)
    assert scan(root, declared, accept_losses=True).entries > 0


@pytest.mark.parametrize(("removed", "refused"), [(4, False), (5, False), (6, True)])
def test_more_losses_than_allowed_are_refused_and_leave_nothing(root: Path, tree: Tree, removed: int, refused: bool) -> None:
    items = [Item(b"f%d" % number) for number in range(10)]
    declared = tree.make(items) | {"max_loss_pct": 50}
    scan(root, declared)
    before = left_behind(root, but="scans")
    for item in items[:removed]:
        (tree.folder / os.fsdecode(item.path)).unlink()
    if refused:
        with pytest.raises(RefusedError, match="6 of 10 entries"):
            scan(root, declared)
        assert left_behind(root, but="scans") == before
        assert not list((root / ".scans").iterdir())
        assert [(one.state, "6 of 10 entries" in str(one.error)) for one in snapshot.scans(root)] == [("complete", False), ("failed", True)]
    assert scan(root, declared, accept_losses=refused).entries == 10 - removed


@pytest.mark.parametrize(("removed", "explained", "refused"), [(6, 1, False), (8, 3, False), (9, 3, True), (9, 9, False), (3, 9, False), (6, 0, True)])
def test_what_jobs_took_is_no_loss_and_what_vanished_beyond_it_is(root: Path, tree: Tree, removed: int, explained: int, refused: bool) -> None:
    items = [Item(b"f%d" % number) for number in range(10)]
    declared = tree.make(items) | {"max_loss_pct": 50}
    scan(root, declared)
    for item in items[:removed]:
        (tree.folder / os.fsdecode(item.path)).unlink()
    if refused:
        taken = f", {explained} were taken by jobs" if explained else ""
        with pytest.raises(RefusedError, match=rf"{removed} of 10 entries of the last scan vanished{taken} \(60.0 % unexplained"):
            scan(root, declared, explained=explained)
    assert scan(root, declared, explained=explained, accept_losses=refused).entries == 10 - removed


@pytest.mark.parametrize(("explained", "refused"), [(0, True), (2, True), (3, False), (4, False)])
def test_a_root_from_which_jobs_took_everything_may_be_empty(root: Path, tree: Tree, explained: int, refused: bool) -> None:
    items = [Item(b"f%d" % number) for number in range(3)]
    declared = tree.make(items)
    scan(root, declared)
    for item in items:
        (tree.folder / os.fsdecode(item.path)).unlink()
    if refused:
        with pytest.raises(RefusedError, match="its root is empty"):
            scan(root, declared, explained=explained)
    else:
        assert scan(root, declared, explained=explained).entries == 0


def test_a_root_that_was_never_scanned_may_not_be_empty_whatever_jobs_took(root: Path, tree: Tree) -> None:
    with pytest.raises(RefusedError, match=r"its root is empty.*lastcopy volume prepare"):
        scan(root, tree.make([]), explained=5)


def test_a_root_that_was_empty_may_be_so_again(root: Path, tree: Tree) -> None:
    declared = tree.make([])
    assert scan(root, declared, accept_losses=True).entries == 0
    assert scan(root, declared).entries == 0


def test_a_root_that_was_prepared_may_be_empty_and_may_not_lose_all_it_had(root: Path, tree: Tree) -> None:
    declared = tree.make([])
    store = stores.connect(config.parse({"volumes": {"v": declared}}), "v")
    store.prepare("marker-1", at_us=1)
    store.close()
    assert scan(root, declared).entries == 0
    file = tree.folder / "file"
    file.write_bytes(b"content")
    assert scan(root, declared).entries == 1
    file.unlink()
    with pytest.raises(RefusedError, match="1 of 1 entries of the last scan vanished"):
        scan(root, declared)


@pytest.mark.parametrize("link", [False, True])
def test_no_root_lies_where_jobs_keep_what_waits_for_its_purge(root: Path, tmp_path: Path, link: bool) -> None:
    kept = tmp_path / "nas" / ".lastcopy" / "quarantine"
    kept.mkdir(parents=True)
    (kept / "file").write_bytes(b"content")
    (tmp_path / "elsewhere").symlink_to(kept)
    with pytest.raises(RefusedError, match="lies in a folder of Lastcopy's own"):
        scan(root, {"url": str(tmp_path / "elsewhere" if link else kept)}, accept_losses=True)


def test_what_is_excluded_since_the_last_scan_is_no_loss(root: Path, tree: Tree) -> None:
    declared = tree.make([Item(b"keep"), *(Item(b"cache/f%d" % number) for number in range(20))])
    scan(root, declared)
    result = scan(root, declared | {"exclude": ["cache/"]})
    assert (result.entries, result.excluded) == (1, 1)
    (tree.folder / "keep").rename(tree.folder / "new")
    with pytest.raises(RefusedError, match=r"1 of 1 entries .*100\.0 %"):
        scan(root, declared | {"exclude": ["cache/"]})


def test_a_second_scan_of_a_volume_at_the_same_time_is_locked_out(root: Path, tree: Tree) -> None:
    declared = tree.make(many())
    tried = threading.Event()

    def second(_: Progress) -> None:
        if not tried.is_set():
            tried.set()
            with pytest.raises(LockedError, match=f"process {os.getpid()}"):
                scan(root, declared)

    scan(root, declared, progress=second)
    assert tried.is_set()
    with lock.hold(root, "volume-other"):
        scan(root, declared)


def test_the_row_of_a_scan_says_what_was_seen_and_how(root: Path, tree: Tree) -> None:
    declared = tree.make([Item(b"a", b"12"), Item(b"d/b", b"3")]) | {"exclude": ["*.tmp"]}
    os.link(tree.folder / "a", tree.folder / "c")
    started = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    times = iter([started, started + timedelta(seconds=9)])
    first = crawl.scan(root, contract.settings_of(declared), "v", now=lambda: next(times))
    row = snapshot.newest_scans(root)["v"]
    assert row.scan_id.startswith("20260102T030405000006Z-v-")
    assert (row.kind, row.state, row.entries, row.files, row.bytes, row.problems) == ("posix", "complete", 4, 3, 3, 0)
    assert (row.started_at, row.finished_at) == (started.replace(tzinfo=None), datetime(2026, 1, 2, 3, 4, 14, 6))
    assert json.loads(row.options or "")["exclude"] == ["*.tmp"]
    assert row.root_fs_id
    second = scan(root, declared)
    assert snapshot.newest_scans(root)["v"].previous_scan_id == first.scan_id
    assert second.previous_scan_id == first.scan_id


def test_progress_counts_up_and_knows_its_share_from_the_last_scan(root: Path, tree: Tree) -> None:
    declared = tree.make(many())
    heard: list[Progress] = []
    result = scan(root, declared, progress=heard.append)
    assert [p.entries for p in heard] == sorted(p.entries for p in heard)
    assert heard[-1].entries == result.entries
    assert {p.done_share for p in heard} == {None}
    heard.clear()
    scan(root, declared, progress=heard.append)
    assert heard[-1].done_share == 1.0
    assert len(heard) > 3


@pytest.mark.slow
def test_no_shard_is_lost_or_run_twice_however_many_workers_there_are(root: Path, tree: Tree) -> None:
    items = many()
    declared = tree.make(items)
    for workers in (1, 2, 4):
        assert paths(root, scan(root, declared, workers=workers)) == expected(items)


def test_a_small_tree_is_scanned_without_a_second_process(root: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tree.make(many())
    monkeypatch.setattr(pool, "_Worker", None)
    result = crawl.scan(root, contract.settings_of(declared), "v", now=contract.clock, workers=4)
    assert len(snapshot.entry_files(root, result.scan_id, "v")) == 1


def test_a_worker_that_is_killed_fails_the_scan_which_can_be_gone_on_with(root: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    items = many()
    declared = tree.make(items)
    first = scan(root, declared)
    give = pool.Pool.give

    def give_and_kill(self: pool.Pool, worker: Any, *shard: Any) -> None:  # noqa: ANN401 - those of give
        give(self, worker, *shard)
        worker.process.kill()

    with monkeypatch.context() as patched:
        patched.setattr(pool.Pool, "give", give_and_kill)
        with pytest.raises(CatalogError, match="scan worker ended"):
            scan(root, declared)
    rows = snapshot.scans(root)
    assert [row.state for row in rows] == ["complete", "failed"]
    assert "scan worker ended" in (rows[-1].error or "")
    assert snapshot.newest_scans(root)["v"].scan_id == first.scan_id
    result = scan(root, declared, resume=True)
    assert paths(root, result) == expected(items)
    assert snapshot.newest_scans(root)["v"].scan_id == result.scan_id


def test_an_error_in_a_worker_is_told_by_the_driver(root: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tree.make(many())
    give = pool.Pool.give

    def give_and_break(self: pool.Pool, worker: Any, number: int, taken: Any, seconds: float) -> None:  # noqa: ANN401 - those of give
        give(self, worker, number, [scanners.Segment("nowhere", 0, 1)], seconds)

    monkeypatch.setattr(pool.Pool, "give", give_and_break)
    with pytest.raises(CatalogError, match=r"worker failed: FileNotFoundError.*nowhere"):
        scan(root, declared)


def interrupted(root: Path, declared: dict[str, Any]) -> Path:
    """The journal of a scan that was interrupted."""
    with pytest.raises(KeyboardInterrupt):
        scan(root, declared, progress=Interrupt(3))
    (folder,) = (root / ".scans").iterdir()
    return folder / "journal.jsonl"


def test_a_torn_last_line_of_a_journal_is_ignored(root: Path, tree: Tree) -> None:
    items = many()
    declared = tree.make(items)
    file = interrupted(root, declared)
    content = file.read_bytes()
    file.write_bytes(content[: -len(content.splitlines()[-1]) // 2])
    result = scan(root, declared, resume=True)
    assert result.scan_id == file.parent.name
    assert paths(root, result) == expected(items)


def test_a_record_after_a_torn_line_is_a_line_of_its_own(root: Path, tree: Tree) -> None:
    items = many()
    declared = tree.make(items)
    file = interrupted(root, declared)
    with file.open("ab") as out:
        out.write(b'{"taken": [')
    with pytest.raises(KeyboardInterrupt):
        scan(root, declared, resume=True, progress=Interrupt(1))
    assert [list(json.loads(line)) for line in file.read_bytes().splitlines()][1:] == [["taken", "record"]] * 4
    result = scan(root, declared, resume=True)
    assert result.scan_id == file.parent.name
    assert paths(root, result) == expected(items)


def test_a_clock_that_does_not_say_its_zone_is_refused(root: Path, tree: Tree) -> None:
    with pytest.raises(ValueError, match="time zone"):
        crawl.scan(root, contract.settings_of(tree.make([Item(b"a")])), "v", now=lambda: datetime(2026, 1, 1))
    assert left_behind(root) == []


@pytest.mark.parametrize("damage", ["journal", "file", "settings", "published"])
def test_a_scan_that_cannot_be_gone_on_with_is_begun_anew(root: Path, tree: Tree, damage: str) -> None:
    items = many()
    declared = tree.make(items)
    file = interrupted(root, declared)
    if damage == "journal":
        file.write_bytes(b"{")
    elif damage == "file":
        next((root / "entries").rglob("*.parquet")).write_bytes(b"PAR1")
    elif damage == "settings":
        declared = declared | {"exclude": ["nothing"]}
    else:
        import pyarrow as pa

        from catalog.schema import SCANS

        row = {"scan_id": file.parent.name, "volume": "v", "state": "complete", "started_at": datetime(2026, 1, 1), "entries": 0, "carried_entries": 0}
        table.append(root, "scans", pa.Table.from_pylist([row], SCANS), file.parent.name)
    result = scan(root, declared, resume=True)
    assert result.scan_id != file.parent.name
    assert paths(root, result) == expected(items)
    assert not list((root / ".scans").iterdir())


@pytest.mark.parametrize("resume", [False, True])
def test_files_that_a_log_names_are_not_removed_with_an_old_journal(root: Path, tree: Tree, resume: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tree.make(many())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(crawl, "_append", killed)
        with pytest.raises(KeyboardInterrupt):
            scan(root, declared)
    assert snapshot.newest_scans(root) == {}
    named = table.files(root, "entries")
    result = scan(root, declared, resume=resume)
    assert all(Path(file).exists() for file in named)
    assert result.entries == len(paths(root, result))
    assert (table.files(root, "entries") == named) == resume


def test_another_volumes_journal_is_left_alone(root: Path, tree: Tree) -> None:
    for name in ("20260101T000000000000Z-v-2-0000", "20260101T000000000000Z-w-v-0000", "20260101T000000000000Z-v-0000"):
        (root / ".scans" / name).mkdir(parents=True)
    assert [target.scan_id for target in journal.interrupted(root, "v")] == ["20260101T000000000000Z-v-0000"]
    scan(root, tree.make([Item(b"a")]))
    assert sorted(path.name[-6:] for path in (root / ".scans").iterdir()) == ["2-0000", "v-0000"]
