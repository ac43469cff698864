"""What the figures rest on: every process is counted, and the synthetic catalog holds what it says."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.compute as pc
import pytest
import xxhash

from benchmarks import coverage, synthetic
from benchmarks.measure import Command, CommandError, run
from catalog import config, table

ORPHAN = "import os\nif not os.fork():\n    os.setsid()\n    x = bytearray(60_000_000)\n    n = sum(range(4_000_000))\n    os._exit(0)"


def test_a_process_that_outlives_its_parent_is_counted() -> None:
    used = run(Command((sys.executable, "-c", ORPHAN)), sample_memory=True)
    alone = run(Command((sys.executable, "-c", "pass")))
    assert used.cpu_seconds > alone.cpu_seconds + 0.02
    assert used.peak_bytes > 50_000_000


def test_a_command_that_fails_gives_no_figure() -> None:
    with pytest.raises(CommandError, match="gone wrong"):
        run(Command((sys.executable, "-c", "raise SystemExit('gone wrong')")))


@pytest.mark.parametrize("write", [synthetic.write, coverage.write, partial(synthetic.write, parts=3)], ids=["synthetic", "coverage", "parts"])
def test_a_synthetic_catalog_holds_what_its_scans_say(tmp_path: Path, write: Callable[[Path, int], dict[str, int]]) -> None:
    folder = tmp_path / "estate"
    counts = write(folder, 3_000)
    loaded = config.load(folder / "lastcopy.toml")
    assert set(loaded.volumes) == set(counts)
    for scan in table.read(folder / "catalog", "scans").to_pylist():
        if scan["scan_id"].endswith("-earlier"):
            continue
        rows = table.read(folder / "catalog", "entries", scan_id=[scan["scan_id"]])
        paths = pc.binary_join_element_wise(rows["dir"].cast("string"), rows["name"], "").to_pylist()
        assert len(set(paths)) == counts[scan["volume"]] == scan["entries"] + scan["carried_entries"]
        assert rows["path_hash"].to_pylist() == [xxhash.xxh3_64_intdigest(path.encode()) % 2**48 for path in paths]


def test_the_same_seed_gives_the_same_estate(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        synthetic.write(tmp_path / name, 2_000, seed=7)
        made.append(
            [table.read(tmp_path / name / "catalog", what).sort_by([("path_hash", "ascending"), ("inode", "ascending")]) for what in ("entries", "digests")]
        )
    assert made[0][0].drop_columns(["entry_id"]).equals(made[1][0].drop_columns(["entry_id"]))
    assert made[0][1].num_rows == made[1][1].num_rows > 0
