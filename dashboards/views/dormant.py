"""What nobody has used for long: how much, what it costs, what moving it would save, what else holds it, and the plan."""

import streamlit as st

from catalog.config import Policy
from dashboards import acting, asking, charts, chrome, links, marks, tables
from dashboards.charts import Stack
from dashboards.marks import literal

_DAYS = (30, 90, 180, 365, 730, 1095, 1825)
_FILES = ("volume", "path", "size_bytes", "dormant_days", "other_copies", "is_last_copy", "differs", "status", "cost_per_month", "owner")


def draw() -> None:
    """Draw the page."""
    chrome.title("Dormant copies", "What has nobody used for long, what does it cost, and what else holds it?")
    days = int(st.select_slider("Not used for at least so many days before the scan", _DAYS, value=365, key="days", bind="query-params"))
    _ages(days)
    st.subheader("What it costs, and what an archive would save", anchor=False)
    savings = asking.report("savings", {"days": days}, limit=None)
    row = tables.draw(savings, "dormant-savings", click=True)
    st.caption("By declared prices; a copy stays in the archive, so that a last copy stays one. Click a row to plan that move.")
    _plan(days, row or (savings.first() if savings.rows.num_rows else None))
    st.subheader("The files", anchor=False)
    _files(days)


def _ages(days: int) -> None:
    rows = asking.report("ageing", limit=None).dicts()
    bounds = sorted({(row["age_from_days"], row["age_to_days"]) for row in rows if row["age_from_days"] is not None})
    roles = {row["volume"]: row["role"] for row in asking.report("volumes", limit=None).dicts()}
    sizes = {(row["volume"], row["age_from_days"]): row["bytes"] for row in rows}
    stacks = [
        Stack(name, [sizes.get((name, first), 0) for first, _ in bounds], colour, [first < days for first, _ in bounds])
        for name, colour in charts.by_role((row["volume"] for row in rows), roles)
    ]
    charts.bars([charts.age_range(*bound) for bound in bounds], stacks, "bytes", "dormant-ages", "Bytes by days without use, by volume")
    st.caption(f"Days since the last use, by volume, in the colour of its role; what is pale was used within {days} days.")


def _plan(days: int, row: dict[str, object] | None) -> None:
    if row is None:
        st.caption("No primary volume holds dormant files, or no volume has the role of an archive.")
        return
    with st.container(border=True):
        st.markdown(f"**Move what is dormant on {marks.escaped(str(row['volume']))} to {marks.escaped(str(row['to_volume']))}**")
        where = f"volume = {literal(str(row['volume']))}"
        acting.offer(Policy(action="archive", report="dormant-copies", params={"days": days}, where=where, to=str(row["to_volume"])), "dormant")


def _files(days: int) -> None:
    left, right = chrome.halves("among", 2, 3)
    with left:
        choices = {"primary volumes": "role = 'primary'", "every volume": None}
        choices |= {row["volume"]: f"volume = {literal(row['volume'])}" for row in asking.report("volumes", limit=None).dicts()}
        among = choices[str(st.selectbox("On", list(choices), key="on", bind="query-params"))]
    with right:
        last = st.toggle("Last copies only", key="last", bind="query-params")
    where = " AND ".join([*([among] if among else []), *(["is_last_copy"] if last else [])]) or None
    links.to_file(tables.draw(asking.report("dormant-copies", {"days": days}, where), "dormant-files", _FILES, click=True))
    with st.expander("Files of these rows, and the same by command", icon=":material/download:"):
        tables.downloads("dormant-copies", "dormant", {"days": days}, where)


draw()
