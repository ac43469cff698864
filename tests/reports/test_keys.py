"""Keys of encrypted volumes: as things to lose, and the report of where they are kept."""

from pathlib import Path
from typing import Any

import pytest

import reports
from catalog import config
from catalog.errors import NotFoundError
from reports import simulate, single_losses
from tests.reports.conftest import Estate as Made
from tests.reports.conftest import answer
from tests.reports.test_simulate import estate, results

FILES = {
    "work": {"a": {"size_bytes": 5}, "b": {"size_bytes": 70}},
    "nightly": {"a": {"size_bytes": 5}, "b": {"size_bytes": 70}},
    "disk": {"a": {"size_bytes": 5}},
}
PLACES: dict[str, dict[str, Any]] = {
    "work": {"role": "primary", "system": "nas", "site": "paris", "device": "d1", "access": "online"},
    "nightly": {"role": "backup", "system": "s2", "site": "lyon", "device": "d2", "access": "online", "immutability": "none"},
    "disk": {"role": "backup", "system": "s3", "site": "rome", "device": "d3", "access": "offline"},
    "safe": {"role": "backup", "system": "s4", "site": "bern", "device": "d4", "access": "offline", "of": []},
}


def _made(folder: Path, **nightly: object) -> tuple[Any, config.Config]:
    return estate(folder, {**PLACES, "nightly": PLACES["nightly"] | nightly}, FILES)


def test_a_copy_whose_key_lay_with_the_original_is_lost_with_it(tmp_path: Path) -> None:
    made = _made(tmp_path, key_on=["work"])
    assert {path: outcome for path, (_, _, outcome) in results(*made, simulate.parse(["site=paris"])).items()} == {"a": "survives", "b": "lost"}
    threats = made[0].execute("SELECT path, system_failure, system_failure_reasons, user_error FROM assets ORDER BY path").fetchall()
    assert threats == [("a", "yes", "", "unknown"), ("b", "no", "key_lost", "unknown")]


def test_one_place_of_a_key_that_is_left_is_enough(tmp_path: Path) -> None:
    made = _made(tmp_path, key_on=["work", "safe"])
    assert {path: outcome for path, (_, _, outcome) in results(*made, simulate.parse(["site=paris"])).items()} == {"a": "survives", "b": "survives"}
    both = simulate.parse(["site=paris", "volume=safe"])
    assert {path: outcome for path, (_, _, outcome) in results(*made, both).items()} == {"a": "survives", "b": "lost"}


def test_the_loss_of_a_key_is_that_of_what_it_opens_and_of_nothing_else(tmp_path: Path) -> None:
    made = _made(tmp_path, encrypted=True)
    found = simulate.simulate(*made, simulate.parse(["volume=work", "key=nightly"]))
    assert [(s.outcome, s.assets) for s in found.totals] == [("lost", 1), ("unknown", 0), ("survives", 1)]
    assert found.title == "Loss of volume work and key nightly"
    with pytest.raises(NotFoundError, match="there is no key 'disk'; known are nightly"):
        simulate.simulate(*made, simulate.parse(["key=disk"]))
    ranked = {(row["kind"], row["name"]): row["lost_assets"] for row in single_losses.ranked(*made).to_pylist()}
    assert ranked["key", "nightly"] == 0
    assert ("key", "disk") not in ranked


def test_a_key_that_is_kept_nobody_says_where_is_told_beside_what_rests_on_it(tmp_path: Path) -> None:
    found = simulate.simulate(*_made(tmp_path / "1", encrypted=True), simulate.parse(["site=paris"]))
    assert (found.keyless.volumes, found.keyless.assets, found.keyless.bytes) == (("nightly",), 1, 70)
    assert "1 asset (70 B) only as long as a key does, too: nobody says where that of nightly is kept (declare 'key_on')" in found.text()
    told = simulate.simulate(*_made(tmp_path / "2", key_on=["safe"]), simulate.parse(["site=paris"]))
    assert (told.keyless.assets, "as long as a key" in told.text()) == (0, False)


