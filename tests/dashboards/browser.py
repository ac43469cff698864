"""The system's Chromium over a server of the pages: refuses every other host, and remembers what went wrong."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Request, Route, sync_playwright

from tests.lastcopy.program import environment

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
CHROMIUM = shutil.which("chromium")
SETTLED = """() => {
    const ran = document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]') && document.querySelector(".lc-asof");
    const done = ran && !document.querySelector('[data-testid="stSkeleton"]');
    const now = done ? document.body.innerHTML : null;
    if (now === null || now !== window.lastSeen) {
        window.lastSeen = now;
        window.sameSince = performance.now();
        window.looks = 0;
    }
    // Looks are counted, for time also passes while the client is too busy to draw.
    return now !== null && ++window.looks > 5;
}"""
ROOT = Path(__file__).parents[2]


@contextmanager
def serving(configuration: Path, role: str, home: Path) -> Iterator[str]:
    """The address of a server of the pages, which ends with the block."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = [sys.executable, "-m", "tests.dashboards.serving", str(configuration), str(port), role]
    server = subprocess.Popen(words, cwd=ROOT, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address, server)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert server.poll() is None, server.stderr.read().decode() if server.stderr else ""
            time.sleep(0.1)
    raise AssertionError("the pages are not served within 30 s")


class Visit:
    """A browser's window on the pages of a server. `strangers` are requests to other hosts, all refused; `complaints` what the console says is wrong.

    `guarded` looks at each request, which takes about a second a page.
    """

    def __init__(self, page: Page, address: str, *, guarded: bool = True) -> None:
        self.page, self.address = page, address
        self.strangers: list[str] = []
        self.complaints: list[str] = []
        if guarded:
            page.route("**/*", self._guard)
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in ("error", "assert") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dialog)
        self._loading: set[Request] = set()
        page.on("request", self._begun)
        page.on("requestfinished", self._over)
        page.on("requestfailed", self._over)

    def open(self, path: str) -> Page:
        """Go to a page, and wait until it is drawn."""
        self.page.goto(f"{self.address}/{path}")
        self.drawn()
        return self.page

    def drawn(self) -> float:
        """Wait until the script has ended, the page says as of when it is, every part of the client is there and drawn, and nothing has changed for a while.

        Gives the seconds from the page's load until its last change.
        """
        self.page.wait_for_function(SETTLED, timeout=60_000, polling=100)
        while self._loading:
            self.page.wait_for_timeout(50)
            self.page.evaluate("window.lastSeen = null")
            self.page.wait_for_function(SETTLED, timeout=60_000, polling=100)
        return float(self.page.evaluate("window.sameSince / 1000"))

    def click(self, testid: str, x: float, y: float, until: str, place: int = 0) -> None:
        """Click into a canvas, at a share of its width, and pixels from its top where `y` is above 1; wait for an address that matches."""
        element = self.page.locator(f'[data-testid="{testid}"]').nth(place)
        element.scroll_into_view_if_needed()
        self.page.wait_for_timeout(500)  # until it is where it stays
        box = element.bounding_box()
        assert box is not None
        self.page.mouse.click(box["x"] + x * box["width"], box["y"] + (y if y > 1 else y * box["height"]))
        self.page.wait_for_url(re.compile(until))
        self.drawn()

    def cells(self, place: int = 0) -> list[list[str]]:
        """The rows of a table, as its text for screen readers has them."""
        table = self.page.locator('[data-testid="stDataFrame"]').nth(place)
        table.locator("td").first.wait_for(state="attached", timeout=30_000)
        found: list[list[str]] = table.evaluate("table => [...table.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))")
        return found

    def _begun(self, request: Request) -> None:
        self._loading.add(request)

    def _over(self, request: Request) -> None:
        self._loading.discard(request)

    def _guard(self, route: Route) -> None:
        if route.request.url.startswith((self.address, "data:", "blob:")):
            route.continue_()
        else:
            self.strangers.append(route.request.url)
            route.abort()

    def _dialog(self, dialog: object) -> None:
        self.complaints.append(f"a dialog: {dialog}")


@contextmanager
def browsing() -> Iterator[Browser]:
    """A new browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(
    browser: Browser, address: str, width: int = 1440, height: int = 1000, scheme: Literal["light", "dark"] = "light", *, guarded: bool = True
) -> Iterator[Visit]:
    """A new window of a browser, which knows nothing of its others."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    try:
        yield Visit(context.new_page(), address, guarded=guarded)
    finally:
        context.close()


def chromium() -> str:
    """The path of the system's Chromium; where there is none the test is skipped, or fails where servers are required."""
    if CHROMIUM is None and not os.environ.get("REQUIRE_SERVERS"):
        pytest.skip("there is no chromium")
    assert CHROMIUM is not None, "there is no chromium"
    return CHROMIUM
