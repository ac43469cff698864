"""The log as it is replayed here says what the engine of Delta tables says."""

import json
import os
import urllib.parse
import warnings
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
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


@pytest.mark.slow
def test_a_hundred_commits_and_the_checkpoint_that_the_engine_makes_by_itself_are_read(tmp_path: Path) -> None:
    for number in range(101):
        _append(tmp_path, number)
    assert list((tmp_path / "problems" / log.FOLDER).glob("*.checkpoint.parquet"))
    assert _agrees(tmp_path)
    assert _agrees(tmp_path, 50)


def test_commits_that_old_snapshots_are_read_at_are_kept_for_ever(tmp_path: Path) -> None:
    _append(tmp_path, 0)
    folder = tmp_path / "problems" / log.FOLDER
    [found] = [json.loads(line) for line in (folder / f"{0:020d}.json").read_text("utf-8").split("\n") if "metaData" in line]
    found["metaData"]["configuration"]["delta.checkpointInterval"] = "2"
    (folder / f"{2:020d}.json").write_text(json.dumps(found), "utf-8")
    for number in range(1, 8):
        for file in folder.iterdir():
            os.utime(file, (0, 0))
        _append(tmp_path, number)
    assert len(list(folder.glob("*.checkpoint.parquet"))) > 1
    assert all(_agrees(tmp_path, version) for version in range(10))


def _split_checkpoint(folder: Path, number: int) -> list[Path]:
    """The one file of a checkpoint made into two."""
    whole = folder / f"{number:020d}.checkpoint.parquet"
    rows = pq.read_table(whole)
    parts = [folder / f"{number:020d}.checkpoint.{part:010d}.{2:010d}.parquet" for part in (1, 2)]
    for file, part in zip(parts, (rows.slice(0, 3), rows.slice(3)), strict=True):
        pq.write_table(part, file)
    whole.unlink()
    return parts


def test_a_checkpoint_in_two_parts_counts_only_with_both(tmp_path: Path) -> None:
    for number in range(4):
        _append(tmp_path, number)
    wanted = table.files(tmp_path, "problems")
    deltalake.DeltaTable(str(tmp_path / "problems")).create_checkpoint()
    folder = tmp_path / "problems" / log.FOLDER
    parts = _split_checkpoint(folder, 4)
    commits = {number: (folder / f"{number:020d}.json").read_bytes() for number in range(4)}
    for number in commits:
        (folder / f"{number:020d}.json").unlink()
    assert log.replay(tmp_path / "problems").files.keys() == {str(Path(path).relative_to(tmp_path / "problems")) for path in wanted}
    parts[1].unlink()
    log._replayed.cache_clear()
    with pytest.raises(CatalogError, match="not readable"):
        table.files(tmp_path, "problems")
    for number, text in commits.items():
        (folder / f"{number:020d}.json").write_bytes(text)
    assert table.files(tmp_path, "problems") == wanted


def test_a_checkpoint_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    for number in range(2):
        _append(tmp_path, number)
    deltalake.DeltaTable(str(tmp_path / "problems")).create_checkpoint()
    (tmp_path / "problems" / log.FOLDER / f"{2:020d}.checkpoint.parquet#1").write_bytes(b"PAR1")
    assert _agrees(tmp_path)


def test_a_separator_of_lines_inside_a_commit_is_text(tmp_path: Path) -> None:
    _append(tmp_path, 0)
    said = {"commitInfo": {"operation": "WRITE", "userMetadata": "one\u2028two\x85three"}}
    (tmp_path / "problems" / log.FOLDER / f"{2:020d}.json").write_text(json.dumps(said, ensure_ascii=False), "utf-8")
    assert _agrees(tmp_path)


def test_a_table_that_is_gone_is_not_an_empty_one_for_who_knows_its_version(tmp_path: Path) -> None:
    _append(tmp_path, 0)
    (tmp_path / "problems").rename(tmp_path / "elsewhere")
    with pytest.raises(CatalogError, match="not readable"):
        table.files(tmp_path, "problems", 1)


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


def test_how_long_each_file_was_part_of_a_table_is_known(tmp_path: Path) -> None:
    for number in range(3):
        _append(tmp_path, number)
    [old] = table.files(tmp_path, "problems", 1)
    table.commit(tmp_path, "problems", [], "gone", [old])
    since, lives = log.lives(tmp_path / "problems")
    assert since == 0
    assert sorted((life.since, life.until) for found in lives.values() for life in found) == [(1, 4), (2, None), (3, None)]
    for version in range(5):
        there = {str(tmp_path / "problems" / path) for path, found in lives.items() if any(life.holds(version) for life in found)}
        assert sorted(there) == table.files(tmp_path, "problems", version)
    assert all(life.removed_ms for found in lives.values() for life in found if life.until)


def test_what_a_checkpoint_names_counts_as_having_been_there_always(tmp_path: Path) -> None:
    for number in range(3):
        _append(tmp_path, number)
    deltalake.DeltaTable(str(tmp_path / "problems")).create_checkpoint()
    for old in range(3):
        (tmp_path / "problems" / log.FOLDER / f"{old:020d}.json").unlink()
    _append(tmp_path, 3)
    since, lives = log.lives(tmp_path / "problems")
    assert (since, sorted(life.since for [life] in lives.values())) == (3, [0, 0, 0, 4])
    next((tmp_path / "problems" / log.FOLDER).glob("*.checkpoint.parquet")).unlink()
    with pytest.raises(ValueError, match="no checkpoint"):
        log.lives(tmp_path / "problems")
