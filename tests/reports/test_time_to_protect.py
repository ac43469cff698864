"""Report `time-to-protect`: how long changes waited for their first copy, by hand and as an independent computation has it."""

import datetime
import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalog.config import parse
from tests.protection.oracle import Match, Verdict, judge
from tests.protection.plain import FLAGGED_MODIFIED, Estate, File, Scan
from tests.protection.table import AS_OF
from tests.reports.estates import many, opened, rows

DAY, HOUR, MINUTE = datetime.timedelta(days=1), datetime.timedelta(hours=1), datetime.timedelta(minutes=1)
FIRST = AS_OF - 30 * DAY


def file(path: str, size: int, modified: datetime.datetime, **more: Any) -> File:  # noqa: ANN401  # of any column
    return File(path, size, modified, **more)


def test_changes_wait_until_the_first_scan_or_recovery_point_that_shows_a_copy(tmp_path: Path) -> None:
    config = parse(
        {
            "volumes": {
                "home": {"url": "/h"},
                "mirror": {"url": "/m", "role": "replica", "of": ["home"]},
                "nightly": {"url": "/n", "role": "backup", "of": ["home"]},
            },
            "classes": {"default": {"max_copy_age": "36h"}},
        }
    )
    long_ago, lately, tonight = file("old", 1, AS_OF - 99 * DAY), file("new", 2, AS_OF - 3 * DAY), file("backed up", 3, AS_OF - 4 * DAY)
    edited, waits, late = file("edited", 4, AS_OF - 2 * DAY - MINUTE), file("waits", 5, AS_OF - 9 * HOUR), file("forgotten", 6, AS_OF - 6 * DAY)
    before = replace(edited, size=9, modified=AS_OF - 99 * DAY)
    point = AS_OF - 4 * DAY + 90 * MINUTE
    changed = (lately, tonight, edited, waits, late)
    scans: dict[str, tuple[Scan, ...]] = {
        "home": (Scan(FIRST, files=(long_ago, before)), Scan(AS_OF - HOUR, files=(long_ago, lately, tonight, edited, waits, late))),
        "mirror": (
            Scan(FIRST, files=(long_ago, before)),
            Scan(AS_OF - 5 * DAY, files=(long_ago, before)),
            Scan(AS_OF - HOUR, files=(long_ago, lately, edited)),
        ),
        "nightly": (Scan(AS_OF - HOUR, files=(replace(tonight, point=point, whole=True),), points=(AS_OF - 20 * DAY, point)),),
    }
    with opened(tmp_path, Estate(config, AS_OF, scans)) as connection:
        [row] = rows(connection, "time-to-protect")
        [volume] = rows(connection, "time-to-protect", by="volume")
        months = rows(connection, "time-to-protect", by="month")
        day = str((AS_OF - 3 * DAY).date())
        [of_a_day] = rows(connection, "time-to-protect", since=day, until=day)
        [lately_only] = rows(connection, "time-to-protect", since=str((AS_OF - 5 * DAY).date()))
        nothing = rows(connection, "time-to-protect", until="1999-12-31")
    # 'new' and 'edited' were there at the scan an hour ago, 71 h and 47 h after; 'backed up' 1.5 h after; when 'old' was copied nobody tells.
    assert {name: row[name] for name in ("assets", "covered_assets", "told_assets", "waiting_assets", "waiting_bytes", "overdue_assets", "unknown_assets")} == {
        "assets": 6, "covered_assets": 4, "told_assets": 3, "waiting_assets": 2, "waiting_bytes": 11, "overdue_assets": 0, "unknown_assets": 0,
    }  # fmt: skip
    assert (row["median_hours"], row["p90_hours"], row["longest_hours"], row["late_assets"]) == (47, 71, 71, 2)
    assert (row["longest_waiting_hours"], row["max_copy_age_hours"]) == (6 * 24, 36.0)
    assert {**volume, "by": "", "name": ""} == {**row, "by": "", "name": ""}
    assert (row["undated_assets"], nothing) == (0, [])
    assert sum(one["assets"] for one in months) == 6
    assert {one["name"] for one in months} == {f"{one.modified:%Y-%m}" for one in (long_ago, *changed)}
    assert (of_a_day["assets"], of_a_day["median_hours"]) == (1, 71)
    assert (lately_only["assets"], lately_only["told_assets"], lately_only["median_hours"], lately_only["overdue_assets"]) == (4, 3, 47, 0)


