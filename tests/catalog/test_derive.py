"""Snapshots: published once, found by day, derived again with the configuration of their day."""

import datetime
import errno
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from catalog import config, connect, derive, schema, snapshot, table
from catalog.errors import ConfigError, NotFoundError, RefusedError
from catalog.schema import DERIVED
from catalog.snapshot import Snapshot
from catalog.words import THREATS
from tests.catalog.estates import NOON, write_scan

DAY = datetime.timedelta(days=1)
ESTATE = {
    "volumes": {
        "work": {"url": "/work-tree", "role": "primary", "system": "nas", "site": "paris", "device": "d1"},
        "copy": {"url": "/copy-tree", "role": "backup", "system": "vault", "site": "lyon", "device": "d2", "keeps_versions": "90d", "access": "offline"},
    }
}


def test_a_file_whose_copy_is_elsewhere_and_offline_is_protected(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"a/plan.txt": {}, "a/alone.txt": {}})
    write_scan(tmp_path, "copy", {"a/plan.txt": {}})
    made = derive.derive(tmp_path, config.parse(ESTATE), NOON)
    rows = connect.connect(tmp_path, made).sql("SELECT path, status, reasons FROM assets ORDER BY path").fetchall()
    assert rows == [("a/alone.txt", "unprotected", "never_copied"), ("a/plan.txt", "protected", "")]


@pytest.mark.parametrize("sight", ["seen", "carried", "unreadable"])
def test_what_was_not_seen_or_not_read_now_is_no_other_copy_and_no_duplicate(sight: str, tmp_path: Path) -> None:
    now = {"carried_from": "an-earlier-scan"} if sight == "carried" else {}
    held = {"digest": b"1" * 32}
    write_scan(tmp_path, "work", {"a": held, "twin/a": {**held, **now}, "listed": {}, "empty": {"size_bytes": 0}})
    scan_id = write_scan(tmp_path, "copy", {"a": {**held, **now}, "listed": now, "empty": {"size_bytes": 0, **now}})
    if sight == "unreadable":
        for volume, scan, paths in (("work", f"{NOON:%Y%m%dT%H%M%S}-work", ["twin/a"]), ("copy", scan_id, ["a", "listed", "empty"])):
            failed = [{"path": path, "stage": "read", "error": "I/O error", "errno": 5, "hides_below": False, "seen_at": NOON} for path in paths]
            table.append(tmp_path, "problems", pa.Table.from_pylist(failed, schema.PROBLEMS), f"{scan}-problems", {"scan_id": scan, "volume": volume})
    made = connect.connect(tmp_path, derive.derive(tmp_path, config.parse(ESTATE), NOON))
    rows = made.sql("SELECT path, other_copies, is_last_copy FROM assets WHERE path <> 'twin/a' ORDER BY path").fetchall()
    seen = sight == "seen"
    assert rows == [("a", 2 if seen else 0, not seen), ("empty", int(seen), not seen), ("listed", int(seen), not seen)]
    assert made.sql("SELECT path FROM duplicate_groups ORDER BY path").fetchall() == ([("a",), ("twin/a",)] if seen else [])
    shadows = made.sql("SELECT path, other_copies FROM files WHERE volume = 'copy' ORDER BY path").fetchall()
    assert shadows == [("a", 2 if seen else 0), ("empty", int(seen)), ("listed", int(seen))]


def test_without_any_good_scan_nothing_is_derived(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"a": {}}, state="failed")
    with pytest.raises(RefusedError, match="ever scanned"):
        derive.derive(tmp_path, config.parse(ESTATE), NOON)
    assert snapshot.snapshots(tmp_path) == []


def test_a_failed_scan_does_not_replace_the_one_before(tmp_path: Path) -> None:
    good = write_scan(tmp_path, "work", {"a": {}})
    write_scan(tmp_path, "work", {}, NOON + DAY, state="failed", error="disk error")
    made = derive.derive(tmp_path, config.parse(ESTATE), NOON + DAY)
    assert made.scans == {"work": good}
    volumes = {row["volume"]: row for row in connect.volume_rows(tmp_path, made).to_pylist()}
    assert (volumes["work"]["state"], volumes["work"]["last_error"]) == ("complete", "disk error")
    assert volumes["copy"]["state"] == "never_scanned"
    assert not made.complete


