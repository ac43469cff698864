"""Every page of the dashboard over a synthetic catalog of ten million entries, in Chromium: from the click until nothing in it changes any more."""

import json
import re
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import reading
from benchmarks.measure import rested, run, say
from benchmarks.table import Asked, Row, limit

if TYPE_CHECKING:
    from tests.dashboards.browser import Visit

FIRST_SECONDS, AGAIN_SECONDS = 3, 1.5
_FIRST_ROW = 35 + 17  # pixels from the top of a table: its head, and half a row
_LINKS = ("Loss simulator", "Coverage", "Dormant copies", "Duplicates", "Explore", "Changes", "Volumes and scans", "Plans and jobs", "Reports", "Overview")


def measure(asked: Asked) -> list[Row]:
    """A row a page and visit, in one window. Before the first the server has drawn nothing, but asked what it asks of a new snapshot by itself."""
    from tests.dashboards import browser

    made, entries = reading.derived(asked)
    run(made.lastcopy("report", "largest", "--limit", "1", "--format", "json", output=made.folder / "largest.json"))
    [row] = json.loads((made.folder / "largest.json").read_text("utf-8"))["data"]
    rows = []
    with (
        tempfile.TemporaryDirectory() as home,
        browser.serving(made.folder / "lastcopy.toml", "operator", Path(home)) as address,
        browser.browsing() as chromium,
        browser.visiting(chromium, address, guarded=False) as visit,
    ):
        warm = rested()
        say(f"the server rests after {warm:.0f} s")
        note = f"in Chromium on the same machine, until nothing in the page changes any more; after the {warm:.0f} s in which a new snapshot is asked by itself"
        for visit_of, most in (("first", FIRST_SECONDS), ("second", AGAIN_SECONDS)):
            for title, seconds in _seconds(visit, {name: row[name] for name in ("volume", "path")}):
                say(f"{title}, {visit_of} visit: {seconds:.2f} s")
                what = f"page {title} over {entries:,} synthetic entries, {visit_of} visit"
                rows.append(limit(what, most, seconds, "s", note, asked=asked))
    return rows


def _seconds(visit: "Visit", largest: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Each page with the seconds from the click, or from the entry of its address, until it is drawn."""
    page = visit.page
    page.goto(visit.address)
    yield "Overview, by address", visit.drawn()
    for link in _LINKS:
        clicked, before = page.evaluate("performance.now() / 1000"), page.url
        page.get_by_role("link", name=link, exact=True).click()
        page.wait_for_url(re.compile(f"^(?!{re.escape(before)}$)"))
        page.get_by_role("heading", name=link, exact=True).wait_for()
        yield link, visit.drawn() - clicked
    page.get_by_placeholder("name, part of a path, *.pdf").fill(largest["path"].rpartition("/")[2])
    clicked = page.evaluate("performance.now() / 1000")
    page.get_by_role("button", name="Find").click()
    page.wait_for_url("**/search?**")
    page.get_by_role("heading", name="Search", exact=True).wait_for()
    yield "Search", visit.drawn() - clicked
    row = page.locator('[data-testid="stDataFrame"]').first
    row.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # until it is where it stays
    clicked = page.evaluate("performance.now() / 1000")
    row.click(position={"x": 60, "y": _FIRST_ROW})
    page.wait_for_url("**/file?**")
    page.get_by_role("heading", name="File", exact=True).wait_for()
    yield "File", visit.drawn() - clicked
    page.goto(f"{visit.address}/file?{urllib.parse.urlencode(largest)}")
    yield "File, by address", visit.drawn()
