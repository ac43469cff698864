"""People sign in at an OpenID provider in a real browser, see what is theirs, and sign out."""

import re
import socket
from collections.abc import Iterator

import httpx
import pytest
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import Browser, Page

from lastcopy.service import login
from tests.dashboards.browser import Visit, browsing, chromium, visiting
from tests.dashboards.conftest import Shown
from tests.lastcopy.service.test_serve import Service, handshake, serving

PEOPLE = [
    User(sub="ana", claims={"email": "ana@example.org", "email_verified": True}),
    User(sub="bob", claims={"email": "bob@example.org", "email_verified": True, "groups": ["staff", "studio"]}),
    User(sub="eve", claims={"email": "eve@example.org", "email_verified": True, "groups": ["staff"]}),
]


@pytest.fixture(scope="module")
def signed(shown: Shown) -> Iterator[Service]:
    """The service over the demo, whose people sign in at a provider of another host name."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with run_server_in_thread(user_claims=PEOPLE, require_nonce=True) as provider:
        path = shown.folder / "signed.toml"
        path.write_text(f"""{shown.config.read_text()}
[dashboard.oidc]
issuer = "http://localhost:{provider.server_port}"
client_id = "lastcopy"
client_secret_env = "CLIENT_SECRET"
url = "http://127.0.0.1:{port}"

[dashboard.people."ana@example.org"]
role = "auditor"

[dashboard.groups.studio]
see = ["studio"]
""")
        options = ("--config", str(path), "--listen", f"127.0.0.1:{port}", "--no-schedule")
        with serving(shown.folder, *options, CLIENT_SECRET="s3cret") as service:
            yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium()
    with browsing() as found:
        yield found


@pytest.fixture
def visit(browser: Browser, signed: Service) -> Iterator[Visit]:
    with visiting(browser, signed.url.rstrip("/"), guarded=False) as found:
        found.page.route(re.compile("^https:"), lambda route: route.abort())  # the provider's page wants a style from elsewhere
        yield found


def sign_in(page: Page, who: str) -> None:
    page.wait_for_url(re.compile(r"http://localhost:\d+/"))
    page.get_by_role("button", name=who, exact=True).click()


@pytest.mark.slow
def test_somebody_signs_in_sees_the_page_that_he_asked_for_and_signs_out(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.address}/plans?policy=x")
    sign_in(page, "ana")
    page.wait_for_url(f"{visit.address}/plans?policy=x*")
    visit.complaints.clear()  # of the provider's page
    visit.drawn()
    page.get_by_text("ana@example.org, auditor · Sign out").wait_for()
    assert page.get_by_role("link", name="Audit trail").count() == 1
    assert visit.complaints == []
    page.get_by_role("link", name="Sign out").click()
    page.get_by_text("You are signed out").wait_for()
    page.goto(f"{visit.address}/coverage")
    sign_in(page, "ana")
    visit.drawn()
    assert page.url.startswith(f"{visit.address}/coverage")


@pytest.mark.slow
def test_who_is_known_by_his_group_sees_his_part_and_no_page_that_is_not_his(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.address}/volumes")
    sign_in(page, "bob")
    page.wait_for_url(f"{visit.address}/volumes*")
    visit.drawn()
    assert [row[0] for row in visit.cells()] == ["studio"]
    assert page.get_by_role("link", name=re.compile("Plans and jobs|Audit trail|Loss simulator")).count() == 0
    for name in ("plans", "trail", "loss"):
        answer = page.goto(f"{visit.address}/{name}")
        assert answer is not None
        assert answer.status == 403


def test_no_page_and_no_websocket_is_for_who_did_not_sign_in(signed: Service) -> None:
    assert handshake(signed.url, signed.url.rstrip("/")) == 403
    for path in ("", "coverage", "_stcore/host-config", "media/x", "static/js/x.js", "auth/login", "oauth2callback"):
        assert httpx.get(signed.url + path).status_code == 403


def test_who_is_not_known_here_is_told_so_and_let_in_nowhere(visit: Visit, signed: Service) -> None:
    page = visit.page
    page.goto(f"{visit.address}/")
    sign_in(page, "eve")
    page.get_by_text("you signed in as eve@example.org, who is not known here").wait_for()
    assert not [cookie for cookie in page.context.cookies() if cookie["name"] == "lastcopy"]
    assert "eve@example.org, who is not known here" in signed.lines()
    assert "Traceback" not in signed.lines()


@pytest.mark.slow
def test_a_page_that_is_still_open_shows_nothing_more_to_who_signed_out(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.address}/plans")
    sign_in(page, "ana")
    visit.drawn()
    other = page.context.new_page()
    other.goto(f"{visit.address}{login.END}")
    other.get_by_text("You are signed out").wait_for()
    page.get_by_role("link", name="Coverage", exact=True).click()
    page.get_by_text("You are not signed in any more.").first.wait_for()
    page.locator('[data-testid="stDataFrame"]').first.wait_for(state="detached")  # the browser takes them away a moment later
    page.get_by_role("link", name="Sign in").first.click()
    sign_in(page, "ana")
    visit.drawn()
