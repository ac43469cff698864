"""A loss before and after a plan, held against the loss as it is once the plan was carried out and everything was scanned again."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from catalog import connect, snapshot
from lastcopy import rehearsal
from lifecycle import job as jobs
from reports import simulate
from reports.reach import Loss
from tests.lifecycle.grounds import Grounds


@pytest.fixture
def grounds(tmp_path: Path) -> Grounds:
    made = Grounds(tmp_path)
    for name in ("alone", "in the mirror", "dir/linked"):
        made.write("data", name, os.urandom(1000))
    os.link(made.at("data", "dir/linked"), made.at("data", "dir/other name"))
    made.write("mirror", "in the mirror", Path(os.fsdecode(made.at("data", "in the mirror"))).read_bytes())
    made.write("far", "old", b"an original of its own")
    return made.scanned().prepared("data", "vault", "far")


def found(grounds: Grounds, loss: Loss) -> tuple[Any, ...]:
    """The loss over the newest snapshot: its sums, and what becomes of each asset."""
    wanted = snapshot.find(grounds.root)
    connection = connect.connect(grounds.root, wanted)
    try:
        said = simulate.simulate(connection, wanted.config, loss)
        return said.totals, said.by_volume, said.survivors, simulate.outcomes(connection, wanted.config, loss).to_pylist()
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("loss", [simulate.parse(["site=data"]), simulate.parse(["volume=vault"]), simulate.parse([], "ransomware")], ids=str)
@pytest.mark.parametrize(
    "policy",
    [
        {"action": "copy", "to": "vault", "where": "volume = 'data'"},
        {"action": "archive", "to": "vault", "where": "volume = 'data' AND path <> 'alone'"},
        {"action": "archive", "to": "vault", "where": "volume = 'data'", "leave": "stub"},
        {"action": "delete", "report": "largest", "where": "volume = 'far'"},
    ],
    ids=["copy", "archive some", "archive and leave stubs", "delete"],
)
def test_a_loss_after_a_plan_is_what_it_is_once_that_was_carried_out(grounds: Grounds, policy: dict[str, Any], loss: Loss) -> None:
    now = found(grounds, loss)
    made = grounds.plan(**{"report": "assets", "needs_approval": False, **policy})
    wanted = snapshot.find(grounds.root)
    connection = connect.connect(grounds.root, wanted)
    try:
        both = rehearsal.of(grounds.root, made, connection, loss)
        rows = rehearsal.outcomes(grounds.root, made, connection, loss).to_pylist()
    finally:
        connection.close()
    assert (both.before.totals, both.before.by_volume, both.before.survivors) == now[:3]
    jobs.run(grounds.root, grounds.config, made.id, clock=lambda: grounds.now_us, actor="ada")
    grounds.scanned()
    later = found(grounds, loss)
    assert (both.after.totals, both.after.by_volume, both.after.survivors) == later[:3]
    assert {(row["volume"], row["path"]): row["outcome"] for row in rows if row["outcome"]} == {(row["volume"], row["path"]): row["outcome"] for row in now[3]}
    told = {(row["volume"], row["path"]): row["outcome_after"] for row in rows if row["outcome_after"]}
    assert told == {(row["volume"], row["path"]): row["outcome"] for row in later[3]}


def test_the_command_shows_both_side_by_side(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault", where="volume = 'data'")
    shown = grounds.ask("simulate", "--lose", "site=data", "--plan", made.id).out.decode()
    assert f"Loss of site data, before and after plan {made.id} (copy)" in shown
    assert [line.split()[:4] for line in shown.splitlines() if line.startswith("  lost ")] == [["lost", "3", "->", "0"]]
    told = json.loads(grounds.ask("simulate", "--lose", "site=data", "--plan", made.id, "--format", "json").out)["data"]
    assert [[one["assets"] for one in told[when]["totals"]] for when in ("before", "after")] == [[3, 0, 2], [0, 0, 5]]
    rows = [json.loads(line) for line in grounds.ask("simulate", "--lose", "site=data", "--plan", made.id, "--format", "jsonl").out.splitlines()]
    assert {row["path"]: (row["outcome"], row["outcome_after"]) for row in rows}["alone"] == ("lost", "survives")
    assert "ask one of them" in grounds.ask("simulate", "--lose", "site=data", "--plan", made.id, "--before", "2026-01-01", code=2).err
    assert "there is no plan" in grounds.ask("simulate", "--lose", "site=data", "--plan", "pnone", code=6).err
