"""How much is stored, how much of it would survive what, and what to do first."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from catalog import printable
from dashboards import asking, charts, chrome, links, losses, marks, matrix, rights, seam
from dashboards.charts import Node, Stack
from reports import single_losses
from reports.state import counted, percent

TILES = (
    ("stored", "Stored", "bytes", "bytes"),
    ("protected", "Protected", "files_pct", "protected_assets"),
    ("unprotected", "Unprotected", "files", "unprotected_assets"),
    ("last_copies", "Last known copies", "files", "last_copies"),
    ("dormant", "Dormant for a year", "bytes", ""),
    ("reclaimable", "Kept twice", "bytes", ""),
)
HELP = {
    "protected": "Assets that are known to meet what their class asks for.",
    "unprotected": "Assets that miss what their class asks for and are known to survive no threat. Those unknown may be unprotected too.",
    "last_copies": "Files whose content nothing else is known to hold. Of what was never read there may be copies that nobody knows.",
    "dormant": "Files on primary volumes that nobody used in the year before the scan: these can be moved. Files on other volumes are counted beside.",
}
ONLY = {"older": "only as an older version", "keyless": "only as long as a key is left that nobody says where it is kept"}
DOUBTS = ("unknown", *ONLY)  # where there are none and nothing is lost, a loss is known to take nothing
UNITS = {"files_pct": "%", "bytes": "bytes", "files": "files"}
LEADS = {
    "stored": ("views/explore.py", "Explore"),
    "protected": ("views/coverage.py", "Coverage"),
    "unprotected": ("views/coverage.py", "See which"),
    "last_copies": ("views/loss.py", "What if…"),
    "dormant": ("views/dormant.py", "Move them"),
    "reclaimable": ("views/duplicates.py", "See groups"),
}


def draw() -> None:
    """Draw the page."""
    chrome.title("Overview", "How much is stored, and how much of it would survive what?")
    chrome.freshness()
    worst = st.container()
    _tiles()
    left, right = chrome.halves("where", 3, 2)
    with left:
        st.subheader("Where the data is", anchor=False)
        _where()
    with right:
        st.subheader("How long it has not been used", anchor=False)
        _ages()
    st.subheader("What would survive", anchor=False)
    st.caption(matrix.SAID)
    cell = matrix.draw("class", "overview-matrix")
    if cell:
        links.go("views/coverage.py", {"name": cell.name, "threat": cell.threat})
    with worst:  # the last to be worked out, that nothing else waits for it
        _worst_site()


def _worst_site() -> None:
    if not seam.current().viewer().may(rights.LOSSES):
        return  # what survives depends on copies everywhere: who sees a part of them cannot be told
    sites = asking.lost_sites()
    with st.container(border=True):
        if not sites:
            st.markdown("**If one site burned:** ? unknown, for no volume says where it is. Declare its 'site' in lastcopy.toml.")
            return
        worst, other = sites[0], single_losses.perhaps_worse(sites)
        sign, kind = ("✗", "bad") if worst["lost_assets"] else ("?", "doubt") if any(worst[f"{doubt}_assets"] for doubt in DOUBTS) else ("✓", "good")
        said, lead = st.columns([5, 1], vertical_alignment="center")
        more = f"; {_site(other)} may take more: {_taken(other)}" if other else ""
        said.html(f'<p class="lc-worst {kind}">{sign} If one site burned, the worst would be {_site(worst)}: {_taken(worst)}{more}</p>')
        with lead:
            links.to("views/loss.py", "What is lost", losses.address("site", worst["name"]))


def _site(row: Mapping[str, Any]) -> str:
    return f"<b>{html.escape(printable.clean(row['name']))}</b>"


def _taken(row: Mapping[str, Any]) -> str:
    only = [f"{_assets(row, what)} {said}" for what, said in ONLY.items() if row[f"{what}_assets"]]
    of_these = f", of these {' and '.join(only)}" if only else ""
    return f"<b>{_assets(row, 'lost')} lost for good</b>, {_assets(row, 'unknown')} unknown, {_assets(row, 'survives')} survive{of_these}"


def _assets(found: Mapping[str, Any], outcome: str) -> str:
    return f"{counted(found[f'{outcome}_assets'], 'asset')} ({marks.human(found[f'{outcome}_bytes'], 'bytes')})"


def _tiles() -> None:
    lines = {row["name"]: row for row in asking.report("overview").dicts()}
    history = asking.report("growth", {"by": "all"}, limit=None).dicts()
    for start in (0, 3):
        for (name, title, value, past), column in zip(TILES[start : start + 3], st.columns(3), strict=True):
            with column:
                _tile(
                    title,
                    lines[name],
                    value,
                    [row[past] for row in history] if past else [],
                    LEADS[name],
                    _more(name, lines),
                    HELP.get(name),
                )


def _tile(title: str, line: dict[str, Any], value: str, past: Sequence[int], lead: tuple[str, str], more: str, said: str | None) -> None:
    with st.container(border=True, height="stretch", gap="xxsmall"):
        st.metric(title, marks.human(line[value], UNITS[value]) + (" %" if value == "files_pct" else ""), chart_data=past if len(past) > 1 else None, help=said)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.caption(_beside(line, value) + more)
            links.to(*lead)


def _more(name: str, lines: dict[str, dict[str, Any]]) -> str:
    unknown, elsewhere, last = (lines[one]["files"] for one in ("unknown", "dormant_elsewhere", "last_copies"))
    said = {
        "protected": f"{percent(unknown, lines['assets']['files'])} unknown",
        "unprotected": f"{unknown:,} unknown",
        "last_copies": f"{percent(lines['last_copies_read']['files'], last)} of them ever read" if last else "",
        "dormant": f"{counted(elsewhere, 'file')} on other volumes" if elsewhere else "",
    }.get(name)
    return f" · {said}" if said else ""


def _beside(line: dict[str, Any], value: str) -> str:
    return marks.human(line["bytes"], "bytes") if value == "files" else f"{line['files']:,} files"


def _where() -> None:
    sites: dict[str, dict[str, list[Node]]] = {}
    for row in asking.report("volumes", limit=None).dicts():
        if row["bytes"]:
            systems = sites.setdefault(row["sites"] or "site unknown", {})
            colour = charts.ROLES.get(row["role"], charts.GREY)
            said = f"{row['role']}\n{marks.human(row['bytes'], 'bytes')}"
            systems.setdefault(row["systems"] or "system unknown", []).append(Node(row["volume"], row["bytes"], row["volume"], said, colour))
    nodes = [
        Node(site, None, "", children=tuple(Node(system, None, "", children=tuple(found)) for system, found in systems.items()))
        for site, systems in sites.items()
    ]
    volume = charts.treemap(nodes, "overview-where", "Sizes of volumes by site and system", depth=3)
    st.caption("Site, system, volume; the colour tells the role. Click a volume to look into it.")
    if volume:
        links.go("views/explore.py", {"volume": volume})


def _ages() -> None:
    rows = asking.report("ageing", limit=None).dicts()
    bounds = list(
        dict.fromkeys(
            (row["age_from_days"], row["age_to_days"]) for row in sorted(rows, key=lambda row: (row["age_from_days"] is None, row["age_from_days"] or 0))
        )
    )
    roles = {row["volume"]: row["role"] for row in asking.report("volumes", limit=None).dicts()}
    sizes = {(row["volume"], row["age_from_days"]): row["bytes"] for row in rows}
    stacks = [
        Stack(name, [sizes.get((name, first), 0) for first, _ in bounds], colour) for name, colour in charts.by_role((row["volume"] for row in rows), roles)
    ]
    charts.bars([charts.age_range(*bound) for bound in bounds], stacks, "bytes", "overview-ages", "Bytes by days without use, by volume", height=380, rotate=35)
    links.to("views/dormant.py", "Dormant copies and what they cost")


draw()
