"""Ways from one page to another; every view has an address."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import streamlit as st

from dashboards import asking, moment, rights, seam


def to(page: str, label: str, params: Mapping[str, str] | None = None) -> None:
    """Draw a link to a page of this snapshot, if whoever looks has that page."""
    if seam.current().viewer().may(rights.PAGES[PurePath(page).stem]):
        st.page_link(page, label=label, icon=":material/arrow_forward:", query_params={**moment.address(asking.view().snapshot_id), **(params or {})})


def go(page: str, params: Mapping[str, str], snapshot_id: str | None = None) -> None:
    """Leave for a page of this snapshot, or of another."""
    if snapshot_id is not None:
        moment.turn_to(snapshot_id)
    st.switch_page(page, query_params=params)


def to_file(row: Mapping[str, Any] | None) -> None:
    """Leave for the page of a file, if a row was clicked."""
    if row:
        go("views/file.py", {"volume": row["volume"], "path": row["path"]})
