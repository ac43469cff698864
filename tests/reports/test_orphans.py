"""Reports `orphans` and `expiring-copies`: what copies keep of data that has no home, and what ends soon."""

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from catalog.config import Config, parse
from tests.protection.plain import COARSE_MODIFIED, ROUNDED_MODIFIED, Estate, File, Read, Scan
from tests.protection.table import AS_OF, content
from tests.reports.estates import opened, rows

DAY, HOUR, MICROSECOND = datetime.timedelta(days=1), datetime.timedelta(hours=1), datetime.timedelta(microseconds=1)
OLD = AS_OF - 100 * DAY
Scans = dict[str, tuple[Scan, ...]]


def of(**volumes: dict[str, object]) -> Config:
    return parse({"volumes": volumes})


def told(connection: duckdb.DuckDBPyConnection, report: str, *columns: str, **params: object) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in rows(connection, report, None, **params)]


def an_estate() -> Estate:
    """A home, and a mirror with: a copy, what was deleted, an older version, what was moved, what may have been moved, what is mapped nowhere."""
    home = {path: File(path, size, OLD) for path, size in {"kept": 11, "moved/here": 12, "edited": 13, "unread": 14, "b/empty": 0}.items()}
    mirror = {
        path: File(f"srv/{path}", size, OLD)
        for path, size in [
            ("kept", 11), ("gone", 21), ("gone twice", 21), ("edited", 22), ("moved/there", 12), ("perhaps moved", 14), ("empty", 0),
        ]
    }  # fmt: skip
    elsewhere = File("etc/passwd", 31, OLD)
    config = of(home={"url": "/h"}, mirror={"url": "/m", "role": "replica", "path_map": {"/srv": "home:"}})
    scans: Scans = {"home": (Scan(AS_OF - HOUR, files=tuple(home.values())),), "mirror": (Scan(AS_OF - HOUR, files=(*mirror.values(), elsewhere)),)}
    reads = [Read("home", home[path], AS_OF - DAY, content(path)) for path in ("kept", "moved/here", "edited")]
    reads += [Read("mirror", mirror[path], AS_OF - DAY, content(what)) for path, what in (("kept", "kept"), ("edited", "before"))]
    reads += [Read("mirror", mirror["moved/there"], AS_OF - DAY, content("moved/here"))]
    reads += [Read("mirror", mirror[path], AS_OF - DAY, content("gone")) for path in ("gone", "gone twice")]
    return Estate(config, AS_OF, scans, tuple(reads))


def test_what_copies_hold_and_no_home_does_is_told_and_how_sure_that_is(tmp_path: Path) -> None:
    with opened(tmp_path, an_estate()) as connection:
        found = told(connection, "orphans", "path", "kind", "certain", "other_copies", "is_last_copy", "home_volume", "home_path")
        sure = told(connection, "orphans", "path", certain="unknown")
    assert found == [
        ("etc/passwd", "unmapped", "unknown", 0, True, None, None),
        ("srv/edited", "changed", "yes", 0, True, "home", "edited"),
        ("srv/gone", "gone", "yes", 1, False, "home", "gone"),
        ("srv/gone twice", "gone", "yes", 1, False, "home", "gone twice"),
        ("srv/perhaps moved", "gone", "unknown", 0, True, "home", "perhaps moved"),
    ]
    assert sure == [("etc/passwd",), ("srv/perhaps moved",)]


@pytest.mark.slow
def test_what_the_scan_of_the_home_did_not_see_makes_nothing_an_orphan_for_certain(tmp_path: Path) -> None:
    estate = an_estate()
    [scan] = estate.scans["home"]
    for number, (path, certain) in enumerate({"gone": "unknown", "elsewhere": "yes", "": "unknown"}.items()):
        blind = replace(estate, scans=estate.scans | {"home": (replace(scan, state="incomplete", problems=((path, True),)),)})
        with opened(tmp_path / str(number), blind) as connection:
            assert dict(told(connection, "orphans", "path", "certain"))["srv/gone"] == certain
    never = replace(estate, scans={"mirror": estate.scans["mirror"]})
    with opened(tmp_path / "never", never) as connection:
        assert {certain for (certain,) in told(connection, "orphans", "certain")} == {"unknown"}


