"""How what a loss takes is brought back, and which single losses take most."""

import datetime
from pathlib import Path
from typing import Any

import pytest

from catalog import config
from catalog.errors import NotFoundError
from reports import simulate, single_losses
from tests.catalog.estates import NOON
from tests.reports.test_simulate import estate

VOLUMES: dict[str, dict[str, Any]] = {
    "work": {"role": "primary", "system": "nas", "site": "paris", "admin": "it", "access": "online", "immutability": "none"},
    "tape": {"role": "backup", "system": "tape", "site": "lyon", "admin": "it", "access": "offline", "wait": "4h", "restore_bytes_per_second": 10},
    "cloud": {"role": "backup", "system": "cloud", "site": "rome", "admin": "cloud", "access": "online", "restore_bytes_per_second": "100"},
    "cold": {"role": "backup", "system": "cold", "site": "rome", "admin": "cloud", "access": "nearline", "wait": "12h"},
}


@pytest.fixture
def paris(tmp_path: Path) -> tuple[Any, config.Config]:
    """Files of a site that burns: on tape, in the cloud, in the cold, on several of these, nowhere."""
    sizes = {"taped": 72_000, "cloudy": 360_000, "frozen": 7, "both": 360_000, "nowhere": 5}
    held = {"tape": ("taped", "both"), "cloud": ("cloudy", "both"), "cold": ("frozen", "both")}
    files = {"work": {name: {"size_bytes": size} for name, size in sizes.items()}}
    files |= {volume: {name: {"size_bytes": sizes[name]} for name in names} for volume, names in held.items()}
    return estate(tmp_path, VOLUMES, files)


def test_each_file_is_brought_back_from_where_it_is_reached_soonest(paris: tuple[Any, config.Config]) -> None:
    found = simulate.simulate(*paris, simulate.parse(["site=paris"]))
    assert [(one.volume, one.recall, one.assets, one.bytes, one.wait_hours, one.hours) for one in found.recalls] == [
        ("cloud", "online", 2, 720_000, 0.0, 2.0),
        ("cold", "nearline", 1, 7, 12.0, None),
        ("tape", "shelf", 1, 72_000, 4.0, 6.0),
    ]
    assert found.recall_hours is None, "nobody said how fast the cold store is"
    survivors = sum(one.assets for one in found.totals if one.outcome == "survives")
    assert survivors == sum(one.assets for one in found.recalls)
    assert "  shelf    tape                                 1 asset       70.3 KiB  6.0 hours, 4.0 of them until it can be read\n" in found.text()
    assert "time unknown: declare 'restore_bytes_per_second'" in found.text()


def test_all_is_back_when_the_slowest_volume_is_read(paris: tuple[Any, config.Config]) -> None:
    connection, made = paris
    found = simulate.simulate(connection, made, simulate.parse(["volume=work", "volume=cold"]))
    assert [(one.volume, one.assets) for one in found.recalls] == [("cloud", 2), ("tape", 1)]
    assert found.recall_hours == 6.0
    assert "To be brought back from: 6.0 hours, if all are read at once\n" in found.text()


def test_nothing_is_brought_back_where_the_originals_stay(paris: tuple[Any, config.Config]) -> None:
    found = simulate.simulate(*paris, simulate.parse(["site=lyon"]))
    assert found.recalls == ()
    assert "brought back" not in found.text()


def test_the_content_itself_is_preferred_to_an_older_version_that_is_nearer(tmp_path: Path) -> None:
    written = NOON - datetime.timedelta(hours=3)
    files = {
        "work": {name: {"modified_at": written, "changed_at": written} for name in ("young", "old")},
        "cloud": {name: {"modified_at": NOON - datetime.timedelta(hours=20)} for name in ("young", "old")},
        "tape": {"young": {"modified_at": written}},
    }
    connection, made = estate(tmp_path, VOLUMES, files, classes={"default": {"max_copy_age": "24h"}})
    found = simulate.simulate(connection, made, simulate.parse(["site=paris"]))
    assert [(one.volume, one.assets, one.older_assets) for one in found.recalls] == [("cloud", 1, 1), ("tape", 1, 0)]


