"""Ways from one page to another; every view has an address."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import streamlit as st

from dashboards import asking, rights, seam


def to(page: str, label: str, params: Mapping[str, str] | None = None) -> None:
    """Draw a link to a page of this snapshot, if whoever looks has that page."""
    if seam.current().viewer().may(rights.PAGES[PurePath(page).stem]):
        st.page_link(page, label=label, icon=":material/arrow_forward:", query_params={**_snapshot(), **(params or {})})


def go(page: str, params: Mapping[str, str]) -> None:
    """Leave for a page of this snapshot."""
    st.switch_page(page, query_params={**_snapshot(), **params})


def to_file(row: Mapping[str, Any] | None) -> None:
    """Leave for the page of a file, if a row was clicked."""
    if row:
        go("views/file.py", {"volume": row["volume"], "path": row["path"]})


def _snapshot() -> dict[str, str]:
    known = asking.snapshots()
    chosen = asking.view().snapshot_id
    return {} if chosen == known[0].snapshot_id else {"snapshot": next(moment for moment, one in asking.moments(known).items() if one == chosen)}
