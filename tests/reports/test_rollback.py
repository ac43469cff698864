"""Which recovery points bring a loss back, held against loops over what each recovery point held."""

import datetime
import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from catalog import config, connect, derive, table
from catalog.errors import ConfigError
from catalog.schema import RECOVERY_POINTS
from reports import rollback, simulate
from tests.catalog.estates import NOON, write_scan

HOUR = datetime.timedelta(hours=1)
Contents = dict[str, tuple[int, datetime.datetime]]  # by path: size and time
VOLUMES: dict[str, dict[str, Any]] = {
    "work": {"url": "/work", "site": "paris", "system": "nas"},
    "nightly": {"url": "restic:/nightly", "role": "backup", "site": "lyon", "system": "s2", "path_map": {"/srv/work": "work:"}},
    "weekly": {"url": "restic:/weekly", "role": "backup", "site": "rome", "system": "s3", "path_map": {"/": "work:docs"}},
    "near": {"url": "restic:/near", "role": "backup", "site": "paris", "system": "s4", "path_map": {"/srv/work": "work:"}},
}
FOLDERS = {"nightly": ("srv/work/", ""), "weekly": ("", "docs/"), "near": ("srv/work/", "")}  # theirs, and that of the volume
PATHS = ("a", "b", "docs/a", "docs/b", "docs/x/c")


def backed_up(root: Path, volume: str, points: dict[datetime.datetime, Contents]) -> None:
    """Publish a scan of a repository whose recovery points held these files of work."""
    there, here = FOLDERS[volume]
    held: dict[tuple[str, int, datetime.datetime], list[datetime.datetime]] = {}
    for at, contents in points.items():
        for path, (size, modified) in contents.items():
            if path.startswith(here):
                held.setdefault((there + path[len(here) :], size, modified), []).append(at)
    scan_id = f"{NOON:%Y%m%dT%H%M%S}-{volume}"
    rows = [
        {"recovery_point": name(at), "started_at": at, "ended_at": at + datetime.timedelta(minutes=5), "host": "h", "paths": '["/"]', "left_out": "[]"}
        for at in points
    ]
    table.append(root, "recovery_points", pa.Table.from_pylist(rows, RECOVERY_POINTS), scan_id, {"scan_id": scan_id, "volume": volume})
    files: dict[str, list[dict[str, Any]]] = {}
    for (path, size, modified), times in held.items():
        version = {"size_bytes": size, "modified_at": modified, "changed_at": modified, "fs_id": None, "inode": None}
        files.setdefault(path, []).append(version | {"first_recovery_point": name(min(times)), "last_recovery_point": name(max(times))})
    write_scan(root, volume, {f"{path}{chr(0) * place}": one | _placed(path) for path, some in files.items() for place, one in enumerate(some)})


def _placed(path: str) -> dict[str, Any]:
    folder, slash, last = path.rpartition("/")
    return {"dir": folder + slash, "name": last}


def name(at: datetime.datetime) -> str:
    return f"p{at:%d%H}"


def opened(root: Path) -> tuple[duckdb.DuckDBPyConnection, config.Config]:
    made = config.parse({"volumes": VOLUMES})
    return connect.connect(root, derive.derive(root, made, NOON)), made


def grown(chance: random.Random, count: int) -> tuple[dict[datetime.datetime, Contents], Contents]:
    """What a volume held at some times, each file newer whenever it changed and never back once it is gone; and what it holds now."""
    states: dict[datetime.datetime, Contents] = {}
    now: Contents = {}
    gone: set[str] = set()
    for place in range(count):
        at = NOON - (count - place) * 24 * HOUR
        for path in PATHS:
            if path in gone or chance.random() < 0.6:
                continue
            if path in now and chance.random() < 0.2:
                gone.add(path)
                del now[path]
            else:
                now[path] = (chance.randint(1, 99), at - HOUR)
        states[at] = dict(now)
    return states, now


