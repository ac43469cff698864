"""How much would survive each threat, for classes, volumes, owners or folders; the assets behind a cell; what is missing first."""

import streamlit as st

from catalog.words import THREATS
from dashboards import asking, charts, chrome, links, marks, matrix, tables
from dashboards.matrix import Cell
from reports.mending import MEND

_ASSETS = ("volume", "path", "size_bytes", "status", "reasons", "user_error", "ransomware", "system_failure", "facility_outage", "copies", "owner")


def draw() -> None:
    """Draw the page."""
    chrome.title("Coverage", "How much of the data would survive each threat, and how much is unknown?")
    titles = {title: by for by, title in matrix.GROUPS.items()}
    by = titles[chrome.one_of("Group by", list(titles), "by")]
    st.caption(matrix.SAID)
    clicked = matrix.draw(by, f"coverage-{by}")
    if clicked:
        st.query_params.update({"name": clicked.name, "threat": clicked.threat})
    cell = _cell()
    if cell:
        _behind(by, cell)
    with st.expander("Files of this matrix", icon=":material/download:"):
        tables.downloads("coverage", f"coverage-{by}", {"by": by})
    st.subheader("What is missing first", anchor=False)
    st.caption("The first condition that is missing, where a class asks for the threat: mend that one first. Click a row to see files that miss it.")
    _gaps()
    st.subheader("Trend", anchor=False)
    _trend(by)


def _cell() -> Cell | None:
    name, threat = st.query_params.get("name"), st.query_params.get("threat", "")
    return None if name is None else Cell(name, threat if threat in THREATS else "")


def _behind(by: str, cell: Cell) -> None:
    where = matrix.condition(by, cell)
    marks.heading(f"{cell.name or '(none)'}: {f'not known to survive {marks.THREATS[cell.threat].lower()}' if cell.threat else 'all assets'}")
    answer = asking.report("assets", where=where)
    links.to_file(tables.draw(answer, "coverage-assets", _ASSETS, click=True))
    if answer.rows.num_rows:
        st.caption("Click a row to see the copies of that file, and what would mend it.")
    with st.expander("Files of these rows, and the same by command", icon=":material/download:"):
        tables.downloads("assets", "coverage-behind", where=where)


def _gaps() -> None:
    answer = asking.report("gaps", limit=None)
    rows = [{**row, "mend": MEND.get(row["name"], "")} for row in answer.dicts()]
    columns = (*answer.columns, *asking.columns(mend="what would mend it"))
    shown = ("threat", "name", "result", "mend", "assets", "bytes", "volumes")
    row = tables.draw(asking.answer("gaps", columns, rows), "coverage-gaps", shown, click=True, words=("name",), wide=("mend",))
    if row:
        condition = f"{row['threat']} = {marks.literal(row['result'])} AND contains(reasons, {marks.literal(row['name'])})"
        links.to_file(tables.draw(asking.report("assets", where=condition), "coverage-gap-assets", _ASSETS, click=True))


def _trend(by: str) -> None:
    rows = asking.report("growth", {"by": by if by in ("class", "volume") else "all"}, limit=None).dicts()
    rows = [row for row in rows if row["protected_pct"] is not None]
    if len({row["as_of"] for row in rows}) < 2:
        st.caption("There is one snapshot: a trend needs two.")
        return
    charts.trend(rows, "protected_pct", "protected, % of assets", percent=True)


draw()