def test_what_jobs_keep_beside_files_is_no_certain_orphan_of_a_backup_that_has_it(tmp_path: Path) -> None:
    estate, marker = an_estate(), File("srv/.lastcopy/volume.json", 547, OLD)
    [mirror] = estate.scans["mirror"]
    with_marker = replace(estate, scans=estate.scans | {"mirror": (replace(mirror, files=(marker, *mirror.files)),)})
    with opened(tmp_path, with_marker) as connection:
        assert dict(told(connection, "orphans", "path", "certain"))["srv/.lastcopy/volume.json"] == "unknown"


@pytest.mark.slow
def test_a_part_of_an_estate_is_told_the_orphans_whose_homes_lie_in_it(tmp_path: Path) -> None:
    home = (File("a/f", 1, OLD),)
    mirror = tuple(File(path, 10 + place, OLD) for place, path in enumerate(("a/gone", "b/gone")))
    config = of(home={"url": "/h"}, mirror={"url": "/m", "role": "replica"})
    estate = Estate(config, AS_OF, {"home": (Scan(AS_OF - HOUR, files=home),), "mirror": (Scan(AS_OF - HOUR, files=mirror),)})
    for parts, seen in (((), {"a/gone", "b/gone"}), (("mirror",), set()), (("mirror", "home:a"), {"a/gone"}), (("mirror:b", "home"), {"b/gone"})):
        with opened(tmp_path / f"as {parts}".replace(":", " "), estate, *parts) as connection:
            assert {path for (path,) in told(connection, "orphans", "path")} == seen


def backed_up(**nightly: object) -> Estate:
    """A home and a backup of it with recovery points of now, 20 and 25 days ago; what the newest does not hold goes with an older one."""
    points = tuple(AS_OF - ago * DAY for ago in (25, 20, 0.5))
    files = {path: File(path, size, OLD) for path, size in {"current": 10, "left out since": 11, "also mirrored": 12}.items()}
    versions = [
        File("current", 10, OLD, point=points[2]),
        File("left out since", 11, OLD, point=points[1]),
        File("also mirrored", 12, OLD, point=points[1]),
        File("deleted", 13, OLD, point=points[0]),
        File("deleted, kept", 14, OLD, point=points[0]),
        File("deleted of late", 15, OLD, point=points[2]),
    ]
    mirror = (File("also mirrored", 12, OLD), File("deleted, kept", 14, OLD))
    config = of(
        home={"url": "/h"},
        nightly={"url": "/n", "role": "backup", "of": ["home"], **nightly},
        mirror={"url": "/m", "role": "replica", "of": ["home"]},
    )
    scans: Scans = {
        "home": (Scan(AS_OF - HOUR, files=tuple(files.values())),),
        "nightly": (Scan(AS_OF - HOUR, files=tuple(replace(one, whole=True) for one in versions), points=points),),
        "mirror": (Scan(AS_OF - HOUR, files=mirror),),
    }
    return Estate(config, AS_OF, scans)


def test_assets_and_orphans_whose_last_recovery_point_goes_soon_are_told(tmp_path: Path) -> None:
    with opened(tmp_path, backed_up(keeps_versions="30d")) as connection:
        columns = ("days_left", "what", "path", "copy_volume", "why", "held_at", "kept_days")
        found = told(connection, "expiring-copies", *columns)
        assert found == [
            (5, "orphan", "deleted", "nightly", "left_newest", AS_OF - 25 * DAY, 30.0),
            (5, "orphan", "deleted, kept", "nightly", "left_newest", AS_OF - 25 * DAY, 30.0),
            (10, "asset", "left out since", "nightly", "left_newest", AS_OF - 20 * DAY, 30.0),
        ]
        assert told(connection, "expiring-copies", *columns, days=5) == found[:2]
        assert told(connection, "expiring-copies", *columns, days=4) == []


