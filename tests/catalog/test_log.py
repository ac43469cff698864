"""The log as it is replayed here says what the engine of Delta tables says."""

import json
import urllib.parse
import warnings
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from catalog import log, table
from catalog.errors import CatalogError
from catalog.schema import PROBLEMS


def _append(root: Path, number: int) -> None:
    rows = pa.Table.from_pylist([{"path": f"{number}", "stage": "stat", "error": "gone", "errno": 2}], PROBLEMS)
    table.append(root, "problems", rows, f"app-{number}", {"scan_id": f"s{number % 2}", "volume": "work"})


def _agrees(root: Path, version: int | None = None) -> bool:
    delta = deltalake.DeltaTable(str(root / "problems"), version=version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        theirs = sorted(urllib.parse.unquote(uri) for uri in delta.file_uris())
    ours = log.replay(root / "problems", version)
    columns = frozenset(column.name for column in delta.schema().fields)
    return (ours.version, ours.columns) == (delta.version(), columns) and table.files(root, "problems", version) == theirs


def test_every_version_is_read_as_the_engine_reads_it(tmp_path: Path) -> None:
    root = tmp_path / "a catalog"
    for number in range(3):
        _append(root, number)
    assert all(_agrees(root, version) for version in (None, 0, 1, 2, 3))


def test_files_that_a_maintenance_run_replaced_are_not_read(tmp_path: Path) -> None:
    for number in range(4):
        _append(tmp_path, number)
    deltalake.DeltaTable(str(tmp_path / "problems")).optimize.compact()
    assert len(table.files(tmp_path, "problems")) == 2
    assert _agrees(tmp_path)
    assert _agrees(tmp_path, 4)


def test_a_checkpoint_stands_for_the_commits_before_it(tmp_path: Path) -> None:
    for number in range(4):
        _append(tmp_path, number)
    deltalake.DeltaTable(str(tmp_path / "problems")).create_checkpoint()
    for old in range(4):
        (tmp_path / "problems" / log.FOLDER / f"{old:020d}.json").unlink()
    _append(tmp_path, 4)
    assert log.replay(tmp_path / "problems").app_ids == {f"app-{number}" for number in range(5)}
    assert _agrees(tmp_path)
    _append(tmp_path, 0)  # its application id is in the checkpoint only
    assert table.version(tmp_path, "problems") == 5


def test_a_hundred_commits_and_the_checkpoint_that_the_engine_makes_by_itself_are_read(tmp_path: Path) -> None:
    for number in range(101):
        _append(tmp_path, number)
    assert list((tmp_path / "problems" / log.FOLDER).glob("*.checkpoint.parquet"))
    assert _agrees(tmp_path)
    assert _agrees(tmp_path, 50)


def test_a_log_with_a_gap_is_damaged(tmp_path: Path) -> None:
    for number in range(3):
        _append(tmp_path, number)
    (tmp_path / "problems" / log.FOLDER / f"{2:020d}.json").unlink()
    with pytest.raises(CatalogError, match="not readable"):
        table.files(tmp_path, "problems")


@pytest.mark.parametrize("path", ["/etc/passwd", "s3://bucket/part.parquet", "file:///etc/passwd", "x/../../../etc/passwd"])
def test_a_file_outside_of_the_table_is_refused(path: str, tmp_path: Path) -> None:
    _append(tmp_path, 0)
    added = {"add": {"path": path, "partitionValues": {"scan_id": "s1", "volume": "work"}, "size": 1, "modificationTime": 0, "dataChange": True}}
    (tmp_path / "problems" / log.FOLDER / f"{2:020d}.json").write_text(json.dumps(added))
    with pytest.raises(CatalogError, match="lies elsewhere"):
        table.files(tmp_path, "problems")


@pytest.mark.parametrize(("least", "said"), [(2, "columnMapping"), (4, "reader version 4")])
def test_a_table_for_readers_that_know_more_is_refused(least: int, said: str, tmp_path: Path) -> None:
    _append(tmp_path, 0)
    protocol = {"protocol": {"minReaderVersion": least, "minWriterVersion": 7}}
    (tmp_path / "problems" / log.FOLDER / f"{2:020d}.json").write_text(json.dumps(protocol))
    with pytest.raises(CatalogError, match=said):
        table.files(tmp_path, "problems")


def test_a_table_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    _append(tmp_path, 0)
    before = table.files(tmp_path, "problems")
    (tmp_path / "problems").rename(tmp_path / "old")
    _append(tmp_path, 0)
    assert table.files(tmp_path, "problems") != before
