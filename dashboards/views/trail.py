"""The audit trail: who did what and when, and the hash that a later look is held against."""

import streamlit as st

from dashboards import acting, asking, chrome, marks, rights, tables
from lifecycle import audit
from lifecycle.journal import Journal
from reports.state import counted

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
        if journal is None or not found:
            st.caption("Nothing was done yet." if subject is None else "Nothing was done to what has this id.")
            return
        tables.draw(asking.answer("audit-log", _EVENTS, [audit.row(event) for event in reversed(found)]), "trail")
        if len(found) == asking.ROWS:
            st.caption(f"The newest {len(found):,} events; the command line gives all of them.")
        _whole(journal)


def _whole(journal: Journal) -> None:
    if st.button("Is all of it whole?", key="verify", icon=":material/verified:"):
        with st.spinner("Computing every hash anew …"):
            verdict = journal.verify()
        if verdict.wrong is None:
            st.success(f"It is: {counted(verdict.events, 'event')}, each of which holds the hash of the one before.")
        else:
            st.error(marks.escaped(f"It is not: {verdict.wrong}."))
    st.caption("That its end was cut off shows only against a head that was written down elsewhere. This is the head now, and how it is looked for later:")
    words = [["audit", "log"], ["audit", "verify", "--head", journal.head().hex()]]
    st.code("\n".join(marks.command(*one) for one in words), language=None, wrap_lines=True)


draw()
