"""`catalog expire` keeps what plans are over, says what goes, and refuses what it cannot know."""

import shutil
from pathlib import Path

import pytest

from catalog import inventory, snapshot
from tests.lastcopy.conftest import Estate
from tests.lastcopy.program import ask
from tests.lifecycle.grounds import Grounds

NONE = ("--keep-daily", "0", "--keep-weekly", "0", "--keep-monthly", "0", "--keep-yearly", "0")


@pytest.mark.slow
def test_the_snapshot_that_a_plan_is_over_and_one_that_is_named_are_kept(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path)
    grounds.write("data", "file", b"content")
    grounds.scanned().prepared("data", "vault")
    made = grounds.plan(action="copy", to="vault", where="volume = 'data'", report="assets", needs_approval=False)
    for _ in range(4):
        grounds.scanned()
    known = [one.snapshot_id for one in snapshot.snapshots(grounds.root)]
    place = known.index(made.header.snapshot_id)
    told = ask("catalog", "expire", *NONE, "--keep", known[place + 1], "--catalog", str(grounds.root), "--format", "json", folder=tmp_path).data
    reasons = {row["snapshot_id"]: row["reason"] for row in told if row["do"] == "keep"}
    assert (reasons[known[place]], reasons[known[place + 1]]) == (f"plan {made.id}", "asked for")
    assert {row["snapshot_id"] for row in told if row["do"] == "drop"} == {known[place + 2], *known[:place]}
    assert {str(row["snapshot_id"]) for row in inventory.snapshots(grounds.root) if not row["derived_stored"]} == {known[place + 2], *known[:place]}


def test_a_dry_run_says_what_would_go(estate: Estate, tmp_path: Path) -> None:
    shutil.copytree(estate.folder / "catalog", tmp_path / "catalog")
    ended = ask("catalog", "expire", *NONE, "--dry-run", "--catalog", "catalog", folder=tmp_path)
    assert b"newest" in ended.out
    assert "would be dropped" in ended.err


def test_an_unknown_snapshot_and_a_short_grace_time_are_refused(estate: Estate) -> None:
    assert "no such snapshot" in ask("catalog", "expire", "--keep", "s1", folder=estate.folder, code=6).err
    for grace in ("59m", "soon"):
        assert "--grace" in ask("catalog", "expire", "--grace", grace, folder=estate.folder, code=2).err
    ask("catalog", "expire", "--catalog", "gone", folder=estate.folder, code=6)
