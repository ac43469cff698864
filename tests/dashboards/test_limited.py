"""Who may see a part of the estate only finds nothing of the rest on any page or in any file that a page gives."""

import io
from collections.abc import Iterator

import openpyxl
import pypdf
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from catalog.sight import Sight
from dashboards import asking, options, rights, seam, tables
from lastcopy.service import app, pages
from lastcopy.service.answers import Connections
from lastcopy.service.identity import Person
from reports.terminal import human
from tests.dashboards.conftest import Shown
from tests.dashboards.test_pages import VIEWS, metrics, opened

# Volumes, systems, sites, people and names of files that lie elsewhere, none of which is also a word of these pages.
FOREIGN = (
    *("projects", "mirror", "lyon", "shelf", "nas-1", "nas-2", "backup-1", "it-paris", "backup-team", "merger", "2017-atlas"),
    *("usb-disk", "usb:", "cloud-store", "cloud-team", "frankfurt", "notary"),
)
ASKED: list[tuple[str, dict[str, str]]] = [
    *((view, {}) for view in VIEWS if not rights.PAGES[view].whole),
    ("explore", {"volume": "studio"}),
    ("volumes", {"volume": "studio"}),
    ("coverage", {"name": "default", "threat": "ransomware"}),
    ("file", {"volume": "studio", "path": "footage/day1.mov"}),
]


@pytest.fixture(scope="module", autouse=True)
def _of_nobody_else() -> Iterator[None]:
    """What the pages keep was read by these tests alone."""
    st.cache_data.clear()
    st.cache_resource.clear()
    yield
    seam.use(seam.Served())
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def limited(shown: Shown) -> Shown:
    """The demo as the service shows it to who may see one volume."""
    as_seeing(shown, "studio")
    return shown


def as_seeing(shown: Shown, *parts: str) -> seam.Viewer:
    service = app.Service(app.Configuration(shown.config), loopback=True)
    served = pages.served(service, Connections(service.configuration.root))
    viewer = pages.looking(Person("bob", "operator", Sight.of(parts)))
    seam.use(seam.Served(configuration=served.configuration, viewer=lambda: viewer, opened=served.opened))
    return viewer


def drawn(page: AppTest) -> str:
    """Everything that a page sends to the browser."""
    return said("\n".join(str(one.proto) for one in page._tree if getattr(one, "proto", None) is not None))


def said(text: str) -> str:
    """Without the name of a control that is also a word of this test."""
    return text.lower().replace("mirror_only", "").replace("mirror only", "")


@pytest.mark.parametrize(("view", "asked"), ASKED)
def test_no_page_tells_anything_of_another_volume(limited: Shown, view: str, asked: dict[str, str]) -> None:
    told = drawn(opened(view, **asked))
    assert "as of" in told
    assert [word for word in FOREIGN if word in told] == []


def test_the_same_pages_tell_of_other_volumes_to_who_may_see_them(shown: Shown) -> None:
    as_seeing(shown, "studio", "projects", "lyon")
    told = drawn(opened("overview")) + drawn(opened("volumes"))
    assert "projects" in told
    assert "lyon" in told


def test_a_file_of_another_volume_is_not_found_in_the_words_of_one_that_is_not_there(limited: Shown) -> None:
    told = {opened("file", volume=volume, path=path).info[0].value for volume, path in (("projects", "contracts/2019-merger.pdf"), ("nowhere", "no/such"))}
    assert len(told) == 1
    assert not opened("search", q="merger").dataframe


def test_copies_elsewhere_are_a_number(limited: Shown) -> None:
    [said] = [one.value for one in opened("file", volume="studio", path="footage/day1.mov").caption if "Elsewhere" in one.value]
    assert said == "Elsewhere: 1 volume with a copy, not yours to see."


def test_tiles_are_counted_from_the_rows_that_are_seen(limited: Shown) -> None:
    found = metrics(opened("overview"))
    [volume] = [row for row in limited.report("volumes") if row["volume"] == "studio"]
    assert found["Stored"] == human(volume["bytes"], "bytes")


@pytest.mark.parametrize("form", tables.FORMATS)
def test_no_file_of_a_page_tells_anything_of_another_volume(limited: Shown, form: str) -> None:
    viewer = seam.current().viewer()
    seen = asking.View(str(limited.folder / "catalog"), asking.snapshots()[0].snapshot_id, viewer.limits)
    for name in ("assets", "volumes", "coverage", "duplicates", "problems", "overview"):
        text = said(_text(asking.export(seen, name, form), form))
        assert [word for word in FOREIGN if word in text] == [], name


def _text(given: bytes, form: str) -> str:
    if form == "xlsx":
        book = openpyxl.load_workbook(io.BytesIO(given))
        return repr([row for sheet in book for row in sheet.iter_rows(values_only=True)])
    if form == "pdf":
        return "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(given)).pages)
    return given.decode("latin-1")


def test_who_may_see_nothing_sees_nothing(shown: Shown) -> None:
    viewer = as_seeing(shown)
    assert viewer.limits
    page = AppTest.from_file(str(options.SCRIPT), default_timeout=60).run()
    assert [word for word in (*FOREIGN, "studio") if word in drawn(page)] == []
