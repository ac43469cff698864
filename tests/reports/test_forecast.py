"""Report `forecast`, against series whose truth is known."""

import datetime
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

import reports
from tests.reports.conftest import AS_OF, Estate

DAY = datetime.timedelta(days=1)
GB = 10**9
Series = Mapping[int, int]  # days before the snapshot -> bytes


def scans(series: Series, volume: str = "v", **more: object) -> list[dict[str, Any]]:
    """One scan a day, each following the one before."""
    rows: list[dict[str, Any]] = []
    for before in sorted(series, reverse=True):
        row = {"volume": volume, "scan_id": f"{volume}{before}", "state": "complete", "started_at": AS_OF - before * DAY, "carried_entries": 0}
        row |= {"bytes": series[before], "files": series[before] // GB, "root_fs_id": "fs", "previous_scan_id": rows[-1]["scan_id"] if rows else None}
        rows.append(row | more)
    return rows


def told(estate: Estate, rows: Sequence[Mapping[str, Any]], *, volume: Mapping[str, object] | None = None, **params: int) -> dict[str, Any]:
    """The line of the volume `v`."""
    connection = estate(volumes=[{"volume": "v", "capacity_bytes": None, "free_bytes": None} | dict(volume or {})], scans=rows)
    [found] = reports.load("forecast").run(connection, params).to_arrow_table().to_pylist()
    assert isinstance(found, dict)
    return found


def line(days: int, start: int, slope: int, *, end: int = 0) -> dict[int, int]:
    """Bytes that grow evenly, over the days up to one so many before the snapshot."""
    return {before: start + slope * (days - before) for before in range(days, end - 1, -1)}


def amounts(found: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(found[name] for name in ("growth_bytes", "low_bytes", "likely_bytes", "high_bytes"))


def test_even_growth_goes_on_without_an_error(estate: Estate) -> None:
    found = told(estate, scans(line(30, 100 * GB, GB)), ahead=60)
    assert amounts(found) == (GB, 190 * GB, 190 * GB, 190 * GB)
    assert [found[name] for name in ("growth_files", "low_files", "likely_files", "high_files")] == [1, 190, 190, 190]
    assert (found["days_seen"], found["since_at"], found["until_at"]) == (31, AS_OF - 30 * DAY, AS_OF)
    assert found["unknown_because"] is None


def test_a_volume_that_shrinks_ends_at_nothing_and_is_never_full(estate: Estate) -> None:
    rows = scans(line(30, 100 * GB, -GB))
    full = [row | {"capacity_bytes": 200 * GB, "free_bytes": 200 * GB - row["bytes"]} for row in rows]
    found = told(estate, full, volume={"capacity_bytes": 200 * GB, "free_bytes": 130 * GB}, ahead=90)
    assert amounts(found) == (-GB, 0, 0, 0)
    assert (found["gets_full"], found["full_at"], found["full_earliest_at"], found["full_unknown_because"]) == ("no", None, None, None)


def test_a_step_is_no_growth_but_an_error(estate: Estate) -> None:
    even = line(60, 900 * GB, GB)
    stepped = {before: held + (100 * GB if before <= 30 else 0) for before, held in even.items()}
    found = told(estate, scans(stepped), ahead=30)
    assert (found["growth_bytes"], found["likely_bytes"]) == (GB, 1090 * GB)
    assert found["high_bytes"] - found["likely_bytes"] > 50 * GB


@pytest.mark.parametrize(("days", "why"), [(0, "too_few_days"), (5, "too_few_days"), (12, "too_few_days"), (13, None)])
def test_two_weeks_are_needed(estate: Estate, days: int, why: str | None) -> None:
    found = told(estate, scans(line(days, 100 * GB, GB)))
    assert found["unknown_because"] == why
    assert (found["likely_bytes"] is None) == (why is not None)
    assert (found["bytes"], found["days_seen"], found["gets_full"]) == ((100 + days) * GB, days + 1, "unknown")


def test_seven_days_are_needed_however_far_apart(estate: Estate) -> None:
    series = {before: held for before, held in line(90, 100 * GB, GB).items() if before % 15 == 0}
    assert told(estate, scans(series))["likely_bytes"] == 280 * GB
    del series[30]
    assert told(estate, scans(series))["unknown_because"] == "too_few_days"


def test_a_gap_of_a_month_is_no_step(estate: Estate) -> None:
    series = {before: held for before, held in line(60, 100 * GB, GB).items() if not 10 <= before < 40}
    assert amounts(told(estate, scans(series), ahead=30)) == (GB, 190 * GB, 190 * GB, 190 * GB)


def test_a_volume_that_was_made_anew_is_told_of_since_then(estate: Estate) -> None:
    old, new = scans(line(60, 900 * GB, 5 * GB, end=21)), scans(line(20, 10 * GB, GB), root_fs_id="another")
    found = told(estate, [*old, *new], ahead=10)
    assert (found["since_at"], found["growth_bytes"], found["high_bytes"]) == (AS_OF - 20 * DAY, GB, 40 * GB)
    found = told(estate, [*scans(line(60, 900 * GB, 5 * GB, end=4)), *scans(line(3, 10 * GB, GB), root_fs_id="another")])
    assert (found["unknown_because"], found["days_seen"]) == ("too_few_days", 4)


def test_scans_of_a_clock_that_was_ahead_are_left_out(estate: Estate) -> None:
    rows = scans(line(30, 100 * GB, GB))
    ahead = {"volume": "v", "scan_id": "ahead", "state": "complete", "carried_entries": 0, "bytes": 700 * GB, "files": 1, "root_fs_id": "fs"}
    rows[20] |= {"previous_scan_id": "ahead"}
    for days in (3, -400):  # before the snapshot by its own, wrong time; after it
        assert amounts(told(estate, [*rows, ahead | {"started_at": AS_OF - days * DAY + DAY / 24}], ahead=60)) == (GB, 190 * GB, 190 * GB, 190 * GB)


def test_failed_scans_and_those_that_did_not_see_a_part_count_for_nothing(estate: Estate) -> None:
    rows = scans(line(30, 100 * GB, GB))
    rows[29] |= {"state": "failed", "bytes": 0}
    rows[30] |= {"bytes": 3 * GB, "carried_entries": 7}
    found = told(estate, rows, ahead=60)
    assert amounts(found) == (GB, 190 * GB, 190 * GB, 190 * GB)
    assert found["until_at"] == AS_OF - 2 * DAY


def test_what_error_is_greater_than_itself_is_unknown(estate: Estate) -> None:
    chance = random.Random(7)
    found = told(estate, scans({before: chance.randrange(500) * GB for before in range(31)}))
    assert (found["unknown_because"], found["low_bytes"], found["likely_bytes"], found["high_bytes"]) == ("erratic", None, None, None)


def test_what_is_not_told_is_unknown(estate: Estate) -> None:
    cut = [row | {"bytes": None, "files": None, "carried_entries": None} for row in scans(line(30, GB, GB))]
    found = told(estate, cut)
    assert (found["unknown_because"], found["full_unknown_because"], found["gets_full"]) == ("not_told", "no_capacity", "unknown")
    found = told(estate, [], volume={"scan_id": None})
    assert (found["unknown_because"], found["full_unknown_because"], found["days_seen"]) == ("never_scanned", "never_scanned", 0)


def filling(series: Series, taken: Callable[[int], int], capacity: int) -> list[dict[str, Any]]:
    return [row | {"capacity_bytes": capacity, "free_bytes": capacity - taken(row["bytes"])} for row in scans(series)]


def test_a_volume_is_full_when_what_is_taken_of_its_file_system_reaches_the_capacity(estate: Estate) -> None:
    rows = filling(line(30, 100 * GB, 0), lambda held: held, 1000 * GB)  # something else grows on the same file system
    for slope in (GB, 123_456_789):  # that is no round number
        for before, row in zip(range(30, -1, -1), rows, strict=True):
            row["free_bytes"] = 20 * GB + before * slope
        found = told(estate, rows, volume={"capacity_bytes": 1000 * GB, "free_bytes": 20 * GB})
        assert (found["gets_full"], found["growth_bytes"]) == ("likely", 0)
        assert {found[name] for name in ("full_earliest_at", "full_at", "full_latest_at")} == {AS_OF + 20 * GB // slope * DAY}
    rows = [row | {"free_bytes": (20 + before) * GB} for before, row in zip(range(30, -1, -1), rows, strict=True)]
    late = [row for row in rows if row["started_at"] <= AS_OF - 5 * DAY]  # by the day of the last scan
    found = told(estate, late, volume={"capacity_bytes": 1000 * GB, "free_bytes": 25 * GB})
    assert found["full_at"] == AS_OF + 20 * DAY


def test_when_it_is_full_has_an_error_too(estate: Estate) -> None:
    chance = random.Random(3)
    series = {before: held + chance.randrange(-2 * GB, 2 * GB) for before, held in line(90, 100 * GB, GB).items()}
    free = 300 * GB - series[0]
    found = told(estate, filling(series, lambda held: held, 300 * GB), volume={"capacity_bytes": 300 * GB, "free_bytes": free})
    assert AS_OF + 60 * DAY < found["full_earliest_at"] < AS_OF + 100 * DAY < found["full_at"] < AS_OF + 120 * DAY < found["full_latest_at"]


def test_noise_alone_may_fill_a_volume_and_never_surely_does(estate: Estate) -> None:
    chance = random.Random(4)
    series = {before: 80 * GB + chance.randrange(-2 * GB, 2 * GB) for before in range(60)}
    found = told(estate, filling(series, lambda held: held, 100 * GB), volume={"capacity_bytes": 100 * GB, "free_bytes": 100 * GB - series[0]})
    assert found["full_earliest_at"] is not None
    assert found["full_latest_at"] is None


def test_what_is_declared_of_a_volume_that_tells_no_capacity_is_held_against_its_files(estate: Estate) -> None:
    rows = [row | {"capacity_bytes": None, "free_bytes": None} for row in scans(line(30, 70 * GB, GB))]
    found = told(estate, rows, volume={"capacity_bytes": 125 * GB, "free_bytes": 25 * GB})
    assert (found["gets_full"], found["full_at"]) == ("likely", AS_OF + 25 * DAY)


def test_a_full_volume_is_full_whatever_its_history(estate: Estate) -> None:
    found = told(estate, filling({0: 100 * GB}, lambda held: held, 100 * GB), volume={"capacity_bytes": 100 * GB, "free_bytes": 0})
    assert (found["gets_full"], found["full_unknown_because"], found["unknown_because"]) == ("yes", None, "too_few_days")


def walk(chance: random.Random, days: int) -> list[int]:
    held, found = 500.0 * GB, []
    for _ in range(days):
        found.append(int(held))
        held += GB + chance.gauss(0, 3 * GB)
    return found


def noisy(chance: random.Random, days: int) -> list[int]:
    return [500 * GB + day * GB + int(chance.gauss(0, GB)) for day in range(days)]


def by_the_week(chance: random.Random, days: int) -> list[int]:
    begin = chance.randrange(7)
    return [500 * GB + 10 * GB * ((day + begin) // 7) for day in range(days)]


@pytest.mark.parametrize(("made", "at_least"), [(walk, 80), (noisy, 95), (by_the_week, 95)])
def test_what_comes_lies_between_low_and_high_in_nine_cases_of_ten(estate: Estate, made: Callable[[random.Random, int], list[int]], at_least: int) -> None:
    chance, days, ahead = random.Random(1), 60, 45
    series = {f"v{number}": made(chance, days + ahead + 1) for number in range(100)}
    rows = [row for name, held in series.items() for row in scans({days - day: held[day] for day in range(days + 1)}, name)]
    connection = estate(volumes=[{"volume": name, "capacity_bytes": None, "free_bytes": None} for name in series], scans=rows)
    found = reports.load("forecast").run(connection, {"ahead": ahead}).to_arrow_table().to_pylist()
    assert len(found) == 100
    held_within = sum(row["low_bytes"] <= series[row["volume"]][days + ahead] <= row["high_bytes"] for row in found)
    assert held_within >= at_least
    assert all(row["high_bytes"] - row["low_bytes"] < 400 * GB for row in found)
