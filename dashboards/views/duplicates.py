"""Contents that are kept more than once, by what one of each would give back, and where each of them lies."""

import streamlit as st

from catalog.config import Policy
from dashboards import acting, asking, chrome, links, marks, tables
from dashboards.marks import literal

_MEMBERS = ("volume", "path", "role", "sites", "link_count", "modified_at", "accessed_at")


def draw() -> None:
    """Draw the page."""
    chrome.title("Duplicates", "Which contents are kept more than once, and how much space would one of each give back?")
    volumes = asking.report("volumes", limit=None).dicts()
    others = [row["volume"] for row in volumes if row["role"] != "primary"]
    scope = str(st.selectbox("Within all primary volumes, or within one other", ["primary", *others], key="scope", bind="query-params"))
    groups = asking.report("duplicate-groups", {"scope": scope})
    st.caption("Hard links are one file with several names: they are never duplicates. Click a group to see where its files lie.")
    clicked = tables.draw(groups, f"groups-{scope}", click=True)
    if clicked:
        st.query_params["digest"] = clicked["digest"]
    digest = st.query_params.get("digest") or groups.first()["digest"]
    if digest:
        _members(scope, str(digest), [row["volume"] for row in volumes if row["role"] == "primary"])
    with st.expander("Files of all groups, and the same by command", icon=":material/download:"):
        tables.downloads("duplicates", "duplicates", {"scope": scope})


def _members(scope: str, digest: str, primaries: list[str]) -> None:
    answer = asking.report("duplicates", {"scope": scope}, f"digest = {literal(digest)}")
    if not answer.rows.num_rows:
        return
    st.subheader("Where they lie", anchor=False)
    st.code(f"SHA-256 {digest}", language=None)
    links.to_file(tables.draw(answer, f"members-{scope}-{digest}", _MEMBERS, click=True))
    held = [row["volume"] for row in answer.dicts()]
    several = [name for name in primaries if held.count(name) > 1]
    if several:
        with st.container(border=True):
            st.markdown(f"**Let equal files of {marks.escaped(several[0])} share their blocks**: every name stays, and nothing is deleted.")
            acting.offer(Policy(action="dedupe", report="duplicates", where=f"volume = {literal(several[0])}"), "duplicates")


draw()
