"""What is damaged in a catalog is found, named, and nothing else is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import integrity, inventory, log, table
from catalog.integrity import Finding
from catalog.schema import DERIVED, SCANS, TABLES
from tests.catalog import kept


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "catalog"
    kept.grow(root, 3)
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "catalog")
    return tmp_path / "catalog"


def errors(root: Path, *, contents: bool = False) -> list[Finding]:
    return [finding for finding in integrity.verify(root, contents=contents)[0] if finding.state == "error"]


def first(root: Path, name: str) -> Path:
    return Path(table.files(root, name)[0])


def test_a_whole_catalog_has_no_finding(whole: Path) -> None:
    findings, looked = integrity.verify(whole, contents=True)
    assert findings == []
    assert looked.files == sum(len(table.files(whole, name)) for name in TABLES)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def overwrite(file: Path) -> None:
    file.write_bytes(b"\0" * file.stat().st_size)


def with_other_rows(file: Path) -> None:
    rows = pq.read_table(file)
    pq.write_table(pa.concat_tables([rows, rows]), file)
    told(file, file.stat().st_size)


def with_other_columns(file: Path) -> None:
    rows = pq.read_table(file)
    pq.write_table(rows.drop_columns(rows.column_names[:1]), file)
    told(file, file.stat().st_size)


def told(file: Path, size_bytes: int) -> None:
    """Let the log tell another size of a file, as who forges one would."""
    folder = next(parent for parent in file.parents if (parent / log.FOLDER).is_dir())
    for commit in (folder / log.FOLDER).glob("*.json"):
        lines = [json.loads(line) for line in commit.read_text("utf-8").splitlines()]
        for added in (line["add"] for line in lines if "add" in line):
            added["size"] = size_bytes if added["path"].endswith(file.name) else added["size"]
        commit.write_text("\n".join(map(json.dumps, lines)), "utf-8")


@pytest.mark.parametrize("name", ["entries", "digests", "snapshots", "scans", "files"])
@pytest.mark.parametrize(
    ("damage", "check"), [(Path.unlink, "missing"), (cut, "size"), (overwrite, "unreadable"), (with_other_rows, "rows"), (with_other_columns, "schema")]
)
def test_a_damaged_file_is_named_with_what_to_do(damage: Callable[[Path], None], check: str, name: str, root: Path) -> None:
    file = first(root, name)
    damage(file)
    log._replayed.cache_clear()
    found = [finding for finding in errors(root) if finding.check == check]
    assert [(finding.table, finding.file) for finding in found] == [(name, str(file.relative_to(root)))]
    assert "backup" in found[0].mend


def test_rows_that_cannot_be_decoded_are_found_where_contents_are_asked_for(root: Path) -> None:
    file = first(root, "entries")
    content = bytearray(file.read_bytes())
    content[4:200] = bytes(196)  # the first pages; the end of the file, which tells the columns, is whole
    file.write_bytes(content)
    assert errors(root) == []
    assert [finding.check for finding in errors(root, contents=True)] == ["unreadable"]


def test_a_file_that_only_an_older_snapshot_needs_is_missed_too(root: Path) -> None:
    file = first(root, "digests")
    table.commit(root, "digests", [], "gone", [str(file)])
    assert errors(root) == []
    file.unlink()
    assert [(finding.check, finding.file) for finding in errors(root)] == [("missing", str(file.relative_to(root)))]


def test_files_that_no_log_names_are_told_and_are_no_error(root: Path) -> None:
    table.write(root, "scans", SCANS.empty_table())
    [finding] = integrity.verify(root)[0]
    assert (finding.table, finding.state, finding.check) == ("scans", "note", "others")
    assert next(row for row in inventory.tables(root) if row["table"] == "scans")["other_files"] == 1


def test_a_scan_with_fewer_entries_than_it_published_is_found(root: Path) -> None:
    table.commit(root, "entries", [], "gone", [str(first(root, "entries"))])
    assert [finding.check for finding in errors(root)] == ["entries"]


def test_a_log_that_lacks_a_commit_is_named(root: Path) -> None:
    (root / "digests" / log.FOLDER / f"{3:020d}.json").unlink()
    assert {(finding.table, finding.check) for finding in errors(root)} == {("digests", "log")}


def test_a_table_that_is_gone_and_that_snapshots_read_is_named(root: Path) -> None:
    shutil.rmtree(root / "digests")
    assert [(finding.table, finding.check) for finding in errors(root)] == [("digests", "log")]


def test_a_snapshot_whose_configuration_was_changed_is_named(root: Path) -> None:
    rows = table.read(root, "snapshots")
    changed = rows.set_column(rows.schema.get_field_index("config_hash"), "config_hash", pa.array(["0" * 64] * rows.num_rows))
    table.commit(root, "snapshots", [table.write(root, "snapshots", changed)], "changed", table.files(root, "snapshots"))
    assert [finding.check for finding in errors(root)] == ["configuration"] * 3


def test_derived_rows_that_are_not_stored_are_told_and_are_no_error(root: Path) -> None:
    oldest = inventory.snapshots(root)[0]["snapshot_id"]
    for name in DERIVED:
        table.commit(root, name, [], "gone", table.files(root, name, snapshot_id=[str(oldest)]))
    assert [(finding.state, finding.check) for finding in integrity.verify(root)[0]] == [("note", "derived")]
    assert [row["derived_stored"] for row in inventory.snapshots(root)] == [False, True, True]


def test_the_oldest_and_the_newest_good_scan_of_each_volume_are_listed(whole: Path) -> None:
    assert [(row["volume"], row["scans"], row["oldest_scan"], row["newest_scan"]) for row in inventory.volumes(whole)] == [
        ("copy", 3, "20260301T120000-copy", "20260303T120000-copy"),
        ("work", 3, "20260301T120000-work", "20260303T120000-work"),
    ]
