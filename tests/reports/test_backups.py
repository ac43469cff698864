"""Reports on backups: `recovery-points`, `excluded`, `conflicts`."""

import datetime
from pathlib import Path

import pytest

import reports
from catalog.config import parse
from tests.protection.oracle import judge
from tests.protection.places import excluded, mapped
from tests.protection.plain import Estate, File, Read, Scan
from tests.protection.table import AS_OF, content
from tests.reports.conftest import Estate as Made
from tests.reports.conftest import answer
from tests.reports.estates import many, opened, rows

DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)
NOON = datetime.datetime(2026, 11, 20, 12)
OLD = AS_OF - 100 * DAY


def point(name: str, at: datetime.datetime, host: str = "nas", paths: str = '["/srv"]', excludes: str = "[]") -> dict[str, object]:
    return {"volume": "nightly", "recovery_point": name, "started_at": at, "host": host, "paths": paths, "excludes": excludes, "tags": "[]"}


def test_each_recovery_point_says_its_age_the_gap_before_it_and_what_it_alone_holds(estate: Made) -> None:
    connection = estate(
        volumes=[{"volume": "nightly", "role": "backup"}],
        recovery_points=[
            point("c", NOON - HOUR, excludes='["*.tmp"]'),
            point("b", NOON - 26 * HOUR + datetime.timedelta(minutes=1)),
            point("a", NOON - 10 * DAY),
            point("other", NOON - 3 * HOUR, host="laptop"),
            point("unmarked", NOON - 2 * HOUR, paths='["/etc"]') | {"excludes": None},
        ],
        entries=[
            {"path": "srv/1", "volume": "nightly", "first_recovery_point": "a", "last_recovery_point": "c"},
            {"path": "srv/2", "volume": "nightly", "first_recovery_point": "a", "last_recovery_point": "a"},
            {"path": "srv/3", "volume": "nightly", "first_recovery_point": "b", "last_recovery_point": "b"},
            {"path": "srv/4", "volume": "projects"},
        ],
    )
    columns = ("recovery_point", "age_days", "gap_hours", "breaks", "is_newest", "first_entries", "last_entries", "leaves_out")
    assert answer(reports.load("recovery-points").run(connection), *columns) == [
        ("a", 10, None, False, False, 2, 1, False),
        ("b", 1, 214, True, False, 1, 1, False),
        ("other", 0, None, False, True, 0, 0, False),
        ("unmarked", 0, None, False, True, 0, 0, None),
        ("c", 0, 24, False, True, 0, 1, True),
    ]


@pytest.mark.parametrize(("days", "minutes", "breaks"), [(8, 0, False), (8, 1, True)])
def test_a_gap_breaks_what_is_kept_when_it_is_longer_than_eight_days(estate: Made, days: int, minutes: int, breaks: bool) -> None:
    early = NOON - days * DAY - datetime.timedelta(minutes=minutes)
    connection = estate(volumes=[{"volume": "nightly"}], recovery_points=[point("a", early), point("b", NOON)])
    assert answer(reports.load("recovery-points").run(connection, where="recovery_point = 'b'"), "gap_hours", "breaks") == [(8 * 24, breaks)]


def backup(**declared: object) -> dict[str, object]:
    return {"url": "/n", "role": "backup", "system": "s2", **declared}


def test_assets_that_a_backup_leaves_out_are_told_with_the_pattern(tmp_path: Path) -> None:
    paths = ("work/a/cache/x", "work/a/kept", "work/tmp/y", "work/b.iso", "outside/cache/z")
    files = tuple(File(path, 10, OLD) for path in paths)
    held = tuple(File(f"srv/{path}", 10, OLD, point=AS_OF - DAY) for path in ("a/kept", "a/cache/older-is-there"))
    scans: dict[str, tuple[Scan, ...]] = {
        "home": (Scan(AS_OF - HOUR, files=(*files, File("work/a/cache/older-is-there", 10, OLD))),),
        "nightly": (
            Scan(AS_OF - HOUR, files=held, points=(AS_OF - DAY,), left_out=((False, "/cache/"), (False, ".iso/"), (True, "/srv/tmp/"), (False, "/a/cache/"))),
        ),
        "list": (Scan(AS_OF - HOUR, files=()),),
    }
    volumes = {
        "home": {"url": "/h"},
        "nightly": backup(path_map={"/srv": "home:work"}),
        "list": {"url": "/l", "role": "replica", "exclude": ["**/*.iso"]},
    }
    with opened(tmp_path, Estate(parse({"volumes": volumes}), AS_OF, scans)) as connection:
        found = rows(connection, "excluded")
        alone = rows(connection, "excluded", backup="list")
    assert [(row["copy_volume"], row["path"], row["pattern"], row["patterns"], row["source"]) for row in found] == [
        ("list", "work/b.iso", "**/*.iso", 1, "configuration"),
        ("nightly", "work/a/cache/x", "a/cache", 2, "backup"),
        ("nightly", "work/b.iso", "*.iso", 1, "backup"),
        ("nightly", "work/tmp/y", "/srv/tmp", 1, "backup"),
    ]
    assert alone == found[:1]


