"""Volumes and folders as a treemap to walk through, and the largest files of where one stands."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboards import asking, charts, chrome, links, marks, tables
from dashboards.charts import Node
from dashboards.marks import literal

_DEEPEST = 64  # level at which a part of a volume is looked for
_MOST = 60  # rectangles; what is smaller stays blank
_FOLDER = ("files", "bytes", "assets", "unprotected_assets", "unprotected_pct", "unknown_assets", "last_active_at", "dormant_days")
_COLOURS = {"coverage": "Coverage", "age": "Age", "type": "Type"}
_MUCH_PCT = 10.0  # unprotected of a folder's assets from which on it is drawn red
_KEYS = {
    "coverage": "red: a tenth of the assets or more is unprotected ✗; orange: less; amber: none, but some are unknown; "
    "blue: neither, though some may be protected in part; grey: no asset",
    "age": "used in the last 90 days (blue), the last year (green), the last 3 years (sand), longer ago (brown), unknown (grey)",
    "type": "the type that takes the most, written in each; equal colours are equal types",
}


def draw() -> None:
    """Draw the page."""
    chrome.title("Explore", "Which folders hold the most, how old is it, and is it protected?")
    volume, folder = st.query_params.get("volume", ""), st.query_params.get("folder", "")
    _breadcrumb(volume, folder)
    titles = {title: colour for colour, title in _COLOURS.items()}
    colour = titles[chrome.one_of("Colour", list(titles), "colour")]
    rows = _below(volume, folder)
    here = _here(volume, folder)
    types = _types(volume, folder) if colour == "type" else {}
    nodes = [_node(row, volume, folder, colour, types) for row in rows if row["bytes"]]
    if nodes:
        whole = here["bytes"] if here else None
        clicked = charts.treemap(nodes, f"explore-{volume}-{folder}-{colour}", "Folders by size", whole=whole, height=420)
        blank = " Blank are files that lie here themselves, and small folders." if volume else ""
        st.caption(f"{_COLOURS[colour]}: {_KEYS[colour]}.{blank} Click to go in.")
        if clicked:
            name, _, inside = clicked.partition(":")
            _stand({"volume": name, **({"folder": inside} if inside else {})})
    else:
        st.caption("No folder below this one.")
    _tables(volume, folder, rows)


def _breadcrumb(volume: str, folder: str) -> None:
    parts = folder.rstrip("/").split("/") if folder else []
    shown = [("all volumes", {}), *([(volume, {"volume": volume})] if volume else [])]
    for n, part in enumerate(parts, 1):
        shown.append((part, {"volume": volume, "folder": "/".join(parts[:n]) + "/"}))
    with st.container(horizontal=True, gap="xxsmall", vertical_alignment="center"):
        for n, (name, params) in enumerate(shown):
            if st.button(marks.escaped(name) or "/", key=f"crumb-{n}", type="tertiary", icon=":material/chevron_right:" if n else ":material/storage:"):
                _stand(params)


def _stand(params: Mapping[str, str]) -> None:
    for name in ("volume", "folder"):
        if name in params:
            st.query_params[name] = params[name]
        elif name in st.query_params:
            del st.query_params[name]
    st.rerun()


def _below(volume: str, folder: str) -> list[dict[str, Any]]:
    if not volume:
        return _tops()
    where = f"volume = {literal(volume)} AND starts_with(folder, {literal(folder)})"
    return asking.report("folders", {"depth": folder.count("/") + 1}, where, limit=_MOST).dicts()


def _tops() -> list[dict[str, Any]]:
    """The top folder of each volume; of one that is seen in part, those of the parts."""
    found = asking.report("folders", {"depth": 0}, limit=_MOST).dicts()
    known = {row["volume"] for row in found}
    for row in asking.report("volumes", where="files > 0", limit=None).dicts():
        if row["volume"] not in known:
            found += next((rows for depth in range(1, _DEEPEST) if (rows := _at(row["volume"], depth))), [])
    return found


def _at(volume: str, depth: int) -> list[dict[str, Any]]:
    return asking.report("folders", {"depth": depth}, f"volume = {literal(volume)}", limit=_MOST).dicts()


def _here(volume: str, folder: str) -> dict[str, Any] | None:
    if not volume:
        return None
    where = f"volume = {literal(volume)} AND folder = {literal(folder)}"
    return next(iter(asking.report("folders", {"depth": folder.count("/")}, where).dicts()), None)


def _node(row: Mapping[str, Any], volume: str, folder: str, colour: str, types: Mapping[str, str]) -> Node:
    name = row["folder"][len(folder) :].rstrip("/") if volume else f"{row['volume']}:{row['folder']}".rstrip(":")
    said = marks.human(row["bytes"], "bytes")
    if colour == "type":
        said += f", {types.get(_key(row)) or 'no ending'}"
    elif row["unprotected_assets"]:
        said += f", ✗ {row['unprotected_assets']:,}"
    return Node(name, row["bytes"], _key(row), said, _colour(row, colour, types))


def _key(row: Mapping[str, Any]) -> str:
    return f"{row['volume']}:{row['folder']}"


def _types(volume: str, folder: str) -> dict[str, str]:
    return {_key(row): row["type"] for row in asking.report("folder-types", {"volume": volume, "folder": folder}, limit=None).dicts()}


def _colour(row: Mapping[str, Any], by: str, types: Mapping[str, str]) -> str:
    if by == "type":
        kinds = list(dict.fromkeys(types.values()))
        return charts.SERIES[kinds.index(types[_key(row)]) % len(charts.SERIES)] if _key(row) in types else charts.GREY
    if by == "age":
        days = row["dormant_days"]
        return charts.GREY if days is None else next(c for end, c in zip((90, 365, 1095, days + 1), charts.AGES, strict=False) if days < end)
    if not row["assets"]:
        return charts.GREY
    if row["unprotected_assets"]:
        return charts.RED if row["unprotected_pct"] >= _MUCH_PCT else charts.ORANGE
    return charts.AMBER if row["unknown_assets"] else charts.BLUE


def _tables(volume: str, folder: str, rows: list[dict[str, Any]]) -> None:
    if not volume:
        columns = asking.report("folders", {"depth": 0}, limit=1).columns
        row = tables.draw(
            asking.answer("folders", columns, rows),
            "explore-volumes",
            ("volume", *(["folder"] if any(one["folder"] for one in rows) else []), *_FOLDER),
            click=True,
        )
        if row:
            _stand({"volume": row["volume"], **({"folder": row["folder"]} if row["folder"] else {})})
        return
    where = f"volume = {literal(volume)} AND starts_with(folder, {literal(folder)})"
    params = {"depth": folder.count("/") + 1}
    if rows:
        st.subheader("Folders here", anchor=False)
        row = tables.draw(asking.report("folders", params, where), f"explore-folders-{volume}-{folder}", ("folder", *_FOLDER), click=True)
        if row:
            _stand({"volume": volume, "folder": row["folder"]})
    st.subheader("The largest files at or below this place", anchor=False)
    inside = f"volume = {literal(volume)}" + (f" AND starts_with(path, {literal(folder)})" if folder else "")
    answer = asking.report("largest", where=inside, limit=100)
    links.to_file(
        tables.draw(
            answer, f"explore-files-{volume}-{folder}", ("path", "size_bytes", "modified_at", "last_active_at", "owner", "status", "other_copies"), click=True
        )
    )
    with st.expander("Files of these rows, and the same by command", icon=":material/download:"):
        tables.downloads("largest", "explore-largest", where=inside)
        tables.downloads("folders", "explore-folders", params, where)


draw()
