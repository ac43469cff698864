"""Each role has its pages and no other, is offered its acts and no other, and what it may not open is not listed."""

from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from catalog.config import Policy
from catalog.errors import RefusedError
from dashboards import acting, app, asking, links, options, rights, seam
from lifecycle import plan
from tests.dashboards.conftest import Shown
from tests.dashboards.test_pages import VIEWS, as_role, opened

REPORTS = {"overview", "coverage", "dormant", "duplicates", "explore", "changes", "volumes", "reports", "file", "search"}
WHO: dict[tuple[seam.Role, str], set[str]] = {
    ("viewer", ""): REPORTS | {"loss"},
    ("auditor", ""): REPORTS | {"loss", "plans", "trail"},
    ("operator", ""): REPORTS | {"loss", "plans", "trail"},
    ("viewer", "projects"): REPORTS,
    ("auditor", "projects"): REPORTS,
    ("operator", "projects"): REPORTS,
}
TITLES = {name: title for listed in (*app.PAGES.values(), app.HIDDEN) for name, title, _ in listed}


@pytest.fixture(autouse=True)
def _of_nobody_else() -> Iterator[None]:
    yield
    seam.use(seam.Served())


def test_every_page_asks_for_a_right() -> None:
    assert set(VIEWS) == set(rights.PAGES) == set(TITLES)


@pytest.mark.parametrize(("role", "limits"), WHO)
def test_a_role_is_listed_the_pages_that_it_may_open_and_no_other(shown: Shown, role: seam.Role, limits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    as_role(shown, role, limits)
    listed: set[str] = set()
    navigation = st.navigation

    def watched(pages: dict[str, list[Any]], **options: Any) -> Any:  # noqa: ANN401  # as Streamlit has them
        listed.update(page.title for found in pages.values() for page in found)
        return navigation(pages, **options)

    monkeypatch.setattr(st, "navigation", watched)
    opened("overview")
    assert listed == {TITLES[name] for name in WHO[role, limits]}


@pytest.mark.parametrize("view", ["loss", "plans", "trail"])
@pytest.mark.parametrize(("role", "limits"), WHO)
def test_a_page_that_a_role_may_not_open_is_not_drawn(shown: Shown, role: seam.Role, limits: str, view: str) -> None:
    as_role(shown, role, limits)
    page = AppTest.from_file(str(options.SCRIPT), default_timeout=60).switch_page(f"views/{view}.py").run()
    assert (TITLES[view] in [one.value for one in page.title]) is (view in WHO[role, limits])


def test_no_link_leads_to_a_page_that_is_not_there(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(st, "page_link", lambda page, **_: drawn.append(page))
    for (role, limits), pages in WHO.items():
        as_role(shown, role, limits)
        newest = asking.View(str(seam.current().root()), asking.snapshots()[0].snapshot_id, "")
        monkeypatch.setattr(asking, "view", lambda newest=newest: newest)
        drawn.clear()
        for name in rights.PAGES:
            links.to(f"views/{name}.py", name)
        assert {page.removeprefix("views/").removesuffix(".py") for page in drawn} == pages


@pytest.mark.parametrize(("role", "limits"), [who for who in WHO if who != ("operator", "")])
def test_only_an_operator_who_sees_everything_is_offered_an_act_or_can_do_one(shown: Shown, role: seam.Role, limits: str) -> None:
    as_role(shown, role, limits)
    for view in {"loss", "dormant", "duplicates", "plans"} & WHO[role, limits]:
        assert not [button for button in opened(view).button if button.label in ("Create this plan", "Approve this plan")]
    before = plan.plans(shown.folder / "catalog")
    with pytest.raises(RefusedError, match="new plans and approvals are for operators who may see every volume"):
        acting.create(Policy(action="copy", report="unprotected", to="lyon"))
    for one in before:
        with pytest.raises(RefusedError):
            acting.approve(one)
    assert plan.plans(shown.folder / "catalog") == before


@pytest.mark.parametrize(("role", "limits"), [("viewer", ""), ("auditor", "projects")])
def test_a_page_that_is_still_shown_reads_no_journal_for_who_may_not_any_more(shown: Shown, role: seam.Role, limits: str) -> None:
    as_role(shown, role, limits)
    for right in (rights.WORK, rights.TRAIL, rights.ACTS):
        with pytest.raises(RefusedError), acting.journal(right):
            pass