@pytest.mark.slow
def test_the_worst_single_loss_comes_first(paris: tuple[Any, config.Config]) -> None:
    rows = single_losses.ranked(*paris).to_pylist()
    taken = {(row["kind"], row["name"]): (row["lost_assets"], row["unknown_assets"], row["survives_assets"]) for row in rows}
    assert taken["site", "paris"] == taken["volume", "work"] == (1, 0, 4)
    assert taken["site", "rome"] == taken["volume", "tape"] == taken["system", "cloud"] == (0, 0, 5)
    assert all(sum(counts) == 5 for counts in taken.values())
    assert [row["lost_bytes"] for row in rows] == sorted((row["lost_bytes"] for row in rows), reverse=True)
    for row in rows:
        loss = simulate.parse([], row["name"]) if row["kind"] == "threat" else simulate.parse([f"{row['kind']}={row['name']}"])
        alone = {one.outcome: one for one in simulate.simulate(*paris, loss).totals}
        assert [alone[outcome].bytes for outcome in ("lost", "unknown", "survives")] == [row[f"{o}_bytes"] for o in ("lost", "unknown", "survives")]


def _sites(made: tuple[Any, config.Config]) -> tuple[list[dict[str, Any]], dict[str, tuple[int, ...]]]:
    rows = single_losses.ranked(*made, kinds=("site",)).to_pylist()
    return rows, {row["name"]: tuple(row[f"{what}_bytes"] for what in ("lost", "unknown", "survives", "older", "keyless")) for row in rows}


def test_what_a_site_may_take_is_not_hidden_behind_what_another_surely_does(tmp_path: Path) -> None:
    large = {f"video-{number}": {"size_bytes": 10**12} for number in range(5)}
    made = estate(
        tmp_path,
        {"x": {"site": "x", "system": "a"}, "y": {"site": "y", "system": "b"}, "box": {"role": "backup", "of": ["y"], "system": "c"}},
        {"x": {"note": {"size_bytes": 1}}, "y": large, "box": large},
    )
    rows, taken = _sites(made)
    assert taken == {"x": (1, 0, 5 * 10**12, 0, 0), "y": (0, 5 * 10**12, 1, 0, 0)}
    other = single_losses.perhaps_worse(rows)
    assert (rows[0]["name"], other and other["name"]) == ("x", "y")
    assert single_losses.perhaps_worse(rows[:1]) is None
    assert single_losses.perhaps_worse([]) is None


def test_what_survives_a_single_loss_as_an_older_version_or_with_a_key_alone_is_told(tmp_path: Path) -> None:
    written = {"modified_at": NOON - datetime.timedelta(hours=1), "changed_at": NOON - datetime.timedelta(hours=1)}
    made = estate(
        tmp_path,
        {
            "work": {"site": "paris", "system": "a"},
            "desk": {"site": "oslo", "system": "b"},
            "cloud": {"role": "backup", "of": ["work"], "site": "lyon", "system": "c"},
            "sealed": {"role": "backup", "of": ["desk"], "site": "lyon", "system": "d", "encrypted": True},
        },
        {
            "work": {"draft": written | {"size_bytes": 7}},
            "desk": {"photo": {"size_bytes": 3}},
            "cloud": {"draft": {"size_bytes": 6, "modified_at": NOON - datetime.timedelta(hours=9)}},
            "sealed": {"photo": {"size_bytes": 3}},
        },
        classes={"default": {"max_copy_age": "24h"}},
    )
    rows, taken = _sites(made)
    assert taken == {"oslo": (0, 0, 10, 0, 3), "paris": (0, 0, 10, 7, 0), "lyon": (0, 0, 10, 0, 0)}
    other = single_losses.perhaps_worse(rows)
    assert ([row["name"] for row in rows], other and other["name"]) == (["oslo", "paris", "lyon"], "paris")
    assert single_losses.UNITS["keyless_bytes"] == "bytes"


def test_a_medium_that_is_mounted_falls_to_the_same_hand(paris: tuple[Any, config.Config]) -> None:
    def lost(mounted: tuple[str, ...]) -> int:
        rows = single_losses.ranked(*paris, mounted).to_pylist()
        return next(int(row["survives_assets"]) for row in rows if (row["kind"], row["name"]) == ("admin", "it"))

    assert (lost(()), lost(("tape",))) == (4, 3)
    with pytest.raises(NotFoundError, match="there is no volume 'tap'"):
        single_losses.ranked(*paris, ["tap"])
