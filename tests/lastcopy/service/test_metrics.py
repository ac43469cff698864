"""The metrics as the official client of Prometheus reads them: equal to the reports."""

import datetime

import duckdb
from prometheus_client.parser import text_string_to_metric_families

from lastcopy.service import metrics
from tests.lastcopy.program import ask
from tests.lastcopy.service.conftest import Served, bearer
from tests.reports.conftest import AS_OF, fill


def read(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_figures_are_those_of_the_reports(served: Served) -> None:
    answer = served.client.get("/metrics", headers=bearer("all"))
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = read(answer.text)
    for row in ask("report", "coverage", "--format", "json", folder=served.folder).data:
        key = (("class", row["name"]), ("threat", row["threat"]))
        if row["assets"]:
            assert found["lastcopy_coverage_ratio"][key] == row["covered_assets"] / row["assets"]
    for row in ask("report", "volumes", "--format", "json", folder=served.folder).data:
        volume = (("volume", row["volume"]),)
        assert found["lastcopy_volume_scan_errors"][volume] == (row["problems"] or 0)
        assert (volume in found["lastcopy_volume_scan_timestamp_seconds"]) == (row["scanned_at"] is not None)
    assert sum(found["lastcopy_unknown_assets"].values()) == 16
    assert "lastcopy_reclaimable_bytes" in found
    assert "lastcopy_dormant_bytes" in found


def test_a_limited_token_has_the_figures_of_its_part(served: Served) -> None:
    found = read(served.client.get("/metrics", headers=bearer("deep")).text)
    assert found["lastcopy_volume_files"] == {(("volume", "data"),): 1}
    assert sum(found["lastcopy_unknown_assets"].values()) == 1


def test_ages_are_by_the_clock_of_who_asks_and_hostile_names_are_text() -> None:
    volumes: list[dict[str, object]] = [{"volume": "projects"}, {"volume": "never", "scanned_at": None, "state": "never_scanned"}]
    connection = fill(duckdb.connect(), (), {"volumes": volumes, "classes": [{"data_class": 'a"b\\c\nd'}]})
    later = AS_OF + datetime.timedelta(hours=5)
    jobs: list[dict[str, object]] = [{"state": "open", "failed": 2}, {"state": "done", "failed": 0}]
    found = read(metrics.text(connection, later, jobs, [("nightly", "failed")]).decode())
    assert found["lastcopy_snapshot_age_seconds"][()] == 5 * 3600
    assert found["lastcopy_volume_scan_age_seconds"] == {(("volume", "projects"),): 7 * 3600}
    assert found["lastcopy_jobs"] == {(("state", "done"),): 1, (("state", "open"),): 1}
    assert found["lastcopy_job_failed_steps"][()] == 2
    assert [key for key, value in found["lastcopy_task_state"].items() if value] == [(("state", "failed"), ("task", "nightly"))]
    assert {dict(key)["class"] for key in found["lastcopy_coverage_waived"]} == {'a"b\\c\nd'}