def test_a_key_that_lies_where_only_another_key_opens_is_as_unknown_as_that_one(tmp_path: Path) -> None:
    locked = PLACES | {"safe": PLACES["safe"] | {"encrypted": True}}
    inner = estate(tmp_path / "1", locked | {"nightly": PLACES["nightly"] | {"key_on": ["safe"]}}, FILES)
    found = simulate.simulate(*inner, simulate.parse(["site=paris"]))
    assert (found.keyless.volumes, found.keyless.assets, found.keyless.bytes) == (("safe",), 1, 70)
    assert "nobody says where that of safe is kept" in found.text()
    either = estate(tmp_path / "2", locked | {"nightly": PLACES["nightly"] | {"key_on": ["safe", "disk", "work"]}}, FILES)
    assert simulate.simulate(*either, simulate.parse(["site=paris"])).keyless.assets == 0
    left = simulate.simulate(*either, simulate.parse(["site=paris", "volume=disk"])).keyless
    assert (left.volumes, left.assets) == (("safe",), 2)


def test_the_report_tells_single_places_of_keys_and_what_has_no_other_copy(estate: Made) -> None:
    connection = estate(
        volumes=[
            {"volume": "projects"},
            {"volume": "nightly", "encrypted": "yes", "key_on": ["projects"]},
            {"volume": "cloud", "encrypted": "yes", "key_on": ["projects", "safe"]},
            {"volume": "near", "encrypted": "yes", "key_on": ["projects", "shelf"]},
            {"volume": "weekly", "encrypted": "unknown"},
            {"volume": "safe", "systems": ["s2"], "sites": ["lyon"]},
            {"volume": "shelf", "systems": ["s3"], "sites": ["paris"]},
        ],
        files=[{"path": "a", "size_bytes": 600}, {"path": "b", "size_bytes": 30}],
        copies=[
            {"path": "a", "copy_volume": "nightly", "usable": "yes"},
            {"path": "b", "copy_volume": "nightly", "usable": "yes"},
            {"path": "b", "copy_volume": "shelf", "usable": "yes"},
            {"path": "b", "copy_volume": "weekly", "usable": "no"},
        ],
    )
    assert answer(reports.load("keys").run(connection)) == [
        ("cloud", "yes", "several", "projects,safe", "nas-1,s2", "lyon,paris", 0, 0, 0, 0),
        ("near", "yes", "one_place", "projects,shelf", "nas-1,s3", "paris", 0, 0, 0, 0),
        ("nightly", "yes", "single", "projects", "nas-1", "paris", 2, 630, 1, 600),
        ("weekly", "unknown", "unknown", "", "", "", 0, 0, 0, 0),
    ]


def test_places_of_a_key_that_share_a_system_or_a_site_or_may_are_one(estate: Made) -> None:
    connection = estate(
        volumes=[
            {"volume": "projects"},
            {"volume": "both", "encrypted": "yes", "key_on": ["vm", "disk0"]},
            {"volume": "system", "encrypted": "yes", "key_on": ["vm", "far"]},
            {"volume": "apart", "encrypted": "yes", "key_on": ["disk0", "far", "nowhere"]},
            {"volume": "perhaps", "encrypted": "yes", "key_on": ["disk0", "nowhere"]},
            {"volume": "disk0", "systems": ["nas-1"], "sites": ["paris"]},
            {"volume": "vm", "systems": ["nas-1", "vm"], "sites": ["paris", "room-2"]},
            {"volume": "far", "systems": ["vm"], "sites": ["lyon"]},
            {"volume": "nowhere", "systems": [], "sites": []},
        ],
    )
    assert answer(reports.load("keys").run(connection), "volume", "state", "systems", "sites") == [
        ("apart", "several", "nas-1,vm", "lyon,paris"),
        ("both", "one_place", "nas-1,vm", "paris,room-2"),
        ("perhaps", "one_place", "nas-1", "paris"),
        ("system", "one_place", "nas-1,vm", "lyon,paris,room-2"),
    ]