@pytest.mark.parametrize(("flag", "apart_us", "orphaned"), [(0, 0, 0), (0, 1, 1), (ROUNDED_MODIFIED, 1, 0), (ROUNDED_MODIFIED, 2, 1), (COARSE_MODIFIED, 2, 0)])
def test_a_version_of_the_same_time_as_its_home_is_no_orphan_as_exactly_as_both_keep_times(tmp_path: Path, flag: int, apart_us: int, orphaned: int) -> None:
    points = (AS_OF - 2 * DAY, AS_OF - DAY)
    file = File("f", 10, OLD + 10 * MICROSECOND)
    newest = replace(file, point=points[1], whole=True, flags=flag)
    before = replace(newest, point=points[0], modified=OLD + (10 - apart_us) * MICROSECOND)
    config = of(home={"url": "/h"}, nightly={"url": "/n", "role": "backup", "of": ["home"]})
    scans: Scans = {"home": (Scan(AS_OF - HOUR, files=(file,)),), "nightly": (Scan(AS_OF - HOUR, files=(before, newest), points=points),)}
    with opened(tmp_path, Estate(config, AS_OF, scans)) as connection:
        assert told(connection, "orphans", "path", "kind") == [("f", "changed")] * orphaned


def begun(*days_ago: float, kept: str = "30d", max_copy_age: str | None = None) -> Estate:
    """A home and a backup of it whose recovery points were begun so many days ago; the newest holds an asset, and what was deleted since."""
    points = tuple(AS_OF - ago * DAY for ago in days_ago)
    held = tuple(File(path, size, OLD, point=max(points), whole=True) for path, size in (("current", 10), ("deleted", 11)))
    volumes = {"home": {"url": "/h"}, "nightly": {"url": "/n", "role": "backup", "of": ["home"], "keeps_versions": kept}}
    config = parse({"volumes": volumes, "classes": {"default": {"max_copy_age": max_copy_age}} if max_copy_age else {}})
    return Estate(
        config, AS_OF, {"home": (Scan(AS_OF - HOUR, files=(File("current", 10, OLD),)),), "nightly": (Scan(AS_OF - HOUR, files=held, points=points),)}
    )


@pytest.mark.parametrize(
    ("estate", "days_left"),
    [
        pytest.param(begun(3.5, 2.5, 1.5, 0.5), None, id="nightly, and ran last night"),
        pytest.param(begun(4.9, 3.9, 2.9, 1.9), None, id="nightly, and failed last night"),
        pytest.param(begun(5.5, 4.5, 3.5, 2.5), 27, id="nightly, and failed twice"),
        pytest.param(begun(5.5, 4.5, 3.5, 2.5, max_copy_age="3d"), None, id="nightly, and its class allows three days"),
        pytest.param(begun(6.5, 5.5, 4.5, 3.5, max_copy_age="3d"), 26, id="nightly, and its class allows less than that"),
        pytest.param(begun(24, 17, 10), None, id="weekly, and three days late"),
        pytest.param(begun(29, 22, 15), 15, id="weekly, and failed twice"),
        pytest.param(begun(0.9, 0.85, 0.8), None, id="hourly, and the machine slept for a night"),
        pytest.param(begun(1.2, 1.15, 1.1), 28, id="hourly, and silent for more than a day"),
        pytest.param(begun(364, 334, 304, 60, 30, 8, 7, 6, 5, 4, 3), 27, id="nightly, thinned out to months behind a week"),
        pytest.param(begun(100, 7.9), None, id="two, and a gap of months"),
        pytest.param(begun(2.5), None, id="one of late"),
        pytest.param(begun(7.9), None, id="one of a week ago"),
        pytest.param(begun(8), 22, id="one of eight days ago"),
        pytest.param(begun(3.5, kept="7d"), 3, id="one that is half over"),
        pytest.param(begun(90.5, 60.5, 30.5), -1, id="monthly, and kept for less than the gap"),
        pytest.param(begun(90.5, 60.5, 30.5, max_copy_age="60d"), -1, id="gone by now, whatever the class allows"),
    ],
)  # fmt: skip
def test_the_newest_recovery_point_ends_only_where_the_backup_stopped(tmp_path: Path, estate: Estate, days_left: int | None) -> None:
    with opened(tmp_path, estate) as connection:
        found = told(connection, "expiring-copies", "what", "path", "why", "days_left")
    assert found == ([] if days_left is None else [("asset", "current", "backup_stopped", days_left), ("orphan", "deleted", "backup_stopped", days_left)])


