"""Files by name on every volume, shelved media too."""

import streamlit as st

from dashboards import asking, chrome, links, tables

_COLUMNS = ("volume", "path", "size_bytes", "modified_at", "role", "access", "status", "other_copies", "is_last_copy")


def draw() -> None:
    """Draw the page."""
    chrome.title("Search", "Which volumes hold a file of that name?")
    pattern = st.text_input("Name, part of a path, or a pattern with * and ?", key="q", bind="query-params")
    if not pattern:
        st.caption("Letters count in any case; * and ? stand for any text and any letter.")
        return
    links.to_file(tables.draw(asking.found(pattern), "search", _COLUMNS, click=True))
    st.caption("Click a row to see every copy of the file.")


draw()
