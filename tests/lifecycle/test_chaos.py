"""The short sweeps of faults against the real programs: what each loses, and that Lastcopy loses nothing. `make chaos` runs every point."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAMS = {"strace": "strace", "mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs", "fusermount3": "fuse3", "rsync": "rsync", "rclone": "rclone"}
_GROUPS = ("archive", "copy")
_SLOW_GROUPS = (
    "undo",
    "targets",
    "archive-stubs",
    "recall",
    "purge",
    "dedupe",
    "dedupe-links",
    "dedupe-clones",
    "undo-dedupe",
    "writers",
    "mutants",
    "raced-mutants",
    "engines",
    "removals",
    "purges",
    "to-buckets",
    "to-hosts",
    "to-shares",
    "peers",
)


def _missing() -> str | None:
    """Why the sweeps cannot be run here, and the line that mends it."""
    if os.geteuid() or not os.path.exists("/dev/loop-control") or not os.path.exists("/dev/fuse"):
        return "the sweeps mount file systems of their own: run them as root, with /dev/loop-control and /dev/fuse"
    packages = [package for program, package in _PROGRAMS.items() if not shutil.which(program)]
    return f"apt-get install -y {' '.join(packages)}" if packages else None


@pytest.mark.parametrize("group", [*_GROUPS, *(pytest.param(name, marks=pytest.mark.slow) for name in _SLOW_GROUPS)])
def test_no_fault_of_the_short_sweeps_loses_a_file_and_every_mutant_is_caught(group: str, tmp_path: Path) -> None:
    missing = _missing()
    if missing:
        assert not os.environ.get("REQUIRE_SERVERS"), missing
        pytest.skip(missing)
    told = tmp_path / "rows.json"
    command = [sys.executable, "-m", "tests.lifecycle.chaos", "--short", "--only", group, "--json", str(told)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr[-4000:]}"
    rows = json.loads(told.read_text())
    assert rows
    assert all(row["chosen"] for row in rows)


def test_every_group_of_sweeps_is_run_by_a_test() -> None:
    from tests.lifecycle.chaos.suite import GROUPS

    assert {*_GROUPS, *_SLOW_GROUPS} == set(GROUPS)


def test_every_mutant_is_swept_and_there_are_at_least_twelve() -> None:
    from tests.lifecycle.chaos.mutants import MUTANTS

    text = (Path(__file__).parent / "chaos" / "suite.py").read_text("utf-8")
    assert len(MUTANTS) >= 12
    assert [name for name in MUTANTS if f'"{name}"' not in text] == []
