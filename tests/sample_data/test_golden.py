"""Every report over the sample estate, as it was when a person last read it. `make golden` writes the files anew: read the diff.

What differs from run to run or from disk to disk is left out: times, ages in hours, ids, and what space takes on this file system.
"""

import os
import pwd
import re
from pathlib import Path

import polars as pl
import pytest

import lastcopy
import reports
from tests.sample_data.conftest import Demo

GOLDEN = Path(__file__).parent / "golden"
# There is no earlier snapshot to compare with, and costs and savings are of what each file takes on this file system.
NAMES = [name for name in reports.names() if name not in ("changes", "clean-copies", "costs", "ransomware-signals", "savings")]
BY_THE_ACCESS_TIME = {"ageing", "dormant-copies", "folders", "growth", "overview"}
_VARYING = re.compile(
    r".*_at|as_of|scan_id|snapshot_id|allocated_bytes|capacity_bytes|free_bytes|paid_bytes|.*cost.*|days_left|scan_age_days|oldest_days|.*_hours"
)


def _stable(answer: pl.DataFrame) -> str:
    user = pwd.getpwuid(os.geteuid()).pw_name
    kept = answer.select(name for name in answer.columns if not _VARYING.fullmatch(name))
    texts = [pl.col(name).replace({user: "(who built it)"}) for name in ("owner", "name") if name in kept.columns]
    return kept.with_columns(texts).write_csv()


@pytest.mark.parametrize("name", NAMES)
def test_golden_answers_are_given_again(demo: Demo, name: str) -> None:
    with lastcopy.open(str(demo.folder / "catalog")) as catalog:
        clocks = set(catalog.sql("SELECT clock FROM volumes WHERE clock IS NOT NULL")["clock"])
        if name in BY_THE_ACCESS_TIME and clocks != {"accessed"}:
            pytest.skip("this file system records no reads, so other files are dormant")
        text = _stable(catalog.report(name))
    file = GOLDEN / f"{name}.csv"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


def test_no_golden_file_outlives_its_report() -> None:
    assert sorted(file.stem for file in GOLDEN.glob("*.csv")) == NAMES
