"""Treemaps, bars and trends as ECharts and Altair draw them. Tooltips are drawn on the canvas: no name in them can be HTML."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import streamlit as st

from dashboards.marks import human

AMBER, ORANGE, RED, GREY, BLUE = "#c98a1b", "#cf6b35", "#a8352d", "#7c8a92", "#2f7d9c"
AGES = ("#2f7d9c", "#5b8f8a", "#a08a4a", "#a8623a", "#8a3d3d")
ROLES = {"primary": "#2f7d9c", "replica": "#7a5ea8", "backup": "#2e8b57", "archive": "#8c6b4f"}
SERIES = ("#2f7d9c", "#c98a1b", "#7a5ea8", "#2e8b57", "#b8433a", "#5f7f3a", "#a3527f", "#7c8a92", "#3d63b8", "#8c6b4f", "#35a0a0", "#b0a03c")


_LABEL = {"color": "#ffffff", "textBorderColor": "rgba(0,0,0,.45)", "textBorderWidth": 2}
_PARENT = {"upperLabel": {"show": True}, "itemStyle": {"color": "#5d6d77", "borderColor": "#5d6d77", "borderWidth": 2, "gapWidth": 2}}

# The day where a tick is at its beginning, else the time of it: by itself Vega writes hours as of a twelve-hour clock.
_TIME = "seconds(datum.value) ? '%H:%M:%S' : hours(datum.value) || minutes(datum.value) ? '%H:%M' : date(datum.value) > 1 ? '%b %d' : '%b %Y'"
_WHEN = f"timeFormat(datum.value, {_TIME})"


@dataclass(frozen=True)
class Node:
    """A rectangle of a treemap: `key` says what it stands for, `said` is shown with its name."""

    name: str
    value: int | None
    key: str
    said: str = ""
    colour: str | None = None
    children: tuple["Node", ...] = field(default=())


def treemap(nodes: Sequence[Node], key: str, alt: str, *, whole: int | None = None, height: int = 380, depth: int = 1) -> str | None:
    """Draw a treemap and give the key of the rectangle that was clicked. With `whole`, what the rectangles lack of it stays blank."""
    data = [_drawn(node) for node in nodes]
    order = [""] if whole is not None else []
    for node in nodes:
        order += _keys(node)
    series: dict[str, Any] = {
        "type": "treemap",
        "data": data if whole is None else [{"name": "", "value": whole, "children": data}],
        "roam": False,
        "nodeClick": False,
        "breadcrumb": {"show": False},
        "selectedMode": "single",
        "left": 0, "right": 0, "top": 0, "bottom": 0,
        "visibleMin": 1,
        "label": {"formatter": "{b}", "overflow": "truncate", "fontSize": 13, "lineHeight": 17, **_LABEL},
        "upperLabel": {"show": depth > 1, "height": 24, **_LABEL},
        "itemStyle": {"borderColor": "rgba(128,128,128,.35)", "borderWidth": 1, "gapWidth": 2},
        "levels": [{"itemStyle": {"borderWidth": 0, "gapWidth": 4}, "upperLabel": {"show": False}}, *([_PARENT] * (depth - 1))],
    }  # fmt: skip
    option = {"animation": False, "tooltip": _tooltip(), "series": [series]}
    event = st.echarts_chart(option, height=height, key=key, on_select="rerun", alt=alt)
    return _clicked(event, order)


def _drawn(node: Node) -> dict[str, Any]:
    style = {} if node.colour is None else {"itemStyle": {"color": node.colour}}
    children = {"children": [_drawn(child) for child in node.children]} if node.children else {}
    shown = f"{node.name}\n{node.said}" if node.said and not node.children else node.name
    value = {} if node.value is None else {"value": node.value}  # without one, ECharts adds up its children's
    return {"name": _flat(shown), **value, **style, **children}


def _flat(name: str) -> str:
    # Braces are ECharts' own marks of a label's template.
    return name.replace("{", "(").replace("}", ")").replace("|", "¦")


def _keys(node: Node) -> list[str]:
    found = [node.key]
    for child in node.children:
        found += _keys(child)
    return found


def _tooltip() -> dict[str, Any]:
    return {"renderMode": "richText", "confine": True, "formatter": "{b}"}


def _clicked(event: Any, order: Sequence[str]) -> str | None:  # noqa: ANN401  # what Streamlit gives for a selection
    selected = event.selection.get("selected") or []
    indices = selected[0].get("data_indices") if selected else None
    place = indices[0] - 1 if indices else -1  # the root, which is not among ours, is number 0
    return order[place] or None if 0 <= place < len(order) else None


@dataclass(frozen=True)
class Stack:
    """One colour of stacked bars: a value a category."""

    name: str
    values: Sequence[int]
    colour: str
    pale: Sequence[bool] = ()  # for each value whether it is drawn pale


def bars(categories: Sequence[str], stacks: Sequence[Stack], unit: str, key: str, alt: str, *, height: int = 260, rotate: int = 0) -> None:
    """Draw stacked bars, one a category, sizes in bytes or counts."""
    option = {
        "animation": False,
        "tooltip": {"trigger": "item", "renderMode": "richText", "confine": True, "formatter": "{b}"},
        "legend": {"type": "scroll", "bottom": 0, "data": [stack.name for stack in stacks]},
        "grid": {"left": 4, "right": 12, "top": 16, "bottom": 34, "containLabel": True},
        "xAxis": {"type": "category", "data": list(categories), "axisTick": {"show": False}, "axisLabel": {"interval": 0, "fontSize": 11, "rotate": rotate}},
        "yAxis": {"type": "value", "axisLabel": {"show": False}, "splitLine": {"show": False}},
        "series": [
            {
                "type": "bar",
                "name": stack.name,
                "stack": "all",
                "itemStyle": {"color": stack.colour, "borderColor": "rgba(255,255,255,.6)", "borderWidth": 0.5},
                "data": [
                    {"value": value, "name": f"{stack.name}: {human(value, unit)}", "itemStyle": {"opacity": 0.25 if pale else 1}}
                    for value, pale in zip(stack.values, stack.pale or [False] * len(stack.values), strict=True)
                ],
            }
            for stack in stacks
        ],
    }
    st.echarts_chart(option, height=height, key=key, alt=alt)


def by_role(volumes: Iterable[str], roles: Mapping[str, str]) -> list[tuple[str, str]]:
    """Volumes with the colour of their role, those of a role together."""
    order = list(ROLES)
    found = [(name, roles.get(name, "")) for name in dict.fromkeys(volumes)]
    return [(name, ROLES.get(role, GREY)) for name, role in sorted(found, key=lambda one: order.index(one[1]) if one[1] in ROLES else len(order))]


def trend(
    rows: Sequence[Mapping[str, Any]], value: str, title: str, *, by: str = "name", percent: bool = False, ahead: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Draw a line for each `by` over the rows' `as_of`, and of rows of the report `forecast` what is likely, and what lies between low and high."""
    data = alt.InlineData(values=[{"as_of": row["as_of"].isoformat(), "by": str(row[by]) or "all", "value": row[value]} for row in rows])
    scale = alt.Scale(domain=[0, 100]) if percent else alt.Scale(zero=True)
    chart = (
        alt.Chart(data)
        .mark_line(point=True)
        .encode(
            x=alt.X("as_of:T", title=None, axis=alt.Axis(labelExpr=_WHEN)),
            y=alt.Y("value:Q", title=title, scale=scale),
            color=alt.Color("by:N", title=None, scale=alt.Scale(range=list(SERIES))),
            strokeDash=alt.StrokeDash("by:N", title=None),
            tooltip=[alt.Tooltip("by:N", title=""), alt.Tooltip("as_of:T", title="as of", format="%Y-%m-%d %H:%M"), alt.Tooltip("value:Q", title=title)],
        )
    )
    st.altair_chart((chart + _outlook(ahead) if ahead else chart).properties(height=240), width="stretch")


def _outlook(ahead: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401  # charts in layers, which Altair does not type
    ends = [
        {"as_of": row[at].isoformat(), "by": row["volume"], "low": row[low], "value": row[likely], "high": row[high]}
        for row in ahead
        for at, low, likely, high in (("until_at", "bytes", "bytes", "bytes"), ("ahead_at", "low_bytes", "likely_bytes", "high_bytes"))
    ]
    of = alt.Chart(alt.InlineData(values=ends)).encode(x="as_of:T", color="by:N")
    shown = ("value", "likely"), ("low", "low"), ("high", "high")
    told = [alt.Tooltip("by:N", title=""), *(alt.Tooltip(f"{name}:Q", title=title, format=".4~s") for name, title in shown)]
    return of.mark_area(opacity=0.15).encode(y="low:Q", y2="high:Q", tooltip=told) + of.mark_line(strokeDash=[2, 3]).encode(y="value:Q", tooltip=told)


def age_range(first: int | None, end: int | None) -> str:
    """An age of last use in words, from its bounds in days."""
    if first is None:
        return "unknown"
    return f"{first} d +" if end is None else f"< {end} d"