@pytest.mark.slow
def test_an_older_snapshot_is_derived_again_with_the_configuration_of_its_day(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"a/plan.txt": {}, "b/empty": {"size_bytes": 0}})
    write_scan(tmp_path, "copy", {"a/plan.txt": {}})
    first = derive.derive(tmp_path, config.parse(ESTATE), NOON)
    query = "SELECT * EXCLUDE (entry_id) FROM files ORDER BY volume, path"
    before = connect.connect(tmp_path, first).sql(query).fetchall()
    strict = ESTATE | {"classes": {"default": {"copies": 7}}}
    write_scan(tmp_path, "work", {"a/other.txt": {}}, NOON + DAY)
    derive.derive(tmp_path, config.parse(strict), NOON + DAY)
    for name in DERIVED:
        shutil.rmtree(tmp_path / name)
    assert connect.connect(tmp_path, snapshot.find(tmp_path, first.snapshot_id)).sql(query).fetchall() == before


@pytest.mark.parametrize("lost", ["files", "verdicts"])
def test_files_and_verdicts_are_derived_again_together(tmp_path: Path, lost: str) -> None:
    write_scan(tmp_path, "work", {"a/plan.txt": {}, "b/alone": {"size_bytes": 7}})
    write_scan(tmp_path, "copy", {"a/plan.txt": {}})
    made = derive.derive(tmp_path, config.parse(ESTATE), NOON)
    query = "SELECT * EXCLUDE (entry_id) FROM files ORDER BY volume, path"
    before = connect.connect(tmp_path, made).sql(query).fetchall()
    kept = "verdicts" if lost == "files" else "files"
    [old] = table.files(tmp_path, kept, snapshot_id=[made.snapshot_id])
    rows = pq.read_table(old)  # as another version numbered them
    number = rows.column_names.index("signature_no")
    pq.write_table(rows.set_column(number, rows.schema.field(number), pc.add(rows["signature_no"], 1).cast(rows.schema.field(number).type)), old)
    shutil.rmtree(tmp_path / lost)
    assert connect.connect(tmp_path, snapshot.find(tmp_path)).sql(query).fetchall() == before
    assert table.files(tmp_path, kept, snapshot_id=[made.snapshot_id]) != [old]


def test_the_time_a_file_was_first_seen_is_carried_from_snapshot_to_snapshot(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"old": {}})
    derive.derive(tmp_path, config.parse(ESTATE), NOON)
    write_scan(tmp_path, "work", {"old": {}, "new": {}}, NOON + DAY)
    made = derive.derive(tmp_path, config.parse(ESTATE), NOON + DAY)
    rows = connect.connect(tmp_path, made).sql("SELECT path, first_seen_at FROM files ORDER BY path").fetchall()
    assert rows == [("new", NOON + DAY), ("old", NOON)]


def test_labels_of_an_imported_table_are_kept_with_the_snapshot(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("path,owner,data_class\na/,finance,\na/b/,law,vital\na/b/one,alice,\n")
    data = ESTATE | {"classes": {"vital": {"copies": 2}}, "labels": [{"where": "name = 'zero'", "owner": "zoe"}, {"table": "labels.csv", "note": "x"}]}
    root = tmp_path / "catalog"
    write_scan(root, "work", {"a/one": {}, "a/zero": {}, "a/b/one": {}, "a/b/two": {}, "c/one": {"owner": "root"}})
    made = derive.derive(root, config.parse(data, tmp_path / "lastcopy.toml"), NOON)
    labels.unlink()
    query = "SELECT path, owner, data_class FROM files ORDER BY path"
    expected = [
        ("a/b/one", "alice", "vital"),
        ("a/b/two", "law", "vital"),
        ("a/one", "finance", "default"),
        ("a/zero", "zoe", "default"),
        ("c/one", "root", "default"),
    ]
    assert connect.connect(root, made).sql(query).fetchall() == expected
    shutil.rmtree(root / "files")
    assert connect.connect(root, snapshot.find(root)).sql(query).fetchall() == expected


@pytest.mark.slow
def test_a_snapshot_is_found_by_id_and_by_day(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"a": {}})
    made = [derive.derive(tmp_path, config.parse(ESTATE), NOON + n * DAY) for n in range(3)]
    assert snapshot.find(tmp_path).snapshot_id == made[2].snapshot_id
    assert snapshot.find(tmp_path, made[0].snapshot_id) == made[0]
    assert snapshot.find(tmp_path, "2026-03-02").snapshot_id == made[1].snapshot_id
    assert snapshot.find(tmp_path, "2026-04-01").snapshot_id == made[2].snapshot_id
    with pytest.raises(NotFoundError, match=f"no snapshot of 2026-02-28 or before; the oldest is {made[0].snapshot_id} of 2026-03-01 12:00 UTC"):
        snapshot.find(tmp_path, "2026-02-28")


