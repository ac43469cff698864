"""What stands around every page: the snapshot, the search, what is unknown."""

import datetime
import html
from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from catalog.errors import LastcopyError
from dashboards import asking, links, marks, moment, seam
from dashboards.seam import Viewer
from reports.state import age, counted, day
from reports.terminal import headline

_STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding: 3.6rem 3rem 3rem; }
[data-testid="stMetricValue"] { font-size: 1.7rem; } [data-testid="stMetricValue"] > div { white-space: normal; overflow-wrap: anywhere; }
@media (max-width: 1150px) {
  [data-testid="stMainBlockContainer"] { padding-left: 1.5rem; padding-right: 1.5rem; }
  [data-testid="stMetricValue"] { font-size: 1.35rem; }
  [class*="st-key-wrap"] [data-testid="stHorizontalBlock"] { flex-wrap: wrap; }
  [class*="st-key-wrap"] > div > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"],
  [class*="st-key-wrap"] > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"] { min-width: 100%; }
}
[data-testid="stMain"] h1 { font-size: 1.75rem; padding: 0; }
[data-testid="stMain"] h2 { font-size: 1.35rem; }
[data-testid="stMain"] h3 { font-size: 1.15rem; }
[data-testid="stSidebarContent"] { font-size: 0.95rem; }
.lc-strip { display: flex; flex-wrap: wrap; gap: .4rem; margin: .1rem 0 .3rem; }
.lc-strip span { border: 1px solid rgba(128,128,128,.4); border-radius: .4rem; padding: .1rem .5rem; font-size: .8rem; white-space: nowrap; }
.lc-strip .bad { border-color: #b8433a; } .lc-strip .doubt { border-color: #c98a1b; } .lc-strip .good { border-color: #2e8b57; }
@media (max-width: 700px) { [data-testid="stDataFrame"]::after { content: "Wide tables go on to the right: swipe ↔"; font-size: .75rem; opacity: .75; } }
.lc-worst { margin: 0; border-left: 4px solid #c98a1b; padding-left: .6rem; overflow-wrap: anywhere; }
.lc-worst.bad { border-color: #b8433a; } .lc-worst.good { border-color: #2e8b57; }
.lc-asof, .lc-who { font-size: .8rem; opacity: .75; margin: 0; overflow-wrap: anywhere; } .lc-who a { color: inherit; }
</style>"""


def look() -> None:
    """Put the style of these pages in place."""
    st.html(_STYLE)


def sidebar(viewer: Viewer) -> None:
    """Draw the search and the choice of the snapshot, and remember what the page looks at. Raises LastcopyError where there is no such snapshot."""
    with st.sidebar:
        with st.form("search-everywhere", border=False, clear_on_submit=True):
            pattern = st.text_input("Find a file on any volume", placeholder="name, part of a path, *.pdf", icon=":material/search:")
            wanted = st.form_submit_button("Find", width="stretch")
        moment.choose(viewer)
        if viewer.name:
            leave = seam.current().leave()
            out = f' · <a href="{html.escape(leave)}">Sign out</a>' if leave else ""
            st.html(f'<p class="lc-who">{html.escape(viewer.name)}, {viewer.role}{out}</p>')
    if wanted and pattern:
        links.go("views/search.py", {"q": pattern})


def one_of(label: str, options: Sequence[str], key: str) -> str:
    """Draw a choice of a few words, the first by default, and give the one that is chosen; the address names it."""
    return str(st.segmented_control(label, options, key=key, bind="query-params", default=options[0], required=True, label_visibility="collapsed"))


def halves(key: str, left: int = 1, right: int = 1) -> tuple[DeltaGenerator, DeltaGenerator]:
    """Two columns, one below the other where the window is narrow."""
    with st.container(key=f"wrap-{key}"):
        one, two = st.columns([left, right], gap="medium")
    return one, two


def title(text: str, question: str) -> None:
    """Draw the head of a page: what it answers, and as of when."""
    st.title(text, anchor=False)
    known = asking.known()
    newest = asking.snapshots()[0].snapshot_id == known.snapshot_id
    old = "" if newest else " · an earlier snapshot"
    part = "" if known.complete else " · incomplete: a part is unknown"
    st.html(f'<p class="lc-asof">{html.escape(question)} <b>As of {day(known.as_of)} UTC</b>{old}{part}</p>')


def freshness() -> None:
    """Draw how long ago each volume was scanned, by this machine's clock."""
    known, now = asking.known(), datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    spans = []
    for one in known.volumes:
        if one.scanned_at is None:
            kind, said = "bad", "✗ never scanned"
        elif one.state == "complete":
            kind, said = "good", f"✓ {age(one.scanned_at, now)} ago"
        else:
            kind, said = "doubt", f"? {one.state}, {age(one.scanned_at, now)} ago"
        spans.append(f'<span class="{kind}"><b>{html.escape(one.volume)}</b> {html.escape(said)}</span>')
    st.html(f'<div class="lc-strip">{"".join(spans)}</div>')


def footer() -> None:
    """Draw what is unknown of the snapshot."""
    known = asking.known()
    st.divider()
    st.caption(marks.escaped(f"Snapshot {known.snapshot_id}. {headline(known)}".replace("\n", " ")))
    if known.warnings:
        with st.expander(f"{counted(len(known.warnings), 'warning')}: what could not be seen", icon=":material/warning:"):
            for warning in known.warnings:
                st.text(warning)


def failure(error: LastcopyError) -> str:
    """An error as Markdown."""
    return marks.escaped(str(error).splitlines()[0])
