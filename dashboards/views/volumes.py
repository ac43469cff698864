"""What is scanned, how old is what is known of it, what could not be read, and how well copies are known."""

import streamlit as st

from dashboards import asking, charts, chrome, links, marks, tables
from dashboards.marks import literal

_VOLUMES = (
    "volume",
    "role",
    "state",
    "scanned_at",
    "scan_age_days",
    "files",
    "bytes",
    "problems",
    "carried_entries",
    "access",
    "immutability",
    "systems",
    "sites",
    "admins",
    "cost_per_month",
    "last_error",
)


def draw() -> None:
    """Draw the page."""
    chrome.title("Volumes and scans", "What is scanned, how old is what we know of it, and what could not be read?")
    chrome.freshness()
    answer = asking.report("volumes", limit=None)
    row = tables.draw(answer, "volumes", _VOLUMES, click=True)
    if row:
        st.query_params["volume"] = row["volume"]
    volume = st.query_params.get("volume")
    names = [one["volume"] for one in answer.dicts()]
    volume = volume if volume in names else None
    st.caption("What is empty is not declared, and counts as unknown. Click a volume to see its problems alone.")
    if volume:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Only {marks.escaped(volume)}**")
            if st.button("Show all", key="all-volumes", type="tertiary"):
                del st.query_params["volume"]
                st.rerun()
        st.code(marks.command("scan", volume), language=None)
        links.to("views/explore.py", "Explore this volume", {"volume": volume})
    where = f"volume = {literal(volume)}" if volume else None
    st.subheader("What the scans could not read or understand", anchor=False)
    tables.draw(asking.report("problems", where=where), "problems")
    st.subheader("How well the copies are known", anchor=False)
    tables.draw(asking.report("fixity", where=where), "fixity")
    st.subheader("Size over time", anchor=False)
    rows = [one for one in asking.report("growth", {"by": "volume"}, limit=None).dicts() if volume in (None, one["name"])]
    if len({one["as_of"] for one in rows}) > 1:
        charts.trend(rows, "bytes", "bytes")
    else:
        st.caption("There is one snapshot: a trend needs two.")
    with st.expander("Files of these tables, and the same by command", icon=":material/download:"):
        for name in ("volumes", "problems", "fixity"):
            tables.downloads(name, f"volumes-{name}", where=where)


draw()
