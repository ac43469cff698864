"""The Streamlit script: who looks at which snapshot, the pages he has, the search, and the page that is drawn."""

import streamlit as st

from catalog.errors import LastcopyError
from dashboards import chrome, moment, rights, seam

PAGES = {
    "": [
        ("overview", "Overview", ":material/dashboard:"),
        ("loss", "Loss simulator", ":material/local_fire_department:"),
        ("coverage", "Coverage", ":material/shield:"),
    ],
    "Tidy up": [
        ("dormant", "Dormant copies", ":material/bedtime:"),
        ("duplicates", "Duplicates", ":material/content_copy:"),
        ("explore", "Explore", ":material/explore:"),
        ("changes", "Changes", ":material/compare_arrows:"),
    ],
    "Operate": [
        ("volumes", "Volumes and scans", ":material/storage:"),
        ("plans", "Plans and jobs", ":material/checklist:"),
        ("trail", "Audit trail", ":material/history:"),
        ("reports", "Reports", ":material/description:"),
    ],
}
HIDDEN = [("file", "File", ":material/find_in_page:"), ("search", "Search", ":material/search:")]


def main() -> None:
    """Draw the page that was asked for."""
    st.set_page_config(page_title="Lastcopy", page_icon="🛟", layout="wide")
    viewer = seam.current().viewer()
    pages = {section: [_page(*page) for page in listed if viewer.may(rights.PAGES[page[0]])] for section, listed in {**PAGES, " ": HIDDEN}.items()}
    chosen = st.navigation(pages, position="sidebar", expanded=True)
    chrome.look()
    try:
        moment.settle(chosen)
        chrome.sidebar(viewer)
        moment.past()
        chosen.run()
        chrome.footer()
    except LastcopyError as error:
        st.error(chrome.failure(error), icon=":material/warning:")


def _page(name: str, title: str, icon: str) -> st.Page:
    hidden = (name, title, icon) in HIDDEN
    return st.Page(f"views/{name}.py", title=title, icon=icon, url_path=name, default=name == "overview", visibility="hidden" if hidden else "visible")


if __name__ == "__main__":  # as Streamlit runs it; whoever imports it draws nothing
    main()