def test_what_changed_at_a_time_that_nothing_tells_is_of_no_day_and_counted_as_that(tmp_path: Path) -> None:
    config = parse({"volumes": {"home": {"url": "/h"}}})
    files = (file("told", 1, AS_OF - 3 * DAY), file("untold", 2, AS_OF - 3 * DAY, flags=FLAGGED_MODIFIED))
    with opened(tmp_path, Estate(config, AS_OF, {"home": (Scan(AS_OF - HOUR, files=files),)})) as connection:
        [row] = rows(connection, "time-to-protect", since="2000-01-01")
        [elsewhen] = rows(connection, "time-to-protect", until="2000-01-01")
        months = {one["name"]: (one["assets"], one["undated_assets"]) for one in rows(connection, "time-to-protect", by="month")}
    assert (row["assets"], row["waiting_assets"], row["undated_assets"]) == (1, 1, 1)
    assert (elsewhen["assets"], elsewhen["waiting_assets"], elsewhen["undated_assets"]) == (0, 0, 1)
    assert months == {"": (1, 1), f"{AS_OF - 3 * DAY:%Y-%m}": (1, 0)}


@pytest.mark.slow
def test_a_part_of_the_estate_is_not_told_what_rests_on_copies_elsewhere(tmp_path: Path) -> None:
    config = parse({"volumes": {"home": {"url": "/h"}, "mirror": {"url": "/m", "role": "replica", "of": ["home"]}}})
    new = file("new", 2, AS_OF - 3 * DAY)
    scans: dict[str, tuple[Scan, ...]] = {"home": (Scan(AS_OF - HOUR, files=(new,)),), "mirror": (Scan(FIRST), Scan(AS_OF - HOUR, files=(new,)))}
    for parts, told in (((), 1), (("home",), 0), (("home", "mirror"), 1)):
        with opened(tmp_path / f"as {len(parts)}", Estate(config, AS_OF, scans), *parts) as connection:
            assert [(row["covered_assets"], row["told_assets"]) for row in rows(connection, "time-to-protect")] == [(1, told)]


@pytest.mark.slow
def test_a_disk_on_a_shelf_that_a_manifest_tells_of_hides_nothing_of_other_copies(tmp_path: Path) -> None:
    volumes = {
        "home": {"url": "/h"},
        "mirror": {"url": "/m", "role": "replica", "of": ["home"]},
        "shelf": {"url": "manifest:/s", "role": "replica", "of": ["home"]},
    }
    both, shelved = file("both", 2, AS_OF - 3 * DAY), file("shelved", 3, AS_OF - 3 * DAY)
    for number, said_at in enumerate((AS_OF - 2 * DAY, AS_OF - 99 * DAY)):
        word = tuple(replace(one, told=said_at, told_level=1) for one in (both, shelved))
        scans: dict[str, tuple[Scan, ...]] = {
            "home": (Scan(AS_OF - HOUR, files=(both, shelved)),),
            "mirror": (Scan(FIRST), Scan(AS_OF - HOUR, files=(both,))),
            "shelf": (Scan(AS_OF - HOUR, files=word, told=said_at),),
        }
        with opened(tmp_path / str(number), Estate(parse({"volumes": volumes}), AS_OF, scans)) as connection:
            [row] = rows(connection, "time-to-protect")
        assert (row["covered_assets"], row["told_assets"], row["longest_hours"]) == (2, 1, 71)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3])
def test_what_is_told_of_classes_is_as_an_independent_computation_has_it(tmp_path: Path, seed: int) -> None:
    estate = many(seed)
    with opened(tmp_path, estate) as connection:
        found = {row["name"]: row for row in rows(connection, "time-to-protect")}
    truth = _summed(estate)
    assert {name: {key: found[name][key] for key in one} for name, one in truth.items()} == truth
    assert found.keys() == truth.keys()