@pytest.mark.parametrize("seed", range(4))
def test_of_each_file_the_newest_point_before_the_moment_that_held_it_is_told(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    states, now = grown(chance, 6)
    kept = {volume: {at: state for at, state in states.items() if chance.random() < 0.7} for volume in FOLDERS}
    write_scan(tmp_path, "work", {path: {"size_bytes": size, "modified_at": at, "changed_at": at} for path, (size, at) in now.items()} or {"z": {}})
    for volume, points in kept.items():
        backed_up(tmp_path, volume, points)
    connection, made = opened(tmp_path)
    for before in (NOON, NOON - 49 * HOUR, NOON - 72 * HOUR, NOON - 400 * HOUR):
        rows = rollback.files(connection, made, simulate.parse(["site=paris"]), before).to_pylist()
        found = {row["path"]: (row["copy_volume"], row["recovery_point"], row["version_bytes"], row["is_lost"]) for row in rows}
        wanted = {path: one for path in {*PATHS, *now} if (one := _newest(kept, path, before, path in now)) is not None}
        wanted |= {"z": (None, None, None, True)} if not now else {}
        assert found == wanted, before


def _newest(kept: dict[str, dict[datetime.datetime, Contents]], path: str, before: datetime.datetime, lost: bool) -> tuple[Any, ...] | None:
    best: tuple[Any, ...] = ()
    for place, volume in enumerate(("nightly", "weekly")):  # the third is lost with the site
        ended = [at for at in kept[volume] if at + datetime.timedelta(minutes=5) <= before]
        for at in ended:
            in_it = path.startswith(FOLDERS[volume][1]) and path in kept[volume][at]
            if in_it and (at, -place) > best[:2]:
                best = (at, -place, volume, kept[volume][at][path][0], at == max(ended))
    if not best or not (lost or best[4]):  # what the newest point has no more was gone then
        return (None, None, None, True) if lost else None
    return best[2], name(best[0]), best[3], lost


def _attacked(root: Path) -> tuple[duckdb.DuckDBPyConnection, config.Config]:
    """Two files that were encrypted in the night of the last backup, one that was not, and one that is in no backup."""
    day, night = NOON - 28 * HOUR, NOON - 4 * HOUR
    old = NOON - 900 * HOUR
    clean: Contents = {"a": (10, old), "docs/a": (20, day - HOUR), "b": (30, old)}
    struck = NOON - 6 * HOUR
    write_scan(root, "work", {"b": {"size_bytes": 30, "modified_at": old}, "a.locked": {"size_bytes": 11, "modified_at": struck}, "new": {"size_bytes": 7}})
    backed_up(root, "nightly", {day: clean, night: {"b": (30, old), "a.locked": (11, struck)}})
    backed_up(root, "weekly", {NOON - 200 * HOUR: {"docs/a": (19, old)}})
    return opened(root)


def test_what_ransomware_encrypted_is_rolled_back_to_the_newest_point_before_it(tmp_path: Path) -> None:
    connection, made = _attacked(tmp_path)
    loss = simulate.parse(["volume=work"])
    found = rollback.rollback(connection, made, loss, rollback.moment("2026-03-01T06:00+01:00"))
    told = [(one.copy_volume, one.recovery_point, one.assets, one.bytes, one.same_assets, one.gone, one.behind_hours) for one in found.points]
    assert told == [("nightly", "p2808", 1, 30, 1, 2, None), (None, None, 2, 18, 0, 0, None)]
    assert "work                             1 asset           30 B  nightly p2808 of 2026-02-28 08:00; 2 more that were gone\n" in found.text()
    assert "2 assets          18 B  no recovery point has them\n" in found.text()
    newest = rollback.rollback(connection, made, loss, NOON)
    assert [(one.recovery_point, one.assets, one.gone) for one in newest.points] == [("p0108", 2, 0), (None, 1, 0)]


def test_what_was_changed_since_the_point_is_told_with_the_hours_that_are_lost(tmp_path: Path) -> None:
    at = NOON - 30 * HOUR
    write_scan(tmp_path, "work", {"a": {"size_bytes": 12, "modified_at": NOON - 3 * HOUR}})
    backed_up(tmp_path, "nightly", {at: {"a": (10, at - HOUR)}})
    [one] = rollback.rollback(*opened(tmp_path), simulate.parse(["volume=work"]), NOON).points
    assert (one.assets, one.same_assets, one.behind_hours) == (1, 0, 30.0)
    assert "1 asset as 30.0 hours before" in one.text()


def test_a_repository_that_may_be_lost_and_a_version_that_could_not_be_read_bring_nothing_back(tmp_path: Path) -> None:
    connection, made = _attacked(tmp_path)
    both = rollback.rollback(connection, made, simulate.parse(["volume=work", "system=s2"]), NOON)
    assert [(one.copy_volume, one.assets, one.gone) for one in both.points] == [("weekly", 0, 1), (None, 3, 0)]
    nothing = rollback.rollback(connection, made, simulate.parse(["system=s2"]), NOON)
    assert nothing.points == ()
    assert "nothing is lost" in nothing.text()


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", ""])
def test_a_moment_that_is_none_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ConfigError, match="write a time as 2026-11-20T14:00Z"):
        rollback.moment(text)


def test_a_moment_without_a_zone_is_utc() -> None:
    assert rollback.moment("2026-03-01T06:00+01:00") == rollback.moment("2026-03-01T05:00") == datetime.datetime(2026, 3, 1, 5)
