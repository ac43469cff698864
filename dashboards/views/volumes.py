"""What is scanned, how old is what is known of it, what could not be read, how well copies are known, and how volumes fill."""

import streamlit as st

from dashboards import asking, charts, chrome, links, marks, tables
from dashboards.marks import literal
from reports import Value

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
_AHEAD = {"90 days": 90, "30 days": 30, "A year": 365}


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
    ahead = _over_time(volume, where)
    with st.expander("Files of these tables, and the same by command", icon=":material/download:"):
        for name in ("volumes", "problems", "fixity", "growth"):
            tables.downloads(name, f"volumes-{name}", where=where if name != "growth" else where and where.replace("volume", "name", 1))
        tables.downloads("forecast", "volumes-forecast", ahead, where)


def _over_time(volume: str | None, where: str | None) -> dict[str, Value]:
    """Draw how volumes grew and what comes, and give the parameters of the forecast."""
    st.subheader("Size over time, and when they are full", anchor=False)
    ahead: dict[str, Value] = {"ahead": _AHEAD[chrome.one_of("Days ahead", list(_AHEAD), "ahead")]}
    forecast = asking.report("forecast", ahead, where, limit=None)
    rows = [one for one in asking.report("growth", {"by": "volume"}, limit=None).dicts() if volume in (None, one["name"])]
    if len({one["as_of"] for one in rows}) > 1:
        charts.trend(rows, "bytes", "bytes", ahead=[one for one in forecast.dicts() if one["likely_bytes"] is not None])
    else:
        st.caption("There is one snapshot: a trend needs two.")
    tables.draw(forecast, "forecast", [name for name in forecast.table if name != "free_bytes"])
    st.caption(
        "As it went in the half year before the snapshot: in nine cases of ten it ends between low and high if it goes on so. Full is the file system,"
        " whoever takes its space. Where there is no forecast, the last columns say why."
    )
    return ahead


draw()
