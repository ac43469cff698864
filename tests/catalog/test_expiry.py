"""What is dropped of old snapshots can be derived again, and no file goes that anything can need."""

import contextlib
import datetime
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import reports
from catalog import compaction, connect, derive, expiry, integrity, inventory, lock, log, retention, snapshot, table
from catalog.errors import CatalogError, ConfigError, LockedError, UnderivedError
from catalog.retention import Wish
from catalog.schema import DERIVED, SCANS, TABLES
from tests.catalog import kept
from tests.catalog.estates import NOON, write_scan

DAYS = 4
NONE = Wish(0, 0, 0, 0)
WEEK = 7 * 86_400.0
REPORTS = ("assets", "changes", "duplicates", "growth")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("grown") / "catalog"
    kept.grow(root, DAYS)
    return root


@pytest.fixture
def root(grown: Path, tmp_path: Path) -> Path:
    shutil.copytree(grown, tmp_path / "catalog")
    return tmp_path / "catalog"


def now() -> float:
    return datetime.datetime.now(datetime.UTC).timestamp()


def later() -> float:
    return now() + WEEK + 3600


def everything(root: Path) -> set[str]:
    return {f"{name}/{path}" for name in TABLES for path in inventory.lying(root, name)}


def answers(root: Path) -> list[dict[str, list[str]]]:
    """What reports say over every snapshot; those that are not stored are derived again."""
    found = []
    for one in snapshot.snapshots(root):
        with contextlib.closing(connect.connect(root, one)) as connection:
            found.append({name: list(map(str, reports.load(name).run(connection).fetchall())) for name in REPORTS})
    return found


@pytest.mark.slow
def test_reports_over_every_snapshot_stay_what_they_were(root: Path) -> None:
    told, rows = answers(root), {name: sorted(map(str, table.read(root, name).to_pylist())) for name in TABLES if name not in DERIVED or name == "history"}
    done = expiry.expire(root, NONE, now(), WEEK)
    ids = [one.snapshot_id for one in snapshot.snapshots(root)]
    assert ([one.snapshot_id for one in done.dropped], list(done.kept)) == (ids[:2], ids[2:])
    assert [row["derived_stored"] for row in inventory.snapshots(root)] == [False, False, True, True]
    assert {name: sorted(map(str, table.read(root, name).to_pylist())) for name in rows} == rows
    expiry.expire(root, NONE, later(), WEEK)
    assert answers(root) == told
    assert [finding for finding in integrity.verify(root, contents=True)[0] if finding.state == "error"] == []


def test_files_go_only_after_the_grace_time(root: Path) -> None:
    before = everything(root)
    first = expiry.expire(root, NONE, now(), WEEK)
    assert everything(root) == before
    assert expiry.expire(root, NONE, now() + WEEK - 3600, WEEK).removed == []
    last = expiry.expire(root, NONE, later(), WEEK)
    assert sum(len(one.paths) for one in last.removed) == sum(one.files for one in first.dropped) == 2 * len(expiry.DROPPED)
    assert everything(root) == before - {f"{one.name}/{path}" for one in last.removed for path in one.paths}
    assert not list((root / "files").glob(f"*{first.dropped[0].snapshot_id}*"))


def test_the_grace_time_of_an_old_file_begins_when_it_is_dropped(root: Path) -> None:
    for path in everything(root):
        os.utime(root / path, (0, 0))
    before = everything(root)
    expiry.expire(root, NONE, now(), WEEK)
    assert expiry.expire(root, NONE, now(), WEEK).removed == []
    assert everything(root) == before


def test_the_grace_time_holds_where_the_clock_of_who_dropped_was_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in everything(root):
        os.utime(root / path, (0, 0))
    behind_ns = time.time_ns() - 8 * 86_400 * 10**9
    with monkeypatch.context() as slow:
        slow.setattr(time, "time_ns", lambda: behind_ns)
        assert expiry.expire(root, NONE, behind_ns / 1e9, WEEK).dropped
    assert expiry.expire(root, NONE, now(), WEEK).removed == []


def test_a_dry_run_says_the_same_and_changes_nothing(root: Path) -> None:
    before, versions = everything(root), {name: table.version(root, name) for name in TABLES}
    planned = expiry.plan(root, NONE, now(), WEEK)
    assert (everything(root), {name: table.version(root, name) for name in TABLES}) == (before, versions)
    assert expiry.expire(root, NONE, now(), WEEK) == planned


@pytest.mark.slow
def test_files_that_an_older_snapshot_still_reads_stay(root: Path) -> None:
    kept.grow(root, 8, DAYS, derives=False)
    derive.derive(root, kept.CONFIG, NOON + datetime.timedelta(days=20))
    list(compaction.compact(root))
    expiry.expire(root, NONE, later(), WEEK)
    for one in snapshot.snapshots(root):
        for name in ("scans", "digests", "verifications"):
            assert all(map(os.path.exists, table.files(root, name, one.versions[name])))
    assert [finding for finding in integrity.verify(root, contents=True)[0] if finding.state == "error"] == []


