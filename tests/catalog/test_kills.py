"""A run on a catalog that is killed leaves it whole. All points, by hand: `python -m tests.catalog.kills compact`, `expire`, and `thin`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("work", ["compact", "expire", "thin"])
def test_killed_at_a_system_call_it_leaves_a_whole_catalog(work: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.catalog.kills", work, "6"], cwd=Path(__file__).parents[2], capture_output=True, check=False, text=True)
    assert (done.returncode, " 0 wrong" in done.stdout) == (0, True), done.stdout + done.stderr
