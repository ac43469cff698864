"""The pages in a real browser: every one is drawn, clicks lead to the rows behind them, no other host is asked, no name becomes code."""

import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.terminal import human
from tests.dashboards.browser import Visit, browsing, chromium, serving, visiting
from tests.dashboards.conftest import Shown
from tests.dashboards.test_pages import VIEWS


@pytest.fixture(scope="module")
def visit(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """A browser over the demo, as an operator."""
    chromium()
    with serving(shown.config, "operator", tmp_path_factory.mktemp("home")) as address, browsing() as browser, visiting(browser, address) as visit:
        yield visit


@pytest.fixture(autouse=True)
def _nothing_went_wrong(visit: Visit) -> Iterator[None]:
    visit.strangers.clear()
    visit.complaints.clear()
    yield
    assert visit.strangers == []
    assert visit.complaints == []


def asked(visit: Visit) -> dict[str, str]:
    """The parameters in the address."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(visit.page.url).query))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("view", VIEWS)
def test_every_page_is_drawn_by_its_own_address(visit: Visit, view: str) -> None:
    page = visit.open(f"{view}?volume=projects&path=inbox/%3Dcmd().csv&q=inbox")
    assert page.locator('[data-testid="stException"], [data-testid="stAlertContentError"]').count() == 0
    assert "As of" in (page.locator(".lc-asof").text_content() or "")
    page.locator('[data-testid="stSidebar"]').get_by_placeholder("name, part of a path, *.pdf").wait_for()


def test_the_tiles_are_what_the_report_says(visit: Visit, shown: Shown) -> None:
    page, lines = visit.open(""), {row["name"]: row for row in shown.report("overview")}
    values = [one.text_content() for one in page.locator('[data-testid="stMetricValue"]').all()]
    wanted = ["stored", "protected", "unprotected", "last_copies", "dormant", "reclaimable"]
    said = [human(lines[name]["bytes"], "bytes") for name in wanted]
    said[1:4] = [f"{lines['protected']['files_pct']:.1f} %", str(lines["unprotected"]["files"]), str(lines["last_copies"]["files"])]
    assert values == said


@pytest.mark.slow
def test_a_cell_of_the_matrix_shows_the_assets_behind_it(visit: Visit, shown: Shown) -> None:
    visit.open("coverage")
    names = [row[0] for row in visit.cells()]
    visit.click("stDataFrame", 0.62, 35 * (names.index("default") + 1) + 17, "threat=")
    found = asked(visit)
    assert found["name"] == "default"
    [line] = [row for row in shown.report("coverage") if (row["name"], row["threat"]) == ("default", found["threat"])]
    visit.page.get_by_text("default: not known to survive").wait_for()
    behind = shown.report("assets", "--where", f"data_class = 'default' AND {found['threat']} <> 'yes'")
    assert len(behind) == line["assets"] - line["covered_assets"]
    shown_rows = visit.cells(1)
    assert [row[:2] for row in shown_rows] == [[row["volume"], row["path"]] for row in behind[: len(shown_rows)]]


@pytest.mark.slow
def test_a_rectangle_of_the_treemap_is_gone_into(visit: Visit, shown: Shown) -> None:
    visit.open("explore")
    visit.click("stEChartsChart", 0.3, 0.5, "volume=projects")
    folders = shown.report("folders", "--depth", "1", "--where", "volume = 'projects'")
    rows = visit.cells()
    assert [row[0] for row in rows] == [row["folder"] for row in folders[: len(rows)]]
    visit.click("stEChartsChart", 0.3, 0.5, "folder=")
    assert asked(visit) == {"volume": "projects", "folder": folders[0]["folder"]}


@pytest.mark.slow
def test_a_volume_of_the_overviews_treemap_leads_into_it(visit: Visit) -> None:
    visit.open("")
    visit.click("stEChartsChart", 0.3, 0.6, r"/explore\?volume=projects$")


@pytest.mark.slow
def test_a_duplicate_group_shows_its_members(visit: Visit, shown: Shown) -> None:
    visit.open("duplicates")
    groups = shown.report("duplicate-groups")
    visit.click("stDataFrame", 0.2, 35 * 2 + 17, "digest=")
    assert asked(visit)["digest"] == groups[1]["digest"]
    members = shown.report("duplicates", "--where", f"digest = '{groups[1]['digest']}'")
    assert [row[:2] for row in visit.cells(1)] == [[row["volume"], row["path"]] for row in members]


@pytest.mark.slow
def test_a_row_leads_to_its_file(visit: Visit, shown: Shown) -> None:
    visit.open("search?q=merger")
    visit.click("stDataFrame", 0.2, 35 + 17, r"/file\?")
    assert asked(visit) == {"volume": "projects", "path": "contracts/2019-merger.pdf"}


@pytest.mark.slow
def test_the_search_stands_on_every_page_and_leads_to_what_it_finds(visit: Visit) -> None:
    page = visit.open("dormant")
    page.get_by_placeholder("name, part of a path, *.pdf").fill("teaser")
    page.get_by_role("button", name="Find").click()
    page.wait_for_url("**/search?q=teaser")
    visit.drawn()
    assert sorted(row[0] for row in visit.cells()) == ["cloud", "studio"]


def test_the_past_stays_in_the_address_of_every_page_until_one_leaves_it(visit: Visit, shown: Shown) -> None:
    first = shown.report("growth", "--by", "all")[0]["as_of"]
    past = {"snapshot": first[:10], "at": f"{first[11:19]} UTC"}
    page = visit.open(f"volumes?{urllib.parse.urlencode({'snapshot': first, 'volume': 'lyon'})}")
    assert asked(visit) == {**past, "volume": "lyon"}
    page.get_by_role("link", name="Coverage").click()
    page.wait_for_url("**/coverage?*")
    visit.drawn()
    assert asked(visit) == past
    page.get_by_text("You look at the past.").wait_for()
    page.get_by_placeholder("name, part of a path, *.pdf").fill("teaser")
    page.get_by_role("button", name="Find").click()
    page.wait_for_url("**/search?*")
    visit.drawn()
    assert asked(visit) == {**past, "q": "teaser"}
    page.get_by_role("button", name="Show the newest").click()
    page.wait_for_url("**/search?q=teaser")
    visit.drawn()
    assert page.get_by_text("You look at the past.").count() == 0


@pytest.mark.slow
def test_what_burns_and_what_to_do_about_it_is_three_clicks(visit: Visit, shown: Shown) -> None:
    page = visit.open("")
    page.get_by_role("link", name="Loss simulator").click()
    page.get_by_text("Loss of site paris").wait_for()
    told = {one["outcome"]: one["assets"] for one in shown.simulate("--lose", "site=paris")["totals"]}
    values = [one.text_content() for one in page.locator('[data-testid="stMetricValue"]').all()]
    assert values == [str(told[outcome]) for outcome in ("lost", "unknown", "survives")]
    page.get_by_role("button", name="Create this plan").click()
    page.wait_for_url("**/plans?plan=*", timeout=60_000)
    visit.drawn()
    page.get_by_text("What it leaves out, and why").wait_for()


@pytest.mark.slow
def test_hostile_names_are_text_in_tables_treemaps_and_headings(visit: Visit) -> None:
    name = "inbox/<img src=x onerror=alert(2)>.txt"
    visit.open("search?q=inbox")
    assert any(row[1] == name for row in visit.cells())
    page = visit.open("explore?volume=projects&folder=inbox/")
    assert any(row[0] == name for row in visit.cells())
    page = visit.open(f"file?volume=projects&path={urllib.parse.quote(name)}")
    assert page.get_by_text(f"projects:{name}", exact=True).count() == 1
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_a_page_runs_no_script_and_asks_no_host_but_its_own(visit: Visit) -> None:
    page = visit.open("")
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.owned = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", '<img src="http://192.0.2.1/a.png" onerror="window.owned = true"><base href="http://192.0.2.1/">');
    }""")
    with urllib.request.urlopen(f"{visit.address}/coverage") as answer:  # asks for no HTML by name
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    refused = page.evaluate("fetch('http://192.0.2.1/').then(() => 'asked', () => 'refused')")
    page.wait_for_timeout(500)
    assert refused == "refused"
    assert page.evaluate("window.owned") is None
    assert all("Content Security Policy" in line for line in visit.complaints)
    assert len(visit.complaints) >= 3
    visit.complaints.clear()


@pytest.mark.slow
def test_a_page_is_whole_in_a_narrow_window_and_in_the_dark(visit: Visit) -> None:
    browser = visit.page.context.browser
    assert browser is not None
    with visiting(browser, visit.address, width=900, scheme="dark") as narrow:
        for view in ("", "loss"):
            page = narrow.open(view)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor") == "rgb(18, 25, 30)"
        assert narrow.strangers + narrow.complaints == []


@pytest.mark.slow
def test_a_download_has_a_harmless_name_and_all_rows(visit: Visit, shown: Shown, tmp_path: Path) -> None:
    page = visit.open("reports?report=largest")
    with page.expect_download() as found:
        page.get_by_role("button", name="CSV").click()
    saved = tmp_path / "saved.csv"
    found.value.save_as(saved)
    assert found.value.suggested_filename.startswith("largest-2")
    assert len(saved.read_text("utf-8").splitlines()) == len(shown.report("largest")) + 1
