"""The gate: what it refuses, and with which words."""

import datetime
from pathlib import Path

import pytest

from catalog import config, connect, derive, snapshot
from catalog.errors import ConfigError
from reports import gate
from tests.catalog.estates import NOON, write_scan
from tests.reports.conftest import AS_OF, Estate

HOUR = datetime.timedelta(hours=1)


def kinds(found: gate.Gate) -> list[tuple[str, str]]:
    return [(finding.kind, finding.name) for finding in found.findings]


def test_an_estate_that_is_as_asked_meets_it(estate: Estate) -> None:
    connection = estate(files=[{"path": "a", **dict.fromkeys(("user_error", "ransomware", "system_failure", "facility_outage"), "yes")}])
    found = gate.check(connection, gate.Limits(100.0, 3 * 3600.0), AS_OF)
    assert found.met
    asked = "the newest scan of every volume is complete, and was judged; none is older than 3 h; 100 % of each class survive each threat"
    assert found.text() == f"Met: {asked}.\n"
    assert found.data() == {"met": True, "as_of": "2026-11-20T12:00:00Z", "findings": [], "waiting": 0}


def test_a_class_under_the_percentage_is_named_with_its_threat_and_unknown_is_not_covered(estate: Estate) -> None:
    connection = estate(
        files=[
            {"path": f"f{n}", "user_error": "yes", "ransomware": "yes" if n else "unknown", "facility_outage": "no", "system_failure": "yes"} for n in range(10)
        ],
        classes=[{"data_class": "default", "waive": ["facility_outage"]}, {"data_class": "empty"}],
    )
    found = gate.check(connection, gate.Limits(fail_under_pct=90.1), AS_OF)
    assert kinds(found) == [("coverage", "default, ransomware")]
    assert "90.0 % of 10 assets (1000 B) survive it, asked are 90.1 %, 1 unknown" in found.text()
    assert gate.check(connection, gate.Limits(fail_under_pct=90.0), AS_OF).met


def test_a_percentage_that_is_met_but_for_one_file_in_many_is_not_met(estate: Estate) -> None:
    connection = estate(
        files=[{"path": f"f{n}", "user_error": "yes" if n else "no"} for n in range(2001)],
        classes=[{"data_class": "default", "waive": ["ransomware", "system_failure", "facility_outage"]}],
    )
    assert not gate.check(connection, gate.Limits(fail_under_pct=100.0), AS_OF).met


def test_the_age_of_scans_is_counted_to_the_callers_clock(estate: Estate) -> None:
    connection = estate(volumes=[{"volume": "projects", "scanned_at": AS_OF - 2 * HOUR}, {"volume": "tape", "scanned_at": AS_OF - 50 * HOUR}])
    limits = gate.Limits(max_age_seconds=48 * 3600.0)
    assert kinds(gate.check(connection, limits, AS_OF)) == [("age", "tape")]
    assert kinds(gate.check(connection, limits, AS_OF + 47 * HOUR)) == [("age", "projects"), ("age", "tape")]


def test_volumes_that_are_incomplete_never_scanned_or_failed_since_are_found(estate: Estate) -> None:
    connection = estate(
        volumes=[
            {"volume": "a", "state": "incomplete", "problems": 3},
            {"volume": "b", "state": "never_scanned", "scanned_at": None},
            {"volume": "c", "last_error": "disk\x1b[31m error", "last_failed_at": AS_OF, "scanned_at": AS_OF - HOUR},
            {"volume": "d"},
        ]
    )
    found = gate.check(connection, gate.Limits(), AS_OF)
    assert kinds(found) == [("incomplete", "a"), ("never_scanned", "b"), ("failed", "c")]
    assert "\x1b" not in found.text()


def test_assets_that_became_unprotected_are_named(estate: Estate) -> None:
    connection = estate(
        before=[{"path": "was-safe", "status": "protected"}, {"path": "was-not"}],
        files=[{"path": "was-safe"}, {"path": "was-not"}, {"path": "new"}, {"path": "new-and-safe", "status": "protected"}],
    )
    assert kinds(gate.check(connection, gate.Limits(new=True), AS_OF)) == [("newly_unprotected", "projects:new"), ("newly_unprotected", "projects:was-safe")]
    assert gate.check(connection, gate.Limits(), AS_OF).met


def test_new_files_may_wait_for_their_first_copy_as_long_as_their_class_says_and_no_longer(estate: Estate) -> None:
    waits = {"freshness": "new_within_rpo"}
    connection = estate(
        before=[{"path": "waits-still", **waits}, {"path": "overdue", **waits}, {"path": "copy-went", "status": "protected"}],
        files=[{"path": "new", **waits}, {"path": "waits-still", **waits}, {"path": "overdue", "freshness": "unprotected"}, {"path": "copy-went", **waits}],
    )
    found = gate.check(connection, gate.Limits(new=True), AS_OF)
    assert kinds(found) == [("newly_unprotected", "projects:copy-went"), ("newly_unprotected", "projects:overdue")]
    assert "Waiting for their first copy, within the copy age of their class: 3 new files.\n" in found.text()
    assert found.data()["waiting"] == 3