def stamped(name: str, as_of: datetime.datetime, previous: str | None = None) -> Snapshot:
    return Snapshot(name, as_of, previous, True, {}, {}, config.parse(ESTATE), "", {}, "")


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("2026-03-02T12:00", "b"),
        ("2026-03-02T11:59:59.999999", "a"),
        ("2026-03-02T11:59:59", "a"),
        ("2026-03-02T11:59", "a"),
        ("2026-03-03 12:00 UTC", "late"),
        ("2026-03-03 12:00:30 UTC", "late"),
        ("2026-03-03 12:00:30.000", "b"),
        ("2026-03-03T12:00:29", "b"),
        ("2026-03-02 13:00+01:00", "b"),
        ("2026-03-02T12:59+01:00", "a"),
        ("2026-03-02T12:00Z", "b"),
        ("2026-03-03", "late"),
        ("1d", "b"),
        ("24.1h", "a"),
    ],
)
def test_a_snapshot_is_found_by_a_time_with_or_without_its_zone(wanted: str, name: str) -> None:
    late = NOON + 2 * DAY + datetime.timedelta(seconds=30.5)
    known = [stamped("a", NOON), stamped("b", NOON + DAY, "a"), stamped("late", late, "b")]
    assert snapshot.among(known, wanted).snapshot_id == name


@pytest.mark.parametrize("wanted", ["2026-W10", "2026-02-30", "yesterday", "2026-03-02T25:00", "2026-03", "20260302", "10:00", "", "9999999999y"])
def test_what_is_no_day_names_no_snapshot(wanted: str) -> None:
    with pytest.raises(NotFoundError, match="it is no day"):
        snapshot.among([stamped("a", NOON)], wanted)


def test_a_snapshot_of_a_clock_that_was_ahead_hides_none_that_followed_it() -> None:
    known = [stamped("first", NOON), stamped("after", NOON + DAY, "ahead"), stamped("ahead", NOON + 7 * DAY, "first")]
    assert [snapshot.among(known, f"2026-03-{day}").snapshot_id for day in ("01", "02", "07", "08", "09")] == ["first", *["after"] * 4]
    assert snapshot.among(known, "ahead").snapshot_id == "ahead"


def test_a_capacity_that_no_scan_tells_is_the_one_that_is_declared_and_what_is_free_the_rest_of_it(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"a": {}, "b": {}})  # of 10 bytes each
    volumes = {"work": ESTATE["volumes"]["work"] | {"capacity": "1 KiB"}, "copy": ESTATE["volumes"]["copy"] | {"capacity": "1 KiB"}}
    made = derive.derive(tmp_path, config.parse({"volumes": volumes}), NOON)
    query = "SELECT volume, capacity_bytes, free_bytes FROM volumes ORDER BY volume"
    assert connect.connect(tmp_path, made).sql(query).fetchall() == [("copy", None, None), ("work", 1024, 1004)]
    with pytest.raises(ConfigError, match="a volume of kind restic takes other than these"):
        config.parse({"volumes": {"backups": {"url": "restic:/repo", "capacity": "1 KiB"}}})


def test_an_interrupted_derivation_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scan(tmp_path, "work", {"a": {}})
    first = derive.derive(tmp_path, config.parse(ESTATE), NOON)
    commit = table.commit

    def fails_at_the_files(root: Path, name: str, *rest: object) -> int:
        if name == "history":
            raise KeyboardInterrupt
        return commit(root, name, *rest)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(table, "commit", fails_at_the_files)
    with pytest.raises(KeyboardInterrupt):
        derive.derive(tmp_path, config.parse(ESTATE), NOON + DAY)
    monkeypatch.undo()
    assert snapshot.find(tmp_path) == first
    assert connect.connect(tmp_path, first).sql("SELECT count(*) FROM files").fetchall() == [(1,)]


def test_sums_by_folder_hold_all_that_lies_below(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"a/b/one": {}, "a/two": {}, "three": {}, "a/b/link": {"inode": 1, "link_count": 2}})
    made = derive.derive(tmp_path, config.parse(ESTATE), NOON)
    rows = connect.connect(tmp_path, made).sql("SELECT key, depth, files, bytes FROM rollup WHERE \"by\" = 'folder' ORDER BY key").fetchall()
    assert rows == [("", 0, 4, 30), ("a/", 1, 3, 20), ("a/b/", 2, 2, 10)]


