"""One file: every copy with its evidence, each control, what would mend it, how to restore it."""

import streamlit as st

from dashboards import asking, chrome, marks, tables
from reports.explain import LEVELS, Explanation
from reports.state import counted
from reports.terminal import size

_COPIES = asking.columns(
    volume="where this copy lies",
    path="its path there",
    match="how it was told to be a copy",
    usable="whether it counts as protection",
    reason="why it does not count",
    known="how well it is known",
    verified_at=("since when it is known so well", "UTC"),
    seen_at=("when a scan saw it", "UTC"),
    systems=("storage systems that it depends on", "list"),
    sites=("where it is", "list"),
    access="whether it is connected",
)
_LOCK = asking.columns(lock="what its object tells of a lock")
_CONTROLS = asking.columns(control="one line of the requirement", result="met, not met, unknown or waived", asked="what is asked", reasons=("why not", "list"))


def draw() -> None:
    """Draw the page."""
    volume, path = st.query_params.get("volume", ""), st.query_params.get("path", "")
    chrome.title("File", "Which copies of it are there, does it survive, and what would mend it?")
    found = asking.explained(volume, path) if volume and path else []
    if not found:
        st.info("No volume holds such a file in this snapshot. The search on the left looks for a part of a name.", icon=":material/search:")
        return
    for one in found:
        _file(one)


def _file(one: Explanation) -> None:
    marks.heading(f"{one.volume}:{one.path}")
    columns = st.columns(4)
    with columns[0]:
        st.metric("Status", marks.signed(one.status) if one.is_asset else "not an asset")
    with columns[1]:
        st.metric("Size", "unknown" if one.size_bytes is None else size(one.size_bytes))
    with columns[2]:
        st.metric("Other copies", marks.human(one.other_copies))
    with columns[3]:
        st.metric("Changed", f"{one.modified_at:%Y-%m-%d}" if one.modified_at else "unknown")
    said = [one.role, f"class {one.data_class or 'none'}", f"owner {one.owner or 'unknown'}", f"freshness of its copies: {one.freshness or 'unknown'}"]
    st.text(" · ".join(said))
    if one.pointer:
        st.text(f"{one.pointer} leads here")
    if one.carried:
        st.warning("Its folder could not be read by the newest scan: what is said of it is older.", icon=":material/warning:")
    if one.unread:
        st.text(f"It could not be read: {one.unread}")
    st.subheader("Copies", anchor=False)
    rows = [
        {
            **{name: getattr(copy, name) for name in ("volume", "path", "match", "usable", "reason", "verified_at", "seen_at", "access", "lock")},
            "known": "not verified" if copy.verification_level is None else f"{copy.verification_level}: {LEVELS[copy.verification_level]}",
            "systems": ",".join(copy.systems),
            "sites": ",".join(copy.sites),
        }
        for copy in one.copies
    ]
    columns_of = (*_COPIES, *_LOCK) if any(copy.lock for copy in one.copies) else _COPIES
    tables.draw(asking.answer("copies", columns_of, rows), f"copies-{one.volume}", words=("reason",))
    if one.elsewhere:
        st.caption(f"Elsewhere: {counted(one.elsewhere, 'volume')} with a copy, not yours to see.")
    if one.uncounted:
        st.caption("The same content, which counts for nothing but may be restored from:")
        st.code("\n".join(f"{other.volume}:{other.path}: {other.why}" for other in one.uncounted), language=None)
    if one.same_volume:
        st.caption("Also on its own volume, which protects nothing:")
        st.code("\n".join(one.same_volume), language=None)
    if one.copy_of:
        st.caption("It is a copy of:")
        st.code("\n".join(one.copy_of), language=None)
    left, right = chrome.halves("requirement")
    with left:
        _requirement(one)
    with right:
        _mend(one)


def _requirement(one: Explanation) -> None:
    st.subheader("Requirement of its class", anchor=False)
    rows = [{"control": c.name, "result": c.result, "asked": c.asked, "reasons": ",".join(c.reasons)} for c in one.controls]
    tables.draw(asking.answer("controls", _CONTROLS, rows), f"controls-{one.volume}")


def _mend(one: Explanation) -> None:
    st.subheader("What would mend it", anchor=False)
    if one.mend:
        st.markdown("\n".join(f"* {marks.escaped(sentence)}" for sentence in one.mend))
    else:
        st.caption("Nothing is open." if one.is_asset else "It is no asset: it has no requirement of its own.")
    if one.restore:
        st.caption(f"Restore it with{one.doubt}:")
        st.code(one.restore, language="bash", wrap_lines=True)
    st.caption("The same on the command line:")
    st.code(marks.command("explain", f"{one.volume}:{one.path}", "--snapshot", asking.known().snapshot_id), language=None, wrap_lines=True)


draw()
