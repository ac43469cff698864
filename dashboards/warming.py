"""What pages ask first of a new snapshot, asked as soon as it is published: the first who looks waits as little as the second."""

import asyncio
import importlib
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import duckdb
from streamlit.runtime.scriptrunner import get_script_run_ctx

from catalog.errors import LastcopyError
from catalog.words import THREATS
from dashboards import asking, matrix, seam

_THREAD = "warming"
_SECONDS = 15  # between two looks for a new snapshot
_POLL_SECONDS = 0.1
ASKED: tuple[tuple[str, dict[str, int | str], str | None, int | None], ...] = (  # the slowest of what pages ask at first, as they ask it
    ("overview", {}, None, asking.ROWS),
    ("growth", {"by": "all"}, None, None),
    ("volumes", {}, None, None),
    ("ageing", {}, None, None),
    ("coverage", {"by": "class"}, None, matrix.LINES * len(THREATS)),
    ("savings", {"days": 365}, None, None),
    ("dormant-copies", {"days": 365}, "role = 'primary'", asking.ROWS),
    ("duplicate-groups", {"scope": "primary"}, None, asking.ROWS),
)
_log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """Do so in a thread while an application runs; nothing is being asked any more when this ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_run, args=(stop,), name=_THREAD, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        while asking.interrupt() or thread.is_alive():
            await asyncio.sleep(_POLL_SECONDS)


def _not_of_this_thread(_record: logging.LogRecord) -> bool:
    return threading.current_thread().name != _THREAD  # Streamlit warns that no page is being drawn: none is


def _run(stop: threading.Event) -> None:
    logging.getLogger(get_script_run_ctx.__module__).addFilter(_not_of_this_thread)
    importlib.import_module("dashboards.charts")  # what draws takes longer to import than to draw
    last = ""
    while not stop.is_set():
        try:
            newest = asking.snapshots()[0].snapshot_id
            if newest != last:
                last = newest
                asking.warm(asking.View(str(seam.current().root()), newest, ""), ASKED)
        except (LastcopyError, duckdb.Error) as error:  # no snapshot yet, or an end in the middle of a question: the pages tell who looks
            _log.debug("%s", error)
        stop.wait(_SECONDS)
