"""How much memory a derivation takes: little by default, what the configuration says, and the same files in any."""

from pathlib import Path

import pytest

from catalog import config, connect, derive, table
from catalog.derive import export
from tests.catalog.estates import NOON, write_scan

MEBIBYTE = 1024**2


def test_without_a_limit_a_derivation_takes_little_memory_and_more_for_many_entries(tmp_path: Path) -> None:
    assert export.memory_bytes(derive._open(tmp_path, config.parse({}))) == 256 * MEBIBYTE
    assert export.memory_bytes(derive._open(tmp_path, config.parse({}), 8 * MEBIBYTE)) == 512 * MEBIBYTE


def test_a_limit_of_the_configuration_holds_as_it_is(tmp_path: Path) -> None:
    limited = config.parse({"catalog": {"memory_limit": "128 MiB"}})
    assert export.memory_bytes(derive._open(tmp_path, limited, 8 * MEBIBYTE)) == 128 * MEBIBYTE


@pytest.mark.slow
def test_files_that_are_written_in_shares_are_all_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_MEMORY_A_FILE_BYTES", 16 * MEBIBYTE)
    names = [f"folder-{number % 7}/file-{number:03}" for number in range(100)]
    write_scan(tmp_path, "work", {name: {} for name in names})
    made = derive.derive(tmp_path, config.parse({"volumes": {"work": {"url": "/work", "role": "primary"}}}), NOON)
    assert len(table.files(tmp_path, "files", snapshot_id=[made.snapshot_id])) > 1
    rows = connect.connect(tmp_path, made).sql("SELECT path FROM files ORDER BY path").fetchall()
    assert rows == [(name,) for name in sorted(names)]
