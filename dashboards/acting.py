"""What leads from a page to an act: the plan that a page speaks of, as a command for everybody and as a button for operators."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from catalog.config import Policy
from catalog.errors import LastcopyError, NotFoundError, RefusedError
from dashboards import asking, chrome, links, marks, rights, seam
from dashboards.rights import Right
from lifecycle import people, plan
from lifecycle.journal import Journal


def offer(policy: Policy, key: str, name: str = "") -> None:
    """Draw the command that makes a plan of this policy, which may have a name in the configuration, and for operators the button that does."""
    if asking.view().snapshot_id != asking.snapshots()[0].snapshot_id:
        st.caption("This is an earlier snapshot: a plan is made over the newest one.")
        return
    policy = policy if name else _as_elsewhere(policy)
    st.code(marks.command("plan", "create", *([name] if name else _words(policy))), language=None, wrap_lines=True)
    if not seam.current().viewer().may(rights.ACTS):
        st.caption("An operator of this catalog runs this, or makes the plan on this page when signed in to 'lastcopy serve'.")
        return
    if st.button("Create this plan", key=f"{key}-create", type="primary", icon=":material/add_task:"):
        try:
            with st.spinner("Looking at every file …"):
                made = create(name or policy)
        except LastcopyError as error:
            st.error(chrome.failure(error), icon=":material/block:")
            return
        links.go("views/plans.py", {"plan": made.id})


def create(policy: Policy | str) -> plan.Plan:
    """A new plan over the snapshot that is looked at. Writes to the catalog only. Raises LastcopyError."""
    served = seam.current()
    with journal(rights.ACTS) as found:
        return plan.create(
            served.root(),
            served.configuration(),
            policy,
            now_us=now_us(),
            actor=actor(),
            of=asking.snapshot_of(asking.view()),
            journal=found,
        )


def approve(found: plan.Plan) -> None:
    """Approve a plan as the one who looks. Writes to the journal. Raises LastcopyError."""
    served = seam.current()
    refuse_unless(rights.ACTS)
    with Journal.open(served.configuration(), served.root(), create=True) as opened:
        plan.approve(found, opened, actor=actor(), at_us=now_us())


@contextmanager
def journal(right: Right) -> Iterator[Journal | None]:
    """The open journal for who looks by a right, None where there is none yet. Makes nothing. Raises RefusedError also on another host than its own."""
    served = seam.current()
    refuse_unless(right)
    try:
        opened = Journal.open(served.configuration(), served.root(), create=False)
    except NotFoundError:
        yield None
        return
    with opened:
        yield opened


def refuse_unless(right: Right) -> None:
    """Raise RefusedError where the one who looks does not have a right: what a page shows him, it showed when it was drawn."""
    if not seam.current().viewer().may(right):
        raise RefusedError(right.refusal)


def actor() -> str:
    """Who acts: the one who looks, or where nobody said who that is, the account of the server."""
    return seam.current().viewer().name or people.actor()


def now_us() -> int:
    """The time, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def _as_elsewhere(policy: Policy) -> Policy:
    """The policy with the quiet time that the configuration has for the same action."""
    policies = seam.current().configuration().policies.values()
    return next((policy.model_copy(update={"quiet": one.quiet}) for one in policies if one.action == policy.action), policy)


def _words(policy: Policy) -> list[str]:
    named = {"action": policy.action, "report": policy.report, "class": policy.data_class, "where": policy.where, "to": policy.to}
    words = [word for name, value in named.items() if value for word in (f"--{name}", value)]
    words += ["--quiet-time", f"{policy.quiet:g}s"] if policy.quiet != Policy.model_fields["quiet"].default else []
    return words + [word for name, value in policy.params.items() for word in ("--param", f"{name}={value}")]
