"""Locks that objects tell of, in what reports say: when they end, what is missing, and that the verdict changes at that time."""

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from reports import explain, locks
from tests.protection.plain import Estate, File, Scan
from tests.protection.table import AS_OF
from tests.reports.estates import opened
from tests.reports.test_orphans import DAY, HOUR, OLD, of, told


def estate(as_of: datetime.datetime = AS_OF) -> Estate:
    """Files in a bucket by the lock of their objects, each attested by both sides, and one that was deleted and is still locked there."""
    kinds = {
        "none": File("none", 11, OLD, lock="none"),
        "soon": File("soon", 12, OLD, lock="compliance", locked_until=AS_OF + 10 * DAY),
        "long": File("long", 13, OLD, lock="governance", locked_until=AS_OF + 100 * DAY),
        "held": File("held", 14, OLD, lock="none", held=True),
        "silent": File("silent", 15, OLD),
        "gone": File("gone", 16, OLD, lock="compliance", locked_until=AS_OF + 10 * DAY),
    }
    files = [replace(file, attested=bytes([place]) * 32) for place, file in enumerate(kinds.values())]
    home = tuple(replace(file, lock=None, locked_until=None, held=None) for file in files if file.path != "gone")
    config = of(
        home={"url": "/h", "admin": "it"},
        vault={"url": "/v", "role": "backup", "of": ["home"], "access": "online", "immutability": "governance", "admin": "records"}
        | {"immutable_until": (AS_OF + 5 * DAY).date()},
    )
    bucket = tuple(replace(file, latest=True, inode=place, fs="b") for place, file in enumerate(files))
    return Estate(config, as_of, {"home": (Scan(AS_OF - HOUR, files=home),), "vault": (Scan(AS_OF - HOUR, files=bucket),)})


def test_the_end_of_a_lock_is_that_of_its_object_else_the_declared_one(tmp_path: Path) -> None:
    with opened(tmp_path, estate()) as connection:
        columns = ("what", "path", "why", "days_left")
        soon = [("asset", "silent", "lock_ends", 4), ("orphan", "gone", "lock_ends", 10), ("asset", "soon", "lock_ends", 10)]
        assert sorted(told(connection, "expiring-copies", *columns)) == sorted(soon)
        assert told(connection, "expiring-copies", *columns, days=9) == soon[:1]
        assert {path for (path,) in told(connection, "expiring-copies", "path", days=100)} == {"silent", "gone", "soon", "long"}


def test_a_file_is_explained_by_what_its_object_tells_and_what_is_missing(tmp_path: Path) -> None:
    with opened(tmp_path, estate()) as connection:
        said = {path: explain.explain(connection, "home", path)[0].copies[0].lock for path in ("none", "soon", "long", "held", "silent")}
        assert said == {
            "none": "its object is not locked: ransomware is not kept from it",
            "soon": "locked (compliance) until 2026-12-03 12:00, in 10 days; 30 are asked: ransomware is not kept from it",
            "long": "locked (governance) until 2027-03-03 12:00: ransomware is kept from it",
            "held": "under a legal hold, which whoever may set it may lift: ransomware is kept from it",
            "silent": None,
        }
        assert str(said["soon"]) in explain.explain(connection, "home", "soon")[0].text()


@pytest.mark.parametrize(("later", "ransomware"), [(datetime.timedelta(), "yes"), (70 * DAY, "yes"), (70 * DAY + HOUR, "no"), (101 * DAY, "no")])
def test_the_verdict_changes_when_the_lock_is_no_longer_long_enough(tmp_path: Path, later: datetime.timedelta, ransomware: str) -> None:
    with opened(tmp_path, estate(AS_OF + later)) as connection:
        assert dict(told(connection, "assets", "path", "ransomware"))["long"] == ransomware


def test_a_lock_that_ended_says_since_when() -> None:
    copy = {"lock_mode": "compliance", "locked_until": AS_OF - 3 * DAY, "lock_outlasts": "no"}
    assert locks.told(copy, AS_OF, 30) == "its lock (compliance) ended 3 d ago: ransomware is not kept from it"
    assert locks.told({"lock_mode": None, "locked_until": None, "lock_outlasts": None}, AS_OF, 30) is None
