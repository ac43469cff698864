"""A service where people sign in, a browser, and the provider: what the tests of signing in stand at."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from lastcopy.service import app, sessions
from tests.lastcopy.conftest import DECLARED, Estate
from tests.lastcopy.service.issuers import CLIENT, SECRET, Issuer

ADDRESS = "http://127.0.0.1"
COOKIE = "lastcopy"
BROWSER = httpx.Client()
HTML = {"Accept": "text/html"}


def signing_in(issuer: Issuer, more: str = "", url: str = ADDRESS) -> str:
    """The tables of a configuration whose people sign in there."""
    return f"""
[dashboard.oidc]
issuer = "{issuer.url}"
client_id = "{CLIENT}"
client_secret_file = "secret"
url = "{url}"
{more}

[dashboard.people."ana@example.org"]
role = "auditor"

[dashboard.groups.operators]
role = "operator"

[dashboard.groups.finance]
see = ["data:deep"]
"""


@dataclass
class Desk:
    """A service where people sign in, a browser, and the provider."""

    issuer: Issuer
    browser: TestClient
    service: app.Service
    path: Path
    clock: list[float]

    def begin(self, path: str = "/", browser: TestClient | None = None) -> str:
        """The address at the provider to which who opens a page is sent."""
        begun = (browser or self.browser).get(path, headers=HTML, follow_redirects=False)
        assert begun.status_code == 303
        assert begun.headers["Location"].startswith(f"{ADDRESS}/login?next=")
        sent = (browser or self.browser).get(begun.headers["Location"], follow_redirects=False)
        assert sent.status_code == 303, sent.text
        return str(sent.headers["Location"])

    def back(self, address: str) -> str:
        """The address with which the provider sends him back."""
        return str(BROWSER.get(address).headers["Location"])

    def sign_in(self, path: str = "/", browser: TestClient | None = None) -> Any:  # noqa: ANN401  # an answer of the client
        return (browser or self.browser).get(self.back(self.begin(path, browser)), follow_redirects=False)

    def refused(self, answer: Any, said: str, status: int = 403) -> None:  # noqa: ANN401  # an answer of the client
        """Nobody is signed in: there is a page that says why."""
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (status, "text/html"), answer.text
        assert said.lower() in answer.text.lower()
        assert "Traceback" not in answer.text
        assert COOKIE not in self.browser.cookies
        assert self.browser.get("/api/volumes").status_code == 401

    def other(self) -> TestClient:
        """Another browser at the same service."""
        return TestClient(self.browser.app, base_url=ADDRESS, client=("127.0.0.1", 50000))


def at(estate: Estate, issuer: Issuer, folder: Path, more: str = "", url: str = ADDRESS) -> Desk:
    path = folder / "lastcopy.toml"
    path.write_text(DECLARED + signing_in(issuer, more, url))
    (folder / "secret").write_text(SECRET + "\n")
    clock = [time.time()]
    configuration = app.Configuration(path, str(estate.folder / "catalog"))
    service = app.Service(configuration, loopback=True, sessions=sessions.Sessions(lambda: clock[0]))
    client = TestClient(app.application(service, pages=False), base_url=url, client=("127.0.0.1", 50000))
    return Desk(issuer, client, service, path, clock)