@pytest.mark.slow
def test_what_was_written_together_and_no_snapshot_reads_goes(root: Path) -> None:
    kept.grow(root, 8, DAYS, derives=False)
    old = set(table.files(root, "digests")) - {path for one in snapshot.snapshots(root) for path in table.files(root, "digests", one.versions["digests"])}
    list(compaction.compact(root))
    assert len(old) == 16
    done = expiry.expire(root, NONE, later(), WEEK)
    assert {str(root / "digests" / path) for one in done.removed if one.name == "digests" for path in one.paths} == old


def test_a_run_that_reads_contents_finds_every_file_of_its_list(root: Path) -> None:
    kept.grow(root, 8, DAYS, derives=False)
    listed = table.files(root, "digests")
    list(compaction.compact(root))
    with lock.hold(root, "digest-0"):
        done = expiry.expire(root, NONE, later(), WEEK)
    assert all(map(os.path.exists, listed))
    assert "scans" in {one.name for one in done.removed}, "of other tables it holds no list that could leave them"


def stray(root: Path) -> Path:
    """A file of a run that was killed long ago."""
    file = root / "scans" / table.write(root, "scans", SCANS.empty_table()).path
    os.utime(file, (0, 0))
    return file


def test_what_a_killed_run_left_goes(root: Path) -> None:
    old = stray(root)
    young = root / "scans" / table.write(root, "scans", SCANS.empty_table()).path
    expiry.expire(root, NONE, now(), WEEK)
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("name", ["volume-work", "digest-0"])
def test_while_something_is_writing_no_file_is_known_to_be_nobodys(name: str, root: Path) -> None:
    old = stray(root)
    with lock.hold(root, name):
        expiry.expire(root, NONE, now(), WEEK)
    assert old.exists()
    expiry.expire(root, NONE, now(), WEEK)
    assert not old.exists()


def test_the_files_of_a_scan_that_can_be_gone_on_with_stay(root: Path) -> None:
    path = table.write(root, "entries", TABLES["entries"].empty_table(), {"scan_id": "s9", "volume": "work"}).path
    os.utime(root / "entries" / path, (0, 0))
    (root / ".scans" / "s9").mkdir(parents=True)
    expiry.expire(root, NONE, now(), WEEK)
    assert (root / "entries" / path).exists()
    (root / ".scans" / "s9").rmdir()
    expiry.expire(root, NONE, now(), WEEK)
    assert not (root / "entries" / "scan_id=s9").exists()


@pytest.mark.parametrize(("module", "step"), [(inventory, "lying"), (expiry, "_unfinished"), (table, "state"), (log, "lives")])
def test_the_files_of_a_scan_that_is_published_meanwhile_stay(module: ModuleType, step: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = table.write(root, "entries", TABLES["entries"].empty_table(), {"scan_id": "s9", "volume": "work"})
    os.utime(root / "entries" / file.path, (0, 0))
    (root / ".scans" / "s9").mkdir(parents=True)
    real, looked = getattr(module, step), list[bool]()

    def slow(*given: object) -> object:
        found = real(*given)
        if not looked and (step == "_unfinished" or any(str(one).endswith("entries") for one in given)):
            looked.append(True)
            table.commit(root, "entries", [file], "s9")
            (root / ".scans" / "s9").rmdir()
        return found

    monkeypatch.setattr(module, step, slow)
    expiry.expire(root, NONE, now(), WEEK)
    assert looked
    assert file.path in table.state(root, "entries").files
    assert (root / "entries" / file.path).exists()


OWN = f"part-{'0' * 32}.parquet"
FOREIGN = (
    "scans/notes.txt",
    "scans/part-1.parquet",
    f"scans/{OWN}.bak",
    f"scans/my-backup/{OWN}",
    f"scans/scans/{OWN}",
    f"scans/tmp_{OWN}",  # DuckDB writes none of these
    f"scans/snapshot_id=s/{OWN}",
    f"entries/{OWN}",
    f"entries/scan_id=s/{OWN}",
    f"entries/volume=work/scan_id=s/{OWN}",
    f"entries/scan_id=s/volume=work/kept/{OWN}",
    f"entries/copy of 2019/scan_id=s/volume=work/{OWN}",
    f"files/snapshot_id=s (copy)/{OWN}",
)


@pytest.mark.parametrize("name", FOREIGN)
def test_files_that_lastcopy_did_not_write_are_never_removed(name: str, root: Path) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    os.utime(file, (0, 0))
    expiry.expire(root, NONE, later(), WEEK)
    assert file.read_text() == "mine"


def test_links_are_never_removed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for name, place in (("scans", tmp_path / "mine"), ("digests", tmp_path)):
        (root / name / OWN).symlink_to(place)
        os.utime(root / name / OWN, (0, 0), follow_symlinks=False)
    expiry.expire(root, NONE, later(), WEEK)
    assert all((root / name / OWN).is_symlink() for name in ("scans", "digests"))


def test_what_duckdb_left_of_a_derived_table_goes(root: Path) -> None:
    file = root / "files" / "snapshot_id=s" / f"tmp_{OWN}"
    file.parent.mkdir()
    file.write_text("half")
    os.utime(file, (0, 0))
    expiry.expire(root, NONE, now(), WEEK)
    assert not file.parent.exists()


def lose_a_commit(root: Path) -> None:
    (root / "digests" / log.FOLDER / f"{3:020d}.json").unlink()


def lose_the_newest_commit(root: Path) -> None:
    max((root / "digests" / log.FOLDER).glob("*.json")).unlink()


@pytest.mark.parametrize("damage", [lose_a_commit, lose_the_newest_commit])
def test_from_a_damaged_catalog_nothing_is_taken(damage: Callable[[Path], None], root: Path) -> None:
    old = stray(root)
    damage(root)
    before = everything(root)
    log._replayed.cache_clear()
    with pytest.raises(CatalogError):
        expiry.expire(root, NONE, later(), WEEK)
    assert everything(root) == before
    assert old.exists()


@pytest.mark.parametrize("name", [compaction.LOCK, "derive"])
def test_while_another_run_derives_or_is_at_it_nothing_is_done(name: str, root: Path) -> None:
    before = {name: table.version(root, name) for name in TABLES}
    with lock.hold(root, name), pytest.raises(LockedError):
        expiry.expire(root, NONE, later(), WEEK)
    assert {name: table.version(root, name) for name in TABLES} == before


def test_a_grace_time_that_readers_would_not_survive_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="less than an hour"):
        expiry.expire(root, NONE, later(), 3599)


