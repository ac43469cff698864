"""What pages ask first is asked ahead of them, and ends with the application."""

import asyncio
import io
import logging
import threading
import time

import pytest
from streamlit.runtime.scriptrunner import get_script_run_ctx

import reports
from dashboards import asking, seam, warming
from tests.dashboards.conftest import Shown
from tests.dashboards.test_pages import as_role, opened


@pytest.fixture
def view(shown: Shown) -> asking.View:
    as_role(shown, "viewer")
    return asking.View(str(seam.current().root()), asking.snapshots()[0].snapshot_id, "")


@pytest.mark.slow
def test_pages_find_the_answers_that_were_asked_ahead(view: asking.View, monkeypatch: pytest.MonkeyPatch) -> None:
    asking.warm(view, warming.ASKED)
    asked: list[str] = []
    load = reports.load

    def counted(name: str) -> reports.Report:
        asked.append(name)
        return load(name)

    monkeypatch.setattr("reports.load", counted)
    with monkeypatch.context() as asking_again:
        asking_again.setattr("reports.single_losses.ranked", lambda *_, **__: pytest.fail("the loss of each site is worked out once more"))
        for page in ("overview", "dormant", "duplicates"):
            opened(page)
    assert {name for name, *_ in warming.ASKED}.isdisjoint(asked), asked
    monkeypatch.setattr("reports.simulate.simulate", lambda *_: pytest.fail("the first loss is worked out once more"))
    opened("loss")


def test_what_is_asked_ahead_says_nothing_of_pages_that_are_not_drawn(view: asking.View, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    logger = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    logger.addHandler(told := logging.StreamHandler(said))
    asked = threading.Event()

    def heard(*_: object) -> None:
        with monkeypatch.context() as served:
            served.setattr("streamlit.runtime.exists", lambda: True)
            get_script_run_ctx()
        asked.set()

    monkeypatch.setattr(asking, "warm", heard)

    async def run() -> None:
        async with warming.lifespan(None):
            assert await asyncio.to_thread(asked.wait, 20)

    asyncio.run(run())
    logger.removeHandler(told)
    assert said.getvalue() == ""


def test_the_end_of_the_application_ends_what_is_being_asked(view: asking.View, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def endless(*_: object) -> None:
        with asking._cursor(view) as connection:
            begun.set()
            connection.execute("SELECT count(*) FROM range(10000000) AS a(i), range(10000000) AS b(j) WHERE hash(i + j) = 1").fetchall()

    monkeypatch.setattr(asking, "warm", endless)

    async def run() -> float:
        async with warming.lifespan(None):
            assert await asyncio.to_thread(begun.wait, 20)
            ended = time.monotonic()
        return time.monotonic() - ended

    assert asyncio.run(run()) < 10
    assert "warming" not in {thread.name for thread in threading.enumerate()}
