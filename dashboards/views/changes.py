"""What is new, gone, moved, changed or newly unprotected between two snapshots."""

import streamlit as st

from dashboards import asking, chrome, links, marks, tables

_KINDS = {
    "All": None,
    "Newly unprotected": "newly_unprotected",
    "New": "change = 'new'",
    "Gone": "change = 'gone'",
    "Moved": "change = 'moved'",
    "Changed": "change = 'changed'",
    "Protection only": "change = 'protection'",
}


def draw() -> None:
    """Draw the page."""
    chrome.title("Changes", "What is new, gone, moved, changed or newly unprotected since an earlier snapshot?")
    of = asking.known()
    earlier = asking.moments([one for one in asking.snapshots() if one.as_of < of.as_of])
    if not earlier:
        st.info("There is no earlier snapshot: what changed is known after the next scan.", icon=":material/info:")
        return
    left, right = st.columns([2, 5], vertical_alignment="bottom")
    with left:
        since = str(st.selectbox("Since", list(earlier), key="since", bind="query-params"))
    with right:
        where = _KINDS[chrome.one_of("Which", list(_KINDS), "which")]
    against = earlier[since]
    row = tables.draw(asking.report("changes", where=where, against=against), "changes", (*asking.table_of("changes"), "moved_from", "owner"), click=True)
    if row and row["change"] == "gone":
        links.go("views/file.py", {"volume": row["volume"], "path": row["path"]}, against)
    links.to_file(row)
    st.caption("Click a row to see the file's copies; of a file that is gone, as they were before.")
    with st.expander("Files of these rows, and the same by command", icon=":material/download:"):
        tables.downloads("changes", "changes", where=where, against=against)
    st.code(marks.command("check", "--new"), language=None)


draw()
