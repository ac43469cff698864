"""The audit trail: who did what and when, and the hash that a later look is held against."""

import streamlit as st

from catalog import names
from dashboards import acting, asking, chrome, marks, rights, tables
from lifecycle import audit, plan

_EVENTS = asking.columns(
    seq=("its number", "count"),
    at=("when", "UTC"),
    actor="who",
    kind="did what",
    subject="to which plan, job, volume or hold",
    detail="how",
    hash="the hash of this event, which is in the next one",
)


def draw() -> None:
    """Draw the page."""
    chrome.title("Audit trail", "Who did what, and is the record of it whole?")
    subject = st.text_input("Only about", placeholder="the id of a plan, a job or a hold", key="about", bind="query-params") or None
    with acting.journal(rights.TRAIL) as journal:
        found = journal.events(subject, last=asking.ROWS) if journal else []
        head = journal.head().hex() if journal else ""
    rows = [
        {
            "seq": one.seq,
            "at": plan.moment(one.at_us),
            "actor": one.actor,
            "kind": one.kind,
            "subject": names.escape(one.subject.encode("utf-8", "surrogateescape")),
            "detail": audit.canonical(one.detail),
            "hash": one.hash.hex(),
        }
        for one in reversed(found)
    ]
    tables.draw(asking.answer("audit-log", _EVENTS, rows), "trail")
    if len(rows) == asking.ROWS:
        st.caption(f"The newest {len(rows):,} events; the command line gives all of them.")
    if head:
        st.caption("Write this down elsewhere: later it says whether anything was changed or cut off since.")
        st.code("\n".join([marks.command("audit", "log"), marks.command("audit", "verify", "--head", head)]), language=None, wrap_lines=True)


draw()
