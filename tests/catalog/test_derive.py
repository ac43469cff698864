"""Snapshots: published once, found by day, derived again with the configuration of their day."""

import datetime
import shutil
from pathlib import Path

import pytest

from catalog import config, connect, derive, schema, snapshot, table
from catalog.errors import NotFoundError, RefusedError
from catalog.schema import DERIVED
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


def test_a_snapshot_is_found_by_id_and_by_day(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"a": {}})
    made = [derive.derive(tmp_path, config.parse(ESTATE), NOON + n * DAY) for n in range(3)]
    assert snapshot.find(tmp_path).snapshot_id == made[2].snapshot_id
    assert snapshot.find(tmp_path, made[0].snapshot_id) == made[0]
    assert snapshot.find(tmp_path, "2026-03-02").snapshot_id == made[1].snapshot_id
    assert snapshot.find(tmp_path, "2026-04-01").snapshot_id == made[2].snapshot_id
    with pytest.raises(NotFoundError, match="the oldest is"):
        snapshot.find(tmp_path, "2026-02-28")


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
    files = {
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