def test_a_new_version_within_its_copy_age_is_not_newly_unprotected(estate: Estate) -> None:
    stale = {"freshness": "stale_within_rpo", "is_last_copy": True}
    connection = estate(
        before=[{"path": name, "status": "protected", "is_last_copy": False} for name in ("changed", "damaged")]
        + [{"path": name, "status": "partly", "is_last_copy": False} for name in ("in-part", "in-conflict")],
        files=[
            {"path": "changed", "status": "protected", **stale},
            {"path": "in-part", "status": "partly", "reasons": "mirror_only", **stale},
            {"path": "damaged", "status": "unprotected", "reasons": "conflict", **stale},
            {"path": "in-conflict", "status": "partly", "reasons": "conflict", **stale},
        ],
    )
    found = gate.check(connection, gate.Limits(new=True), AS_OF)
    assert kinds(found) == [("newly_unprotected", "projects:damaged"), ("newly_unprotected", "projects:in-conflict")]


def test_many_newly_unprotected_assets_are_cut_with_a_word(estate: Estate) -> None:
    connection = estate(files=[{"path": f"{n:04}"} for n in range(gate.SHOWN + 5)])
    found = gate.check(connection, gate.Limits(new=True), AS_OF)
    assert len(found.findings) == gate.SHOWN + 1
    assert found.findings[-1].name == "and more"


def test_without_an_earlier_snapshot_new_says_that_it_cannot_tell(estate: Estate) -> None:
    connection = estate(files=[{"path": "a"}], snapshot=[{"previous_snapshot_id": None}])
    found = gate.check(connection, gate.Limits(new=True), AS_OF)
    assert found.met
    assert "there is no earlier snapshot" in found.warnings[0]


def test_a_ratio_is_no_percentage() -> None:
    with pytest.raises(ConfigError, match="give a percentage from 0 to 100"):
        gate.Limits(fail_under_pct=101)


def test_a_snapshot_without_any_asset_is_not_covered(estate: Estate) -> None:
    found = gate.check(estate(files=[]), gate.Limits(fail_under_pct=1.0), AS_OF)
    assert kinds(found) == [("coverage", "all")]
    assert gate.check(estate(files=[]), gate.Limits(), AS_OF).met


def test_a_scan_of_the_future_has_no_known_age(estate: Estate) -> None:
    connection = estate(volumes=[{"volume": "ahead", "scanned_at": AS_OF + 2 * HOUR}, {"volume": "nearly", "scanned_at": AS_OF + HOUR / 2}])
    assert kinds(gate.check(connection, gate.Limits(max_age_seconds=3600.0), AS_OF)) == [("age", "ahead")]


def test_what_failed_or_was_declared_after_the_snapshot_is_found(tmp_path: Path) -> None:
    made = {"volumes": {name: {"url": f"/{name}"} for name in ("a", "b", "c")}}
    for name in made["volumes"]:
        write_scan(tmp_path, name, {"f": {}})
    newest = derive.derive(tmp_path, config.parse(made), NOON + HOUR)
    write_scan(tmp_path, "a", {}, NOON + 2 * HOUR, state="failed", error="disk gone")
    write_scan(tmp_path, "b", {}, NOON + 2 * HOUR, state="failed", error="disk gone")
    write_scan(tmp_path, "b", {"f": {}}, NOON + 3 * HOUR)
    since = gate.unseen(newest, snapshot.scans(tmp_path), ["a", "b", "c", "d"], NOON)
    assert [(finding.kind, finding.name) for finding in since] == [("failed", "a"), ("not_derived", "b"), ("never_scanned", "d")]
    assert "disk gone" in since[0].reason
    with connect.connect(tmp_path, newest) as connection:
        assert gate.check(connection, gate.Limits(), NOON + 4 * HOUR).met
        assert not gate.check(connection, gate.Limits(), NOON + 4 * HOUR, since).met


def test_a_scan_that_no_snapshot_has_is_found_until_one_has(tmp_path: Path) -> None:
    declared = config.parse({"volumes": {"data": {"url": "/data"}}})
    write_scan(tmp_path, "data", {"a": {}}, NOON)
    first = derive.derive(tmp_path, declared, NOON)
    assert gate.unseen(first, snapshot.scans(tmp_path), declared.volumes, NOON) == []
    write_scan(tmp_path, "data", {"b": {}}, NOON + HOUR)  # and then the derivation failed
    [found] = gate.unseen(first, snapshot.scans(tmp_path), declared.volumes, NOON)
    assert (found.kind, found.name) == ("not_derived", "data")
    second = derive.derive(tmp_path, declared, NOON + 2 * HOUR)
    assert gate.unseen(second, snapshot.scans(tmp_path), declared.volumes, NOON) == []


def test_what_was_judged_longer_ago_than_copies_may_take_is_not_met(tmp_path: Path) -> None:
    given = {"volumes": {"data": {"url": "/data"}}, "classes": {"default": {"max_copy_age": "3h"}, "slow": {"max_verification_age": "9h"}, "any": {}}}
    write_scan(tmp_path, "data", {"a": {}}, NOON)
    newest = derive.derive(tmp_path, config.parse(given), NOON)
    after = {hours: gate.unseen(newest, snapshot.scans(tmp_path), ["data"], NOON + hours * HOUR) for hours in (2, 4, 10)}
    assert {hours: [finding.name for finding in found] for hours, found in after.items()} == {2: [], 4: ["default"], 10: ["default", "slow"]}
    assert "judged 4 h ago, longer than its max_copy_age" in after[4][0].reason
