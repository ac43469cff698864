"""Figures for Prometheus: what is stored of the newest snapshot, and ages by the caller's clock."""

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

import reports
from lastcopy.service.tasks import State

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ASSETS = (("unprotected", "nothing protects"), ("unknown", "whose protection is unknown"), ("protected", "that meet their requirement"))
_TASK_STATES = get_args(State)


def text(
    connection: "DuckDBPyConnection",
    now: datetime.datetime,
    jobs: Sequence[dict[str, object]],
    tasks: Iterable[tuple[str, str]] = (),
    *,
    broken: bool = False,
) -> bytes:
    """The text of Prometheus. `now` is naive UTC; `jobs` are rows of the journal, `tasks` scheduled tasks and their states, `broken` of the configuration.

    What was cut from the connection is not there.
    """
    found = [*_snapshot(connection, now), *_volumes(connection, now), *_coverage(connection), *_assets(connection), *_space(connection), *_work(jobs, tasks)]
    found.append(_family("configuration_broken", "Whether the configuration cannot be read as it is now: an earlier one holds", (), [((), broken)]))
    registry = CollectorRegistry()
    registry.register(_Found(found))
    return generate_latest(registry)


class _Found(Collector):
    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """What was found."""
        return self._found


def _family(name: str, meaning: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], Any]]) -> Metric:
    family = GaugeMetricFamily(f"lastcopy_{name}", meaning, labels=labels)
    for values, number in rows:
        if number is not None:
            family.add_metric(values, float(number))
    return family


def _snapshot(connection: "DuckDBPyConnection", now: datetime.datetime) -> list[Metric]:
    [(as_of, complete)] = connection.execute("SELECT as_of, complete FROM snapshot").fetchall()
    return [
        _family("snapshot_timestamp_seconds", "The time that these figures are for", (), [((), _stamp(as_of))]),
        _family("snapshot_age_seconds", "How old they are", (), [((), (now - as_of).total_seconds())]),
        _family("snapshot_complete", "Whether every volume was read completely", (), [((), bool(complete))]),
    ]


def _volumes(connection: "DuckDBPyConnection", now: datetime.datetime) -> list[Metric]:
    rows = connection.execute("SELECT volume, scanned_at, state, problems, files, bytes, last_failed_at FROM volumes ORDER BY position").fetchall()
    named = ("volume",)
    return [
        _family("volume_scan_timestamp_seconds", "Start of the newest good scan", named, [((r[0],), _stamp(r[1])) for r in rows]),
        _family("volume_scan_age_seconds", "Age of the newest good scan", named, [((r[0],), r[1] and (now - r[1]).total_seconds()) for r in rows]),
        _family("volume_scan_complete", "Whether it read everything", named, [((r[0],), r[2] == "complete") for r in rows]),
        _family("volume_scan_errors", "What it could not read", named, [((r[0],), r[3] or 0) for r in rows]),
        _family("volume_scan_failed", "Whether a newer scan failed", named, [((r[0],), r[6] is not None and (r[1] is None or r[6] > r[1])) for r in rows]),
        _family("volume_files", "Files, hard links once", named, [((r[0],), r[4]) for r in rows]),
        _family("volume_bytes", "Their size", named, [((r[0],), r[5]) for r in rows]),
    ]


def _coverage(connection: "DuckDBPyConnection") -> list[Metric]:
    relation = reports.load("coverage").run(connection, {"by": "class"})
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    named = ("class", "threat")

    def ratio(part: str, whole: str) -> list[tuple[Sequence[str], Any]]:
        return [((row["name"], row["threat"]), row[part] / row[whole] if row[whole] else None) for row in rows]

    return [
        _family("coverage_ratio", "Assets that are known to survive; the unknown are not among them", named, ratio("covered_assets", "assets")),
        _family("coverage_bytes_ratio", "Bytes that are known to survive", named, ratio("covered_bytes", "bytes")),
        _family("coverage_unknown_ratio", "Assets of which it is not known", named, ratio("unknown_assets", "assets")),
        _family("coverage_waived", "Whether the class need not survive it", named, [((row["name"], row["threat"]), bool(row["waived"])) for row in rows]),
    ]


def _assets(connection: "DuckDBPyConnection") -> list[Metric]:
    sums = ", ".join(f"sum({word}_assets), sum({word}_bytes)" for word, _ in _ASSETS)
    query = f"""
        SELECT volume, data_class, {sums}, sum(dormant_year_bytes), sum(last_copies)
        FROM history WHERE snapshot_id = (SELECT snapshot_id FROM snapshot) GROUP BY ALL ORDER BY ALL
        """
    rows = connection.execute(query).fetchall()
    named = ("volume", "class")
    found = []
    for place, (word, meaning) in enumerate(_ASSETS):
        found.append(_family(f"{word}_assets", f"Assets {meaning}", named, [(r[:2], r[2 + 2 * place]) for r in rows]))
        found.append(_family(f"{word}_bytes", f"Bytes of assets {meaning}", named, [(r[:2], r[3 + 2 * place]) for r in rows]))
    last = 2 + 2 * len(_ASSETS)
    return [
        *found,
        _family("dormant_bytes", "Bytes that nobody used in the year before the scan", named, [(r[:2], r[last]) for r in rows]),
        _family("last_copies", "Files whose content nothing else is known to hold", named, [(r[:2], r[last + 1]) for r in rows]),
    ]


def _space(connection: "DuckDBPyConnection") -> list[Metric]:
    query = 'SELECT "scope", sum(reclaimable_bytes) FROM (SELECT DISTINCT "scope", digest, reclaimable_bytes FROM duplicate_groups) GROUP BY 1 ORDER BY 1'
    rows = connection.execute(query).fetchall()
    return [
        _family(
            "reclaimable_bytes", "What all but one of equal files take, on all primary volumes or on one other", ("scope",), [((r[0],), r[1]) for r in rows]
        )
    ]


def _work(jobs: Sequence[dict[str, object]], tasks: Iterable[tuple[str, str]]) -> list[Metric]:
    states = Counter(str(job["state"]) for job in jobs)
    return [
        _family("jobs", "Jobs by their state", ("state",), [((state,), number) for state, number in sorted(states.items())]),
        _family("job_failed_steps", "Steps that failed, of all jobs", (), [((), sum(int(str(job["failed"])) for job in jobs))] if jobs else []),
        _family(
            "task_state", "Whether a scheduled task is in that state", ("task", "state"), [((n, s), s == found) for n, found in tasks for s in _TASK_STATES]
        ),
    ]


def _stamp(moment: datetime.datetime | None) -> float | None:
    return None if moment is None else moment.replace(tzinfo=datetime.UTC).timestamp()
