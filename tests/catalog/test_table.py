"""Tables: a commit is all or nothing, happens once, and what another tool wrote is not misread."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from catalog import table
from catalog.errors import CatalogError, ConfigError
from catalog.schema import PROBLEMS

ROWS = pa.Table.from_pylist([{"path": "a", "stage": "stat", "error": "gone", "errno": 2}], PROBLEMS)
WHERE = {"scan_id": "s1", "volume": "work"}


def test_a_commit_that_is_repeated_adds_nothing(tmp_path: Path) -> None:
    first = table.append(tmp_path, "problems", ROWS, "one", WHERE)
    again = table.append(tmp_path, "problems", ROWS, "one", WHERE)
    assert (first, again) == (1, 1)
    assert table.read(tmp_path, "problems").num_rows == 1


def test_a_file_that_was_not_committed_does_not_exist(tmp_path: Path) -> None:
    table.append(tmp_path, "problems", ROWS, "one", WHERE)
    table.write(tmp_path, "problems", ROWS, WHERE)
    assert table.read(tmp_path, "problems").num_rows == 1


def test_an_older_version_is_read_as_it_was(tmp_path: Path) -> None:
    version = table.append(tmp_path, "problems", ROWS, "one", WHERE)
    table.append(tmp_path, "problems", ROWS, "two", WHERE | {"scan_id": "s2"})
    assert table.read(tmp_path, "problems", version=version).num_rows == 1
    assert table.read(tmp_path, "problems", scan_id=["s2"]).num_rows == 1
    assert table.read(tmp_path, "problems").num_rows == 2


def test_a_table_that_was_never_made_is_empty(tmp_path: Path) -> None:
    assert table.version(tmp_path, "problems") == -1
    assert table.files(tmp_path, "problems") == []
    assert table.read(tmp_path, "problems").num_rows == 0


@pytest.mark.parametrize("value", ["", "a/b", "a\nb", "é"])
def test_a_partition_value_that_could_leave_its_folder_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(CatalogError, match="partition value"):
        table.append(tmp_path, "problems", ROWS, "one", {"scan_id": "s1", "volume": value})


def test_deletion_vectors_of_another_tool_are_refused(tmp_path: Path) -> None:
    table.append(tmp_path, "problems", ROWS, "one", WHERE)
    features = ["timestampNtz", "deletionVectors"]
    protocol = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}}
    (tmp_path / "problems" / "_delta_log" / f"{2:020d}.json").write_text(json.dumps(protocol))
    with pytest.raises(CatalogError, match="deletionVectors"):
        table.files(tmp_path, "problems")


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    table.append(tmp_path, "problems", ROWS, "one", WHERE)
    (tmp_path / "problems" / "_delta_log" / f"{0:020d}.json").write_text("{not json")
    with pytest.raises(CatalogError, match="problems"):
        table.files(tmp_path, "problems")


@pytest.mark.parametrize("folder", ["volume=other", "name=x", "per%20cent"])
def test_a_catalog_below_a_folder_that_readers_take_for_a_column_is_refused(folder: str, tmp_path: Path) -> None:
    root = tmp_path / folder / "catalog"
    (tmp_path / folder).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / folder)
    for place in (root, tmp_path / "link" / "catalog"):
        with pytest.raises(ConfigError, match="cannot lie below"):
            table.append(place, "problems", ROWS, "one", WHERE)
        with pytest.raises(ConfigError, match="cannot lie below"):
            table.files(place, "problems")
    assert not (root / "problems" / "_delta_log").exists()


def test_a_table_of_another_version_is_refused(tmp_path: Path) -> None:
    table.append(tmp_path, "problems", ROWS, "one", WHERE)
    log = tmp_path / "problems" / "_delta_log" / f"{0:020d}.json"
    log.write_text(log.read_text().replace("hides_below", "hid_below"))
    with pytest.raises(CatalogError, match="hides_below"):
        table.files(tmp_path, "problems")
