"""The truth table, held against the independent computation and against the derivation in SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import pytest

from catalog.config import Control
from catalog.words import REASONS
from tests.protection import bare
from tests.protection.compare import disagreeing_copies, disagreeing_duplicates, disagreements
from tests.protection.merged import merge, packs
from tests.protection.oracle import Verdict, judge
from tests.protection.requirement import THREATS
from tests.protection.table import ASSET, Row, rows

ROWS = rows()


@dataclass(frozen=True)
class Derived:
    """What the derivation says of the table's estates, by case."""

    rows: dict[str, Mapping[str, Any] | None]  # None: no file, as of a pointer
    differences: list[str]


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


def derived_findings(row: Mapping[str, Any] | None) -> dict[str, str]:
    """A derived row in the words of the table."""
    if row is None or not row["is_asset"]:
        return {"status": "not an asset"}
    counts = [row[count] for count in ("copies", "systems", "sites", "offline_or_immutable_copies")]
    return {
        "status": row["status"],
        **{threat: " ".join(filter(None, [row[threat], *row[f"{threat}_reasons"].split(",")])) for threat in THREATS},
        "freshness": row["freshness"],
        "counts": "/".join(map(str, counts)),
        "level": "" if row["verification_level"] is None else str(row["verification_level"]),
        "not_met": row["not_met"].replace(",", " "),
        "unknown": row["unknown_controls"].replace(",", " "),
    }


def expected(row: Row) -> dict[str, str]:
    """What the table says of a case; of a file that is no asset nothing more."""
    return {"status": row.expected["status"]} if row.expected["status"] == "not an asset" else row.expected


@pytest.fixture(scope="module")
def derived(tmp_path_factory: pytest.TempPathFactory) -> Derived:
    """The derived row of each case's asset, and all that differs from the independent computation; many cases are judged in one run."""
    connection = bare.connect(tmp_path_factory.mktemp("table"))
    found = Derived({}, [])
    cases = iter(ROWS)
    for pack in packs([row.estate for row in ROWS]):
        estate = merge(pack)
        files = bare.files(connection, estate)
        by_path = {(row["volume"], row["dir"] + row["name"]): row for row in files}
        found.rows.update({next(cases).case: by_path.get((f"e{place}-a", ASSET)) for place in range(len(pack))})
        found.differences.extend(disagreements(estate, files))
        found.differences.extend(disagreeing_copies(estate, bare.rows_of(connection, "copies")))
        found.differences.extend(disagreeing_duplicates(estate, bare.rows_of(connection, "duplicate_groups")))
    connection.close()
    return found


@pytest.mark.parametrize("row", ROWS, ids=[row.case for row in ROWS])
def test_the_independent_computation_gives_the_table(row: Row) -> None:
    assert findings(judge(row.estate).get(("a", ASSET))) == expected(row)


@pytest.mark.parametrize("row", ROWS, ids=[row.case for row in ROWS])
def test_the_derivation_gives_the_table(row: Row, derived: Derived) -> None:
    assert derived_findings(derived.rows[row.case]) == expected(row)


def test_the_derivation_and_the_independent_computation_agree_on_all_that_the_table_does_not_say(derived: Derived) -> None:
    assert derived.differences == []


def test_the_table_shows_each_reason_with_each_value_that_it_can_have() -> None:
    shown = {(cell.split()[0], reason) for row in ROWS for threat in THREATS for cell in [row.expected[threat]] for reason in cell.split()[1:]}
    only_unknown = {"volume_not_scanned", "scan_incomplete", "path_not_mapped", "metadata_match_only", "never_verified", "verification_too_old"}
    three_valued = {"same_system_only", "same_site_only", "mirror_only", "not_immutable_or_offline", "key_lost"}
    assert {reason for value, reason in shown if value == "no"} >= set(REASONS) - only_unknown
    assert {reason for value, reason in shown if value == "unknown"} >= only_unknown | three_valued


def test_the_table_shows_each_control_met_missed_and_unknown() -> None:
    missed = {control for row in ROWS for control in row.expected["not_met"].split()}
    unknown = {control for row in ROWS for control in row.expected["unknown"].split()}
    verdicts = [verdict for row in ROWS if (verdict := judge(row.estate).get(("a", ASSET)))]
    met = {control for verdict in verdicts for control, result in verdict.controls.items() if result == "met"}
    assert missed == met == set(get_args(Control))
    assert unknown == missed
