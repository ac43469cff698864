"""A plan for people and for programs: its summary as text, as rows, as data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lifecycle.manifest import REFUSAL_REASONS
from lifecycle.stores import is_folder
from reports import cells
from reports.state import counted, iso
from reports.terminal import human, money

if TYPE_CHECKING:
    from lastcopy.settings import Settings
    from lifecycle.journal import Journal
    from lifecycle.plan import Plan

_UNITS = {"size_bytes": "bytes", "cost_per_month": "money", "sha256": "SHA-256"}
_IN_REFUSALS = ("volume", "path", "size_bytes", "reason", "detail")
_STATUSES = ("protected", "excepted", "partly", "unknown", "unprotected")
_NONE = {"assets": 0, "bytes": 0}
_FIRST = 10  # steps that a summary shows
_SHOWN = ("step", "volume", "path", "size_bytes", "target_volume", "target_path", "kept_path", "reason")


def data(plan: "Plan", journal: "Journal | None", now_us: int) -> dict[str, Any]:
    """The plan as JSON data; paths are in the escaped form."""
    from lifecycle.plan import approvals, moment

    header = plan.header
    return {
        "id": plan.id,
        "state": plan.state(journal, now_us),
        "hash": plan.hash,
        "policy_name": header.policy_name or None,
        "policy": header.policy.model_dump(mode="json", exclude_none=True),
        "action": header.action,
        "snapshot": header.snapshot_id,
        "created_at": iso(moment(header.created_us)),
        "expires_at": iso(moment(header.expires_us)),
        "actor": header.actor,
        "floor": header.floor,
        "totals": header.totals,
        "effect": header.effect,
        "approvals": [{"actor": one.actor, "at": iso(moment(one.at_us)), "steps": spans(one.steps)} for one in approvals(plan, journal)],
        "approved_steps": spans(plan.approved(journal)),
        "first_steps": first_steps(plan),
    }


def rows(plan: "Plan") -> list[dict[str, object]]:
    """The totals, one row for what the plan takes and one a reason of refusal."""
    totals = plan.header.totals
    found: list[dict[str, object]] = [{"what": "steps", "files": totals["steps"], "bytes": totals["bytes"], "meaning": f"what {plan.header.action} will do"}]
    found += [
        {"what": f"refused: {reason}", "files": one["files"], "bytes": one["bytes"], "meaning": REFUSAL_REASONS[reason]}
        for reason, one in totals["refusals"].items()
    ]
    return found


def text(plan: "Plan", journal: "Journal | None", now_us: int) -> str:
    """The plan for people."""
    from lifecycle.plan import moment

    header, totals = plan.header, plan.header.totals
    lines = [
        f"plan {plan.id}: {header.action} by {f'policy {header.policy_name}' if header.policy_name else 'the options given'}, {plan.state(journal, now_us)}",
        f"  created {_minute(moment(header.created_us))} by {header.actor}, expires {_minute(moment(header.expires_us))}, over snapshot {header.snapshot_id}",
        f"  takes {counted(totals['steps'], 'file')}, {human(totals['bytes'], 'bytes')}{_left_out(totals)}",
        *_asked_back(totals),
        *(f"  approved by {one['actor']} at {one['at']}: {one['steps']}" for one in data(plan, journal, now_us)["approvals"]),
        *_refusals(plan),
        *_effect(plan),
        *_steps(plan),
    ]
    return "\n".join(cells.clean(line) for line in lines)


def first_steps(plan: "Plan") -> list[dict[str, object]]:
    """The first steps, as plain values."""
    for batch in plan.rows("steps.parquet", _FIRST):
        return [{name: row[name] for name in _SHOWN if row[name] is not None} for row in batch]
    return []


def listed(chosen: "Settings", plan: "Plan", *, refusals: bool) -> None:
    """Print every step, or every refusal, with what is known of the plan's snapshot."""
    from catalog import snapshot
    from catalog.derive.expressions import quoted
    from lastcopy import asking, output
    from lifecycle import numbering
    from reports import render, state

    root = plan.folder.parent.parent
    file, order = (numbering.REFUSALS_FILE, "reason, volume, path") if refusals else (numbering.STEPS_FILE, "step")
    connection = asking.opened(root, snapshot.find(root, plan.header.snapshot_id))
    try:
        relation = connection.sql(f"SELECT * FROM read_parquet({quoted(str(plan.folder.absolute() / file))}) ORDER BY {order}")
        name, title = ("plan-refusals", f"Left out of plan {plan.id}") if refusals else ("plan-steps", f"Steps of plan {plan.id}")
        answer = render.table_answer(name, title, relation, state.read(connection.cursor()), _UNITS)
        output.answer(chosen, replace(answer, table=_IN_REFUSALS if refusals else _SHOWN))
    finally:
        connection.close()