def _summed(estate: Estate) -> dict[str, dict[str, object]]:
    by_class: dict[str, list[tuple[Verdict, float | None]]] = defaultdict(list)
    files = {(volume, one.path): one for volume, one in estate.every_file()}
    for (volume, path), verdict in judge(estate).items():
        by_class[verdict.data_class].append((verdict, _waited(estate, volume, files[volume, path], verdict)))
    found: dict[str, dict[str, object]] = {}
    for name, some in by_class.items():
        allowed = estate.config.data_class(name).max_copy_age
        told = sorted(seconds for one, seconds in some if one.freshness == "current" and seconds is not None)
        waiting = [(one, seconds) for one, seconds in some if one.freshness not in ("current", "unknown")]
        known = [seconds for _, seconds in waiting if seconds is not None]
        found[name] = {
            "assets": len(some),
            "covered_assets": sum(one.freshness == "current" for one, _ in some),
            "told_assets": len(told),
            "median_hours": _rank(told, 0.5),
            "p90_hours": _rank(told, 0.9),
            "longest_hours": _rank(told, 1),
            "late_assets": sum(allowed is not None and seconds > allowed for seconds in told),
            "waiting_assets": len(waiting),
            "waiting_bytes": sum(one.counted_bytes for one, _ in waiting),
            "overdue_assets": sum(allowed is not None and one.freshness in ("stale_overdue", "unprotected") for one, _ in waiting),
            "longest_waiting_hours": max(known) // 3600 if known else None,
        }
    return found


def _rank(seconds: list[float], share: float) -> float | None:
    return seconds[math.ceil(len(seconds) * share) - 1] // 3600 if seconds else None


def _waited(estate: Estate, volume: str, asset: File, verdict: Verdict) -> float | None:
    """Seconds from a change to the first copy that is known, or to the as-of time while it waits."""
    changed = _changed_at(estate, volume, asset)
    if changed is None:
        return None
    if verdict.freshness != "current":
        return (estate.as_of - changed).total_seconds()
    matches = {name: match for name, match in verdict.matches.items() if match.kind in ("content", "metadata") and not _is_told(estate, name)}
    times = [_copied_at(estate, name, match, changed) for name, match in matches.items()]
    return None if None in times or not times else (max(changed, min(time for time in times if time)) - changed).total_seconds()


def _changed_at(estate: Estate, volume: str, asset: File) -> datetime.datetime | None:
    if asset.modified is None or asset.flags & 3 or _is_told(estate, volume):
        return None
    seen = _first_seen(estate, volume, asset.path)
    return max([asset.modified, *(scan.started_at for scan in estate.good(volume) if scan.started_at < seen)])


def _copied_at(estate: Estate, name: str, match: Match, changed: datetime.datetime) -> datetime.datetime | None:
    good = estate.good(name)
    assert match.file
    if match.file.point:  # of a recovery point: it came with that, unless that is the oldest that is left of its series
        newest, point = good[-1], match.file.point
        series = [
            time for time in {file.point for file in newest.files if file.point} | set(newest.points) if (time in newest.points) == (point in newest.points)
        ]
        return point if point != min(series) or point <= changed else None
    seen = _first_seen(estate, name, match.file.path)
    if seen > good[0].started_at and seen >= changed:
        return seen
    earlier = [scan.started_at for scan in good if scan.started_at < good[-1].started_at]
    return good[-1].started_at if earlier and max(earlier) < changed else None


def _is_told(estate: Estate, volume: str) -> bool:
    """Whether somebody else's word is all that is known of a volume."""
    return any(scan.told for scan in estate.good(volume))


def _first_seen(estate: Estate, volume: str, path: str) -> datetime.datetime:
    good = estate.good(volume)
    return min(next(scan.started_at for scan in good if any(one.path == path for one in scan.files)), good[-1].started_at)