def test_a_question_whose_rows_are_dropped_while_it_is_opened_is_not_answered_from_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oldest = snapshot.snapshots(root)[0]
    ensure = derive.ensure

    def slow(root: Path, wanted: snapshot.Snapshot) -> None:
        ensure(root, wanted)
        expiry.expire(root, NONE, now(), WEEK)

    monkeypatch.setattr(derive, "ensure", slow)
    with pytest.raises(UnderivedError, match="ask again"):
        connect.connect(root, oldest)


@pytest.mark.slow
def test_the_newest_good_scan_stays_though_newer_ones_are_incomplete_or_failed(root: Path) -> None:
    for number, state in enumerate(("incomplete", "failed", "incomplete")):
        at = NOON + datetime.timedelta(days=DAYS + number)
        write_scan(root, "work", {"only": {}}, at, state=state, previous_scan_id=snapshot.newest_scans(root)["work"].scan_id)
        derive.derive(root, kept.CONFIG, at)
    good = [scan for scan in snapshot.scans(root) if scan.state == "complete"]
    expiry.expire(root, NONE, later(), WEEK)
    assert all(os.path.exists(path) for scan in good for path in snapshot.entry_files(root, scan.scan_id, scan.volume))
    assert all(snapshot.entry_files(root, scan.scan_id, scan.volume) for scan in good)


def dated(*days: int, volumes: dict[int, set[str]] | None = None) -> list[Any]:
    found: list[Any] = []
    for place, day in enumerate(days):
        scans = dict.fromkeys((volumes or {}).get(place, {"work"}), f"scan-{place}")
        previous = found[-1].snapshot_id if found else None
        found.append(SimpleNamespace(snapshot_id=f"s{place}", as_of=NOON + datetime.timedelta(days=day), previous_id=previous, scans=scans))
    return found


def ids(known: list[Any], wish: Wish) -> set[str]:
    return set(retention.kept(known, known[-1], wish))


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        (NONE, {"s8", "s9"}),
        (Wish(3, 0, 0, 0), {"s6", "s7", "s8", "s9"}),
        (Wish(0, 3, 0, 0), {"s1", "s5", "s8", "s9"}),
        (Wish(0, 0, 2, 0), {"s4", "s8", "s9"}),
        (Wish(0, 0, 0, 2), {"s1", "s8", "s9"}),
        (Wish(0, 0, 0, 0, {"s2": "plan 1"}), {"s2", "s8", "s9"}),
    ],
)
def test_the_newest_of_each_day_week_month_or_year_is_kept(wish: Wish, wanted: set[str]) -> None:
    # 2025-12-30, 12-31 | 2026-02-27, 02-28, 02-28 | 03-01 (Sunday), 03-02, 03-04, 03-05, 03-05
    known = dated(-61, -60, -2, -1, -1, 0, 1, 3, 4, 4)
    assert ids(known, wish) == wanted


def test_of_each_volume_the_newest_snapshot_that_knows_it_is_kept() -> None:
    known = dated(0, 1, 2, 3, 4, volumes={0: {"work", "gone"}, 1: {"work", "gone"}})
    assert ids(known, NONE) == {"s1", "s3", "s4"}
