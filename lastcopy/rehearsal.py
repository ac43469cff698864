"""A loss as it would be now, and as it would be once a plan was carried out: both answers side by side."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports import cells, simulate, terminal

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from lifecycle.plan import Plan
    from reports.reach import Loss
    from reports.simulate import Simulation, Sum

_ROW = ("volume", "path")


@dataclass(frozen=True)
class Rehearsal:
    """The same loss before and after a plan, over the plan's own snapshot."""

    plan_id: str
    action: str
    before: "Simulation"
    after: "Simulation"

    def data(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"plan": self.plan_id, "action": self.action, "before": self.before.data(), "after": self.after.data()}

    def text(self) -> str:
        """For people."""
        one, two = self.before, self.after
        lines = [f"{one.title}, before and after plan {self.plan_id} ({self.action}), over snapshot {one.snapshot}", ""]
        lines += _beside(one.totals, two.totals)
        for title, first, second in (("By class", one.by_class, two.by_class), ("By volume", one.by_volume, two.by_volume)):
            lines += ["", title, *_beside(first, second)]
        lines += ["", "Survivors lie on", *_beside(one.survivors, two.survivors)]
        lines += ["", f"To be brought back in {_hours(one)}, afterwards in {_hours(two)}"]
        return "\n".join(cells.clean(line) for line in lines) + "\n"


def of(root: "Path", plan: "Plan", connection: "DuckDBPyConnection", loss: "Loss") -> Rehearsal:
    """The loss before and after a plan. `connection` is one to the plan's snapshot. Raises RefusedError where what a plan changes is not known."""
    from catalog import snapshot
    from lifecycle import plan as plans

    config = snapshot.find(root, plan.header.snapshot_id).config
    before = simulate.simulate(connection, config, loss)
    with plans.afterwards(root, plan) as later:
        return Rehearsal(plan.id, plan.header.action, before, simulate.simulate(later, config, loss))


def outcomes(root: "Path", plan: "Plan", connection: "DuckDBPyConnection", loss: "Loss") -> "pa.Table":
    """One row an asset, with `outcome` and `outcome_after`: null where it is no asset then."""
    from catalog import snapshot
    from lifecycle import plan as plans

    config = snapshot.find(root, plan.header.snapshot_id).config
    before = simulate.outcomes(connection, config, loss)
    with plans.afterwards(root, plan) as later:
        after = simulate.outcomes(later, config, loss).rename_columns({"original": "original_after", "copies": "copies_after", "outcome": "outcome_after"})
    joined = before.drop_columns(["only_older"]).join(after.drop_columns(["only_older"]), list(_ROW), join_type="full outer")
    return joined.sort_by([(name, "ascending") for name in _ROW])


def _beside(before: "tuple[Sum, ...]", after: "tuple[Sum, ...]") -> list[str]:
    then = {(one.name, one.outcome): one for one in before}
    later = {(one.name, one.outcome): one for one in after}
    found = []
    for name, outcome in dict.fromkeys([*then, *later]):
        one, two = then.get((name, outcome)), later.get((name, outcome))
        sizes = terminal.size(one.bytes if one else 0), terminal.size(two.bytes if two else 0)
        label = f"{'' if name == 'all' else f'{name:<24} '}{outcome:<9}"
        found.append(f"  {label}{one.assets if one else 0:>14,} -> {two.assets if two else 0:>14,} assets  {sizes[0]:>12} -> {sizes[1]:>12}")
    return found


def _hours(one: "Simulation") -> str:
    return "a time that nobody declared" if one.recall_hours is None else f"{one.recall_hours:,.1f} hours"
