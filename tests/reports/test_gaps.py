"""What is missing first."""

import reports
from tests.reports.conftest import Estate, answer


def test_an_asset_counts_at_its_first_missing_condition_of_each_threat(estate: Estate) -> None:
    connection = estate(
        files=[
            {"path": "a", "size_bytes": 5, "ransomware": "no", "ransomware_reasons": "conflict,not_immutable_or_offline", "user_error": "yes"},
            {"path": "b", "size_bytes": 7, "ransomware": "unknown", "ransomware_reasons": "scan_incomplete", "user_error": "yes"},
        ]
    )
    found = answer(reports.load("gaps").run(connection, where="threat IN ('ransomware', 'user_error')"))
    assert found == [("ransomware", "scan_incomplete", "unknown", 1, 7, 1), ("ransomware", "conflict", "no", 1, 5, 1)]


def test_a_threat_that_the_class_waives_is_no_gap(estate: Estate) -> None:
    connection = estate(files=[{"path": "a"}], classes=[{"data_class": "default", "waive": ["ransomware", "user_error"]}])
    assert answer(reports.load("gaps").run(connection), "threat") == [("system_failure",), ("facility_outage",)]


def test_what_survives_is_no_gap(estate: Estate) -> None:
    connection = estate(files=[{"path": "a", "user_error": "yes", "ransomware": "yes", "system_failure": "yes", "facility_outage": "yes"}])
    assert answer(reports.load("gaps").run(connection)) == []