def spans(found: "tuple[tuple[int, int], ...] | None") -> str:
    """Ranges of steps as they are written: '1-100,205'; 'all' for None."""
    return "all" if found is None else ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _refusals(plan: "Plan") -> Iterator[str]:
    for reason, one in plan.header.totals["refusals"].items():
        yield f"    {one['files']:>10,} {human(one['bytes'], 'bytes'):>10}  {reason.replace('_', ' ')}: {REFUSAL_REASONS[reason]}"
        yield f"{'':27}{one['first']}: {one['detail']}"


def _effect(plan: "Plan") -> Iterator[str]:
    effect = plan.header.effect
    if effect is None:
        return
    if effect["coverage"] is None:
        yield f"  what it changes of the coverage is not known: {effect['unknown_because']}"
    else:
        before, after = (effect["coverage"][when]["status"] for when in ("before", "after"))
        yield "  assets by protection, before -> after:"
        rows = []
        for status in sorted({*before, *after}, key=_STATUSES.index):
            one, two = before.get(status, _NONE), after.get(status, _NONE)
            sizes = human(one["bytes"], "bytes"), human(two["bytes"], "bytes")
            rows.append((status, f"{one['assets']:,}", "->", f"{two['assets']:,}", sizes[0], "->", sizes[1]))
        yield from _aligned(rows)
    cost = effect["cost"]
    for word, key, meaning in (("saves", "saved", "once the quarantine is purged"), ("adds", "added", "by the sizes of the files")):
        unpriced = cost[f"unpriced_{key}_bytes"]
        without = f", and the price of {human(unpriced, 'bytes')} is not declared" if unpriced else ""
        if unpriced and not cost[f"{key}_per_month"]:
            yield f"  what it {word} a month is unknown: the price of {human(unpriced, 'bytes')} is not declared; {meaning}"
        elif cost[f"{key}_per_month"] or unpriced:
            yield f"  {word} {money(cost[f'{key}_per_month'])} {cost['currency']} a month, {meaning}{without}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of words as lines: the first to the left, the rest to the right of their column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        yield "    " + "  ".join([first.ljust(widths[0]), *(word.rjust(width) for word, width in zip(rest, widths[1:], strict=True))])


def _left_out(totals: Mapping[str, Any]) -> str:
    return f"; leaves out {counted(totals['refused'], 'file')}, {human(totals['refused_bytes'], 'bytes')}" if totals["refused"] else ""


def _asked_back(totals: Mapping[str, Any]) -> Iterator[str]:
    """What will be asked of archives, which costs."""
    for one in totals.get("asked_back", ()):
        where = f"{counted(one['files'], 'file')}, {human(one['bytes'], 'bytes')} of {one['volume']} in an archive of its store, by the newest scan"
        if one["days"] is None:
            yield f"  cannot read {where}: restore_for of volume {one['volume']} is not declared, so nothing is asked back"
        else:
            lasting = f"{one['days']:,} {'day' if one['days'] == 1 else 'days'}"
            yield f"  asks back {where}: {one['tier']}, for {lasting}, which costs what the store takes for it; the job waits for them"


def _steps(plan: "Plan") -> Iterator[str]:
    found = first_steps(plan)
    if found:
        yield "" if len(found) == plan.steps_count else f"  the first {len(found)} steps; --steps lists all:"
    for row in found:
        to = (
            f" -> {row['target_volume']}{'/' if is_folder(str(row['target_volume'])) else ':'}{row['target_path']}"
            if "target_volume" in row
            else f" = {row['kept_path']}"
            if "kept_path" in row
            else ""
        )
        yield f"    {row['step']:>6} {human(row['size_bytes'], 'bytes'):>10}  {row['volume']}:{row['path']}{to}"
        yield f"           {row['reason']}"


def _minute(moment: Any) -> str:  # noqa: ANN401  # a datetime, whose module need not be imported for this
    return f"{moment:%Y-%m-%d %H:%M}"