def test_a_file_with_a_time_that_cannot_be_trusted_is_never_dormant(tmp_path: Path) -> None:
    flags = schema.TIME_FLAGS
    files: dict[str, dict[str, Any]] = {
        "trusted": {},
        "modified": {"time_flags": flags["modified_suspect"]},
        "accessed": {"time_flags": flags["accessed_suspect"]},
        "out-of-range": {"time_flags": flags["accessed_range"], "accessed_at": None},
        "changed": {"time_flags": flags["changed_suspect"]},
    }
    write_scan(tmp_path, "work", files)
    made = derive.derive(tmp_path, config.parse(ESTATE), NOON)
    rows = connect.connect(tmp_path, made).sql("SELECT path FROM files WHERE last_active_at IS NOT NULL ORDER BY path").fetchall()
    assert rows == [("changed",), ("trusted",)]


LATE: dict[str, Any] = {
    "volumes": {"work": {"url": "/work"}, "copy": {"url": "/copy", "role": "backup"}},
    "classes": {"default": {"waive": list(THREATS), "max_copy_age": "30d"}},
}


def write_changed_since_the_copy(root: Path, at: datetime.datetime) -> None:
    write_scan(root, "work", {"plan": {}}, at)
    write_scan(root, "copy", {"plan": {"size_bytes": 9}}, at)


def statuses(root: Path, made: snapshot.Snapshot) -> list[tuple[object, ...]]:
    return connect.connect(root, made).sql("SELECT path, status, first_seen_at FROM assets ORDER BY path").fetchall()


@pytest.mark.slow
def test_a_volume_that_was_out_of_the_configuration_for_a_time_holds_no_new_files(tmp_path: Path) -> None:
    write_changed_since_the_copy(tmp_path, NOON)
    derive.derive(tmp_path, config.parse(LATE), NOON)
    derive.derive(tmp_path, config.parse(LATE | {"volumes": {"copy": LATE["volumes"]["copy"]}}), NOON + DAY)
    write_changed_since_the_copy(tmp_path, NOON + 2 * DAY)
    made = derive.derive(tmp_path, config.parse(LATE), NOON + 2 * DAY)
    assert statuses(tmp_path, made) == [("plan", "unprotected", NOON)]


def test_a_file_is_no_newer_where_an_earlier_scan_was_never_derived(tmp_path: Path) -> None:
    write_changed_since_the_copy(tmp_path, NOON)
    write_changed_since_the_copy(tmp_path, NOON + DAY)
    made = derive.derive(tmp_path, config.parse(LATE), NOON + DAY)
    assert statuses(tmp_path, made) == [("plan", "unprotected", NOON)]


@pytest.mark.slow
def test_an_older_snapshot_says_the_same_where_those_before_it_are_not_stored(tmp_path: Path) -> None:
    made = []
    for day in range(4):
        paths: dict[str, dict[str, Any]] = {name: {} for name in ("plan", *(f"new-{n}" for n in range(1, day + 1)))}
        written = {"modified_at": NOON + DAY, "changed_at": NOON + DAY}
        write_scan(tmp_path, "work", {name: written if name == "new-1" else given for name, given in paths.items()}, NOON + day * DAY)
        write_scan(tmp_path, "copy", {"plan": {"size_bytes": 9}, "new-1": {"size_bytes": 9, **written}}, NOON + day * DAY)
        made.append(derive.derive(tmp_path, config.parse(LATE), NOON + day * DAY))
    before = statuses(tmp_path, made[2])
    assert before == [("new-1", "protected", NOON + DAY), ("new-2", "unprotected", NOON + 2 * DAY), ("plan", "unprotected", NOON)]
    for name in DERIVED:
        shutil.rmtree(tmp_path / name)
    assert statuses(tmp_path, made[2]) == before