def test_a_stopped_backup_ends_nothing_that_a_running_one_holds(tmp_path: Path) -> None:
    estate = begun(5.5, 4.5, 3.5)
    home = estate.config.volumes["home"]
    config = estate.config.model_copy(
        update={"volumes": estate.config.volumes | {"other": home.model_copy(update={"url": "/o", "role": "backup", "of": ("home",)})}}
    )
    points = tuple(AS_OF - ago * DAY for ago in (2.5, 1.5, 0.5))
    other = Scan(AS_OF - HOUR, files=(File("current", 10, OLD, point=points[-1], whole=True),), points=points)
    with opened(tmp_path, replace(estate, config=config, scans=estate.scans | {"other": (other,)})) as connection:
        assert told(connection, "expiring-copies", "what", "path") == [("orphan", "deleted")]


def test_without_a_declared_retention_nobody_knows_when_but_what_left_the_newest_is_told(tmp_path: Path) -> None:
    with opened(tmp_path, backed_up()) as connection:
        found = told(connection, "expiring-copies", "path", "days_left", "why")
    assert found == [("left out since", None, "left_newest"), ("deleted", None, "left_newest"), ("deleted, kept", None, "left_newest")]


@pytest.mark.slow
def test_who_does_not_see_other_copies_is_not_told_that_the_last_ends(tmp_path: Path) -> None:
    with opened(tmp_path, backed_up(keeps_versions="30d"), "home", "nightly") as connection:
        assert [path for (path,) in told(connection, "expiring-copies", "path", days=10)] == ["deleted", "deleted, kept", "left out since"]
    with opened(tmp_path / "part", backed_up(keeps_versions="30d"), "home", "nightly:x") as connection:
        assert told(connection, "expiring-copies", "path") == []


def test_a_lock_that_ends_is_told_where_no_copy_is_out_of_reach_for_longer(tmp_path: Path) -> None:
    files = tuple(File(path, 10 + place, OLD) for place, path in enumerate(("one", "two", "three")))
    config = of(
        home={"url": "/h"},
        safe={"url": "/s", "role": "backup", "of": ["home"], "immutability": "compliance", "immutable_until": (AS_OF + 10 * DAY).date()},
        later={"url": "/l", "role": "backup", "of": ["home"], "immutability": "governance", "immutable_until": (AS_OF + 100 * DAY).date()},
        shelf={"url": "/t", "role": "backup", "of": ["home"], "access": "offline"},
        plain={"url": "/p", "role": "replica", "of": ["home"]},
    )
    held = {"home": files, "safe": (*files, File("deleted", 20, OLD)), "later": files[1:2], "shelf": files[2:], "plain": files}
    estate = Estate(config, AS_OF, {name: (Scan(AS_OF - HOUR, files=some),) for name, some in held.items()})
    with opened(tmp_path, estate) as connection:
        found = told(connection, "expiring-copies", "what", "path", "copy_volume", "why", "days_left")
        # It ends at midnight, nine and a half days from the snapshot.
        assert found == [("asset", "one", "safe", "lock_ends", 9), ("orphan", "deleted", "safe", "lock_ends", 9)]
        assert told(connection, "expiring-copies", "what", "path", "copy_volume", "why", "days_left", days=9) == found
        assert told(connection, "expiring-copies", "path", days=8) == []
        assert {path for (path,) in told(connection, "expiring-copies", "path", days=100)} == {"deleted", "one", "two"}