def _left_out(estate: Estate) -> set[tuple[str, str, str]]:
    """Assets, and volumes that hold nothing of them and whose `exclude` matches their mapped path."""
    found = set()
    for (volume, path), verdict in judge(estate).items():
        for name, match in verdict.matches.items():
            there = mapped(estate.config.volumes[name], volume, path) if match.file is None else None
            if there is not None and excluded(estate.config.volumes[name], there):
                found.add((volume, path, name))
    return found


@pytest.mark.slow
def test_what_is_left_out_is_as_an_independent_computation_has_it(tmp_path: Path) -> None:
    estates = [estate for seed in range(12) if _left_out(estate := many(seed, 12))][:3]
    assert estates
    for number, estate in enumerate(estates):
        with opened(tmp_path / str(number), estate) as connection:
            found = {(row["volume"], row["path"], row["copy_volume"]) for row in rows(connection, "excluded", "source = 'configuration'")}
        assert found == _left_out(estate)


def test_a_copy_that_differs_is_told_apart_from_one_that_only_may(tmp_path: Path) -> None:
    file = File("a/f", 10, OLD)
    names = ("home", "bad", "unread")
    scans: dict[str, tuple[Scan, ...]] = {name: (Scan(AS_OF - HOUR, files=(file, File(f"only/{name}", 3, OLD)), device=name),) for name in names}
    volumes = {"home": {"url": "/h"}, "bad": backup(url="/b"), "unread": backup(url="/u", role="replica")}
    reads = (
        Read("home", file, AS_OF - 3 * DAY, content("one")),
        Read("home", file, AS_OF - DAY, content("one")),
        Read("bad", file, AS_OF - 2 * DAY, content("two")),
    )
    estate = Estate(parse({"volumes": volumes}), AS_OF, scans, reads)
    columns = ("path", "copy_volume", "copy_path", "differs", "other_copies", "digested_at", "copy_digested_at", "seen_at")
    with opened(tmp_path / "all", estate) as connection:
        found = [tuple(row[name] for name in columns) for row in rows(connection, "conflicts")]
    assert found == [
        ("a/f", "bad", "a/f", "yes", 0, AS_OF - DAY, AS_OF - 2 * DAY, AS_OF - HOUR),
        ("a/f", "unread", "a/f", "unknown", 0, AS_OF - DAY, None, AS_OF - HOUR),
    ]
    with opened(tmp_path / "part", estate, "home", "unread") as connection:
        assert [(row["copy_volume"], row["differs"]) for row in rows(connection, "conflicts")] == [("unread", "unknown")]


def test_samples_that_differ_are_a_conflict_that_was_read(tmp_path: Path) -> None:
    file = File("f", 10, OLD)
    scans: dict[str, tuple[Scan, ...]] = {name: (Scan(AS_OF - HOUR, files=(file,), device=name),) for name in ("home", "bad")}
    reads = tuple(Read(name, file, AS_OF - DAY, sample=content(what)) for name, what in (("home", "one"), ("bad", "two")))
    with opened(tmp_path, Estate(parse({"volumes": {"home": {"url": "/h"}, "bad": backup()}}), AS_OF, scans, reads)) as connection:
        assert [(row["copy_volume"], row["differs"], row["digested_at"]) for row in rows(connection, "conflicts")] == [("bad", "yes", None)]


@pytest.mark.slow_but_first
@pytest.mark.parametrize("seed", range(2))
def test_conflicts_are_those_of_an_independent_computation(tmp_path: Path, seed: int) -> None:
    estate = many(seed, 40)
    expected = {(*where, name) for where, verdict in judge(estate).items() for name, match in verdict.matches.items() if match.kind == "conflict"}
    with opened(tmp_path, estate) as connection:
        found = rows(connection, "conflicts")
    assert {(row["volume"], row["path"], row["copy_volume"]) for row in found} == expected
    sure = {(row["volume"], row["path"]) for row in found if row["differs"] == "yes"}
    assert sure == {(row["volume"], row["path"]) for row in found}, "of each conflict at least one copy was read"


@pytest.mark.slow
def test_who_sees_a_part_of_a_backup_is_not_told_what_it_is_made_of(tmp_path: Path) -> None:
    scans: dict[str, tuple[Scan, ...]] = {
        "home": (Scan(AS_OF - HOUR, files=(File("a/cache/x", 10, OLD), File("b/cache/x", 10, OLD))),),
        "nightly": (Scan(AS_OF - HOUR, files=(File("a/k", 9, OLD, point=AS_OF - DAY),), points=(AS_OF - DAY,), left_out=((False, "/cache/"),)),),
    }
    estate = Estate(parse({"volumes": {"home": {"url": "/h"}, "nightly": backup()}}), AS_OF, scans)
    told: dict[tuple[str, ...], tuple[list[str], int]] = {}
    for parts in ((), ("home:a", "nightly"), ("home:a", "nightly:a"), ("home",), ("nightly",)):
        with opened(tmp_path / f"as {len(told)}", estate, *parts) as connection:
            told[parts] = ([row["path"] for row in rows(connection, "excluded")], len(rows(connection, "recovery-points")))
    assert told == {
        (): (["a/cache/x", "b/cache/x"], 1),
        ("home:a", "nightly"): (["a/cache/x"], 1),
        ("home:a", "nightly:a"): ([], 0),
        ("home",): ([], 0),
        ("nightly",): ([], 1),
    }