def test_a_condition_stands_beside_a_label_table(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("volume,path,data_class\nwork,a/,vital\nwork,b,vital\n")
    data = ESTATE | {
        "classes": {"vital": {}},
        "labels": [{"table": "labels.csv"}, {"where": "path LIKE 'a/%' AND volume = 'work' AND owner = 'root' AND dir = 'a/'", "owner": "zoe"}],
    }
    root = tmp_path / "catalog"
    write_scan(root, "work", {"a/one": {"owner": "root"}, "b": {"owner": "root"}})
    made = derive.derive(root, config.parse(data, tmp_path / "lastcopy.toml"), NOON)
    rows = connect.connect(root, made).sql("SELECT path, owner, data_class FROM files ORDER BY path").fetchall()
    assert rows == [("a/one", "zoe", "vital"), ("b", "root", "vital")]


def test_more_classes_than_can_be_told_apart_are_refused(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"file-1": {}})
    many: dict[str, dict[str, int]] = {f"project-{number}": {} for number in range(derive.labels.MAX_CLASSES)}
    with pytest.raises(ConfigError, match="4097 classes, at most 4096"):
        derive.derive(tmp_path, config.parse(ESTATE | {"classes": many}), NOON)


def test_what_was_made_while_the_clock_was_ahead_hides_nothing_after_it(tmp_path: Path) -> None:
    ahead = NOON + 4000 * DAY
    wrong = write_scan(tmp_path, "work", {"plan": {}}, ahead)
    derive.derive(tmp_path, config.parse(ESTATE), ahead)
    right = write_scan(tmp_path, "work", {"other": {}}, NOON, previous_scan_id=wrong)
    made = derive.derive(tmp_path, config.parse(ESTATE), NOON)
    assert made.scans == {"work": right}
    assert snapshot.find(tmp_path) == made


@pytest.mark.slow
def test_a_file_that_was_first_seen_while_the_clock_was_ahead_is_no_newer_than_it_is(tmp_path: Path) -> None:
    data = config.parse(ESTATE | {"classes": {"default": {"max_copy_age": "24h"}}})
    first = write_scan(tmp_path, "work", {"other": {}}, NOON - 2 * DAY)
    wrong = write_scan(tmp_path, "work", {"plan": {}}, NOON + 4000 * DAY, previous_scan_id=first)
    derive.derive(tmp_path, data, NOON + 4000 * DAY)
    right = write_scan(tmp_path, "work", {"plan": {}}, NOON, previous_scan_id=wrong)
    derive.derive(tmp_path, data, NOON)
    later = NOON + 3 * DAY
    write_scan(tmp_path, "work", {"plan": {}}, later, previous_scan_id=right)
    write_scan(tmp_path, "copy", {"plan": {"size_bytes": 9}}, later)
    made = derive.derive(tmp_path, data, later)
    rows = connect.connect(tmp_path, made).sql("SELECT path, first_seen_at, status, reasons FROM assets").fetchall()
    assert rows == [("plan", NOON, "unprotected", "changed_since_copy")]


def test_where_a_table_cannot_be_committed_no_later_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scan(tmp_path, "work", {"plan": {}})
    made = table.commit

    def full(root: Path, name: str, files: list[table.NewFile], app_id: str, replaced: Sequence[str] = ()) -> int:
        if name == "verdicts":
            raise OSError(errno.ENOSPC, "no space left on device")
        return made(root, name, files, app_id, replaced)

    monkeypatch.setattr(table, "commit", full)
    with pytest.raises(OSError, match="no space"):
        derive.derive(tmp_path, config.parse(ESTATE), NOON)
    assert [name for name in DERIVED if table.files(tmp_path, name)] == ["copies", "duplicate_groups"]
    assert not snapshot.snapshots(tmp_path)


def test_a_class_that_nobody_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,data_class\na/,vitall\n")
    data = ESTATE | {"classes": {"vital": {"copies": 2}}, "labels": [{"table": "labels.csv"}]}
    root = tmp_path / "catalog"
    write_scan(root, "work", {"a/one": {}})
    with pytest.raises(ConfigError, match="no class 'vitall'; classes are vital, default"):
        derive.derive(root, config.parse(data, tmp_path / "lastcopy.toml"), NOON)
    with pytest.raises(ConfigError, match=r"labels\.0\.data_class"):
        config.parse(ESTATE | {"labels": [{"where": "TRUE", "data_class": "vital"}]})


def test_a_label_row_that_names_the_volume_goes_before_one_for_all(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,volume,owner\na/one,,alice\na/one,work,zoe\na/one,copy,bob\n")
    root = tmp_path / "catalog"
    write_scan(root, "work", {"a/one": {}})
    made = derive.derive(root, config.parse(ESTATE | {"labels": [{"table": "labels.csv"}]}, tmp_path / "lastcopy.toml"), NOON)
    assert connect.connect(root, made).sql("SELECT owner FROM files").fetchall() == [("zoe",)]
