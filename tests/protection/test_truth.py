"""The truth table, held against the independent computation and against the derivation in SQL."""

import pytest

from tests.protection.oracle import Verdict, judge
from tests.protection.requirement import THREATS
from tests.protection.table import ASSET, Row, rows

ROWS = rows()


def findings(verdict: Verdict | None) -> dict[str, str]:
    """A verdict in the words of the table."""
    if verdict is None:
        return {"status": "not an asset"}
    counts = [verdict.counts[count] for count in ("copies", "systems", "sites", "offline_or_immutable")]
    return {
        "status": verdict.status,
        **{threat: " ".join([verdict.threats[threat][0], *verdict.threats[threat][1]]) for threat in THREATS},
        "freshness": verdict.freshness,
        "counts": "/".join(map(str, counts)),
        "level": "" if verdict.level is None else str(verdict.level),
        "not_met": " ".join(control for control, result in verdict.controls.items() if result == "not_met"),
        "unknown": " ".join(control for control, result in verdict.controls.items() if result == "unknown"),
    }


@pytest.mark.parametrize("row", ROWS, ids=[row.case for row in ROWS])
def test_the_independent_computation_gives_the_table(row: Row) -> None:
    found = findings(judge(row.estate).get(("a", ASSET)))
    assert found == {key: value for key, value in row.expected.items() if key in found}
