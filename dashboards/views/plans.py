"""Plans and jobs: what would be done, who agreed, how far it came; an operator approves here."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from catalog.config import Policy
from catalog.errors import LastcopyError
from dashboards import acting, asking, chrome, marks, rights, seam, tables
from lifecycle import numbering, plan
from lifecycle.journal import Journal
from lifecycle.manifest import REFUSAL_REASONS
from lifecycle.plan import Plan
from lifecycle.records import JobRow
from reports.state import counted
from reports.terminal import size

_STATUSES = ("protected", "excepted", "partly", "unknown", "unprotected")
_NONE = {"assets": 0, "bytes": 0}
_DURATIONS = {"quiet", "expires", "grace", "max_evidence_age"}
_SIZES = {"max_bytes", "bytes_per_second"}
_LIVE_SECONDS = 3  # between two looks at jobs
_PLANS = asking.columns(
    plan="its id",
    state="what became of it",
    policy="whose rows it takes",
    action="what it would do",
    files=("files that it takes", "files"),
    bytes=("their size", "bytes"),
    refused=("files that it leaves out", "files"),
    created_at=("when it was made", "UTC"),
    expires_at=("after which it can no longer be run", "UTC"),
    actor="who made it",
)
_REFUSALS = asking.columns(reason="why", files=("files", "files"), bytes=("their size", "bytes"), first="the first of them", detail="why that one")
_STEPS = asking.columns(
    step=("its number", "count"),
    volume="where the file lies",
    path="its path",
    size_bytes=("its size", "bytes"),
    target_volume="where it goes",
    target_path="its path there",
    reason="why the policy took it",
)
_EFFECT = asking.columns(
    status="of the assets",
    before_assets=("assets before", "files"),
    after_assets=("assets after", "files"),
    before_bytes=("bytes before", "bytes"),
    after_bytes=("bytes after", "bytes"),
)
_JOBS = asking.columns(
    job="its id",
    state="how it stands",
    kind="a plan, an undo or a purge",
    action="what it does",
    plan="of which plan",
    steps="its steps by state",
    created_at=("when it began", "UTC"),
    finished_at=("when it ended", "UTC"),
    actor="who ran it",
)


def draw() -> None:
    """Draw the page."""
    chrome.title("Plans and jobs", "What would be done and why, who agreed, and how far it came?")
    found = plan.plans(seam.current().root())
    _policies(expanded=not found)
    st.subheader("Plans", anchor=False)
    if found:
        with acting.journal(rights.WORK) as journal:
            chosen = _chosen(found, journal)
            _plan(chosen, journal)
    else:
        st.caption("No plan was made yet. The loss simulator, dormant copies and duplicates lead to one.")
    st.subheader("Jobs", anchor=False)
    _jobs()


def _policies(*, expanded: bool) -> None:
    policies = seam.current().configuration().policies
    if not policies:
        st.caption("The configuration has no policy: [policies.NAME] names the rows of a report, and what is to be done with them.")
        return
    with st.expander(f"Make a plan of one of {len(policies)} policies in the configuration", icon=":material/add_task:", expanded=expanded):
        name = str(st.selectbox("Policy", list(policies), key="policy", bind="query-params"))
        st.text(_said(policies[name]))
        acting.offer(policies[name], f"policy-{name}", name)


def _said(policy: Policy) -> str:
    told = policy.model_dump(mode="json", exclude_defaults=True)
    return " · ".join(_line(key, value) for key, value in told.items())


def _line(key: str, value: object) -> str:
    name = key.removesuffix("_pct").removesuffix("_per_second").replace("_", " ")
    if isinstance(value, bool):
        return f"{name}: {'yes' if value else 'no'}"
    if isinstance(value, dict):
        return ", ".join(f"{param.replace('_', ' ')}: {one}" for param, one in value.items())
    if key in _DURATIONS and isinstance(value, float):
        return f"{name}: {_duration(value)}"
    said = size(value) if key in _SIZES and isinstance(value, int) else f"{value:g}" if isinstance(value, float) else value
    return f"{name}: {said}{' %' if key.endswith('_pct') else ' a second' if key.endswith('_per_second') else ''}"


def _duration(seconds: float) -> str:
    exact = (f"{seconds / length:g} {unit}" for unit, length in (("d", 86400), ("h", 3600), ("min", 60)) if seconds and seconds % length == 0)
    return next(exact, f"{seconds:g} s" if seconds else "none")


def _chosen(found: Sequence[Plan], journal: Journal | None) -> Plan:
    rows = [
        {
            "plan": one.id,
            "state": one.state(journal, acting.now_us()),
            "policy": one.header.policy_name or "(given by hand)",
            "action": one.header.action,
            "files": one.steps_count,
            "bytes": one.header.totals["bytes"],
            "refused": one.header.totals["refused"],
            "created_at": plan.moment(one.header.created_us),
            "expires_at": plan.moment(one.header.expires_us),
            "actor": one.header.actor,
        }
        for one in reversed(found)
    ]
    row = tables.draw(asking.answer("plans", _PLANS, rows), "plans", click=True)
    if row:
        st.query_params["plan"] = row["plan"]
    wanted = st.query_params.get("plan")
    return next((one for one in found if one.id == wanted), found[-1])


def _plan(chosen: Plan, journal: Journal | None) -> None:
    with st.container(border=True):
        try:
            whole = plan.load(seam.current().root(), chosen.id)
        except LastcopyError as error:
            st.error(chrome.failure(error), icon=":material/block:")
            return
        state, totals = whole.state(journal, acting.now_us()), whole.header.totals
        st.markdown(f"**Plan {marks.escaped(whole.id)}: {marks.escaped(whole.header.action)}, {marks.escaped(state)}**")
        left_out = f"leaves out {counted(totals['refused'], 'file')}, {size(totals['refused_bytes'])}"
        st.text(f"takes {counted(totals['steps'], 'file')}, {size(totals['bytes'])}; {left_out}")
        for one in plan.approvals(whole, journal):
            st.text(f"approved by {one.actor}")
        _approve(whole, state)
        left, right = chrome.halves("effect")
        with left:
            _effect(whole.header.effect)
        with right:
            _refusals(totals)
        if whole.steps_count:
            st.markdown("**What it does**")
            steps = next(whole.rows(numbering.STEPS_FILE, asking.ROWS))
            tables.draw(asking.answer("steps", _STEPS, steps), "plan-steps")


def _approve(found: Plan, state: str) -> None:
    if state not in ("waiting", "partly approved", "approved"):
        return
    if state != "approved" and seam.current().viewer().may(rights.ACTS):
        st.caption("An approval is for this very plan, by its hash, in your name. Nothing is done yet: a job does it, and looks at every file again.")
        if st.button("Approve this plan", key="approve", type="primary", icon=":material/how_to_reg:"):
            try:
                acting.approve(found)
            except LastcopyError as error:
                st.error(chrome.failure(error), icon=":material/block:")
                return
            st.rerun()
    elif state != "approved":
        st.caption("It waits for the approval of an operator.")
    words = [["plan", "approve", found.id]] if state != "approved" else []
    st.code("\n".join(marks.command(*one) for one in [*words, ["job", "run", found.id]]), language=None)


def _effect(effect: Mapping[str, Any] | None) -> None:
    st.markdown("**What it does for protection**")
    if effect is None or effect["coverage"] is None:
        st.caption("Nothing: it takes no file." if effect is None else marks.escaped(f"Not known: {effect['unknown_because']}"))
        return
    before, after = (effect["coverage"][when]["status"] for when in ("before", "after"))
    rows = []
    for status in _STATUSES:
        if status in before or status in after:
            one, two = before.get(status, _NONE), after.get(status, _NONE)
            sums = {"before_assets": one["assets"], "after_assets": two["assets"], "before_bytes": one["bytes"], "after_bytes": two["bytes"]}
            rows.append({"status": status, **sums})
    tables.draw(asking.answer("effect", _EFFECT, rows), "plan-effect")
    cost = effect["cost"]
    for word, key in (("saves", "saved"), ("adds", "added")):
        if cost[f"{key}_per_month"]:
            st.text(f"{word} {marks.money(cost[f'{key}_per_month'])} {cost['currency']} a month")


def _refusals(totals: Mapping[str, Any]) -> None:
    st.markdown("**What it leaves out, and why**")
    rows = [{"reason": reason, **one} for reason, one in totals["refusals"].items()]
    tables.draw(asking.answer("refusals", _REFUSALS, rows), "plan-refusals", words=("reason",))
    for row in rows:
        st.caption(marks.escaped(f"{row['reason'].replace('_', ' ')}: {REFUSAL_REASONS[row['reason']]}"))


@st.fragment(run_every=_LIVE_SECONDS)
def _jobs() -> None:
    with acting.journal(rights.WORK) as journal:
        jobs = [] if journal is None else list(reversed(journal.jobs()))
    if not jobs:
        st.caption("No job was run yet.")
        return
    rows = [
        {
            "job": one.job_id,
            "state": one.state,
            "kind": one.kind,
            "action": one.action,
            "plan": one.plan_id,
            "steps": _counts(one),
            "created_at": plan.moment(one.created_us),
            "finished_at": None if one.finished_us is None else plan.moment(one.finished_us),
            "actor": one.actor,
        }
        for one in jobs
    ]
    tables.draw(asking.answer("jobs", _JOBS, rows), "jobs")


def _counts(job: JobRow) -> str:
    return ", ".join(f"{number:,} {state} ({size(job.bytes.get(state, 0))})" for state, number in job.counts.items())


draw()
