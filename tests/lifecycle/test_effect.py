"""What a plan says that it changes, held against what is found once it was carried out and everything was scanned again."""

import os
from pathlib import Path
from typing import Any

import pytest

from catalog import connect, snapshot
from catalog.words import THREATS
from lastcopy import planned
from lifecycle import job as jobs
from lifecycle.plan import Plan
from tests.lifecycle.grounds import Grounds

MIB = 1 << 20


@pytest.fixture
def grounds(tmp_path: Path) -> Grounds:
    made = Grounds(tmp_path)
    for name in ("alone", "in the mirror", "everywhere", "dir/linked"):
        made.write("data", name, os.urandom(1000))
    os.link(made.at("data", "dir/linked"), made.at("data", "dir/other name"))
    for name, volumes in {"in the mirror": ("mirror",), "everywhere": ("mirror", "far")}.items():
        for volume in volumes:
            made.write(volume, name, Path(os.fsdecode(made.at("data", name))).read_bytes())
    made.write("far", "old", b"an original of its own")
    return made.scanned().prepared("data", "vault", "far")


def coverage(grounds: Grounds) -> dict[str, Any]:
    """The coverage that the newest snapshot finds, added up asset by asset."""
    connection = connect.connect(grounds.root, snapshot.find(grounds.root))
    try:
        rows = connection.execute(f"SELECT counted_bytes, status, {', '.join(THREATS)} FROM assets").fetchall()
    finally:
        connection.close()
    columns = {"status": [row[1] for row in rows]} | {threat: [row[2 + place] for row in rows] for place, threat in enumerate(THREATS)}
    sums = {
        name: {
            word: {"assets": words.count(word), "bytes": sum(row[0] for row, found in zip(rows, words, strict=True) if found == word)} for word in set(words)
        }
        for name, words in columns.items()
    }
    return {"status": sums.pop("status"), "threats": sums}


def carried_out_and_scanned(grounds: Grounds, made: Plan) -> dict[str, Any]:
    outcome = jobs.run(grounds.root, grounds.config, made.id, clock=lambda: grounds.now_us, actor="ada")
    assert not set(outcome.counts) - {"DONE", "QUARANTINED"}
    grounds.scanned()
    return coverage(grounds)


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy",
    [
        {"action": "copy", "to": "vault", "where": "volume = 'data'"},
        {"action": "copy", "to": "vault", "to_dir": "other/place", "where": "path <> 'alone'"},
        {"action": "archive", "to": "vault", "where": "volume = 'data'"},
        {"action": "archive", "to": "vault", "where": "volume = 'data' AND path <> 'alone'"},
        {"action": "delete", "report": "largest", "where": "volume = 'far'"},
    ],
    ids=["copy", "copy elsewhere", "archive", "archive some", "delete"],
)
def test_the_coverage_after_is_what_a_scan_of_everything_finds(grounds: Grounds, policy: dict[str, Any]) -> None:
    before = coverage(grounds)
    made = grounds.plan(**{"report": "assets", "needs_approval": False, "with_effect": True, **policy})
    effect = made.header.effect
    assert effect is not None
    assert effect["coverage"]["before"] == before
    after = carried_out_and_scanned(grounds, made)
    assert effect["coverage"]["after"] == after
    assert effect["coverage"]["before"] != after or policy["action"] == "delete"


@pytest.mark.slow
def test_the_cost_is_that_of_the_space_on_both_sides(grounds: Grounds) -> None:
    grounds.write("data", "large", os.urandom(MIB))
    grounds.scanned()
    made = grounds.plan("archive", to="vault", report="assets", where="path = 'large'", with_effect=True)
    assert made.header.effect is not None
    cost = made.header.effect["cost"]
    assert cost["saved_per_month"] == pytest.approx(20.0 * MIB / 2**40)
    assert cost["added_per_month"] == pytest.approx(5.0 * MIB / 2**40)
    assert (cost["unpriced_saved_bytes"], cost["unpriced_added_bytes"], cost["currency"]) == (0, 0, "EUR")


def test_bytes_without_a_price_are_counted_apart(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="far", where="path = 'alone'", with_effect=True)
    assert made.header.effect is not None
    assert made.header.effect["cost"] == {
        "currency": "EUR",
        "saved_per_month": 0.0,
        "added_per_month": 0.0,
        "unpriced_saved_bytes": 0,
        "unpriced_added_bytes": 1000,
    }
    assert "  what it adds a month is unknown: the price of 1000 B is not declared; by the sizes of the files" in planned.text(made, None, grounds.now_us)


@pytest.mark.slow
def test_what_is_at_the_target_already_costs_nothing_more(grounds: Grounds) -> None:
    for name in ("here", "there too"):
        grounds.write("data", name, os.urandom(MIB))
    grounds.write("vault", "there too", Path(os.fsdecode(grounds.at("data", "there too"))).read_bytes())
    grounds.scanned()
    made = grounds.plan("copy", to="vault", report="assets", where="path IN ('here', 'there too')", with_effect=True)
    assert made.steps_count == 2
    assert made.header.effect is not None
    assert made.header.effect["cost"]["added_per_month"] == pytest.approx(5.0 * MIB / 2**40)


@pytest.mark.slow
def test_a_copy_on_a_volume_that_was_never_scanned_leaves_the_rest_of_it_unknown(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path)
    grounds.write("data", "one", b"1")
    grounds.write("data", "two", b"2")
    for volume in ("data", "far", "mirror"):
        grounds.ask("scan", volume)
    grounds.prepared("vault")
    made = grounds.plan("copy", to="vault", where="path = 'one'", with_effect=True)
    assert made.header.effect is not None
    threats = made.header.effect["coverage"]["after"]["threats"]
    assert threats["system_failure"] == {"yes": {"assets": 1, "bytes": 1}, "unknown": {"assets": 1, "bytes": 1}}


def test_a_target_that_the_snapshot_does_not_know_makes_the_coverage_unknown(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path)
    grounds.write("data", "one", b"1")
    grounds.scanned()
    (grounds.folder / "new" / "a folder").mkdir(parents=True)
    grounds.configure('[volumes.new]\nurl = "new"\nrole = "archive"\n')
    grounds.prepared("new")
    made = grounds.plan("copy", to="new", with_effect=True)
    assert made.header.effect is not None
    assert made.header.effect["coverage"] is None
    assert "volume new" in made.header.effect["unknown_because"]
    assert "is not known" in grounds.ask("plan", "show", made.id).out.decode()


def test_the_text_of_a_plan_says_what_becomes_of_the_assets(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault", where="path = 'alone'", with_effect=True)
    shown = grounds.ask("plan", "show", made.id).out.decode()
    assert "assets by protection, before -> after:" in shown
    assert not list((grounds.root / ".tmp").glob("effect-*"))
