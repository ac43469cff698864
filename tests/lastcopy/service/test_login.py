"""Signing in at an OpenID provider: whoever it names and the configuration knows is let in; whatever is forged, replayed or broken lets in nobody."""

import base64
import json
import re
import urllib.parse
from pathlib import Path

import pytest
import structlog
from starlette.testclient import TestClient, WebSocketDenialResponse

from catalog import config
from lastcopy.service import app, identity, sessions
from tests.lastcopy.conftest import Estate
from tests.lastcopy.service.desks import ADDRESS, COOKIE, HTML, Desk, at
from tests.lastcopy.service.issuers import Issuer


def test_who_signs_in_comes_to_the_page_that_he_asked_for_as_the_person_that_the_configuration_knows(desk: Desk) -> None:
    with structlog.testing.capture_logs() as said:
        done = desk.sign_in("/plans?plan=p1&x=%2F")
    assert (done.status_code, done.headers["Location"]) == (303, f"{ADDRESS}/plans?plan=p1&x=%2F")
    assert [(line["event"], line["person"]) for line in said] == [("signed in", "ana@example.org")]
    assert desk.browser.get("/api/jobs").status_code == 200
    assert desk.browser.get("/plans", headers=HTML).status_code == 404  # no pages are served here, but it is let through
    asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(desk.begin(browser=desk.other())).query))
    assert asked["redirect_uri"] == f"{ADDRESS}/login/callback"
    assert asked["scope"] == "openid profile email"
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43


def test_the_cookies_are_for_no_script_and_for_no_other_site(desk: Desk, estate: Estate, tmp_path: Path) -> None:
    begun = desk.browser.get("/login", follow_redirects=False)
    done = desk.sign_in()
    for answer in (begun, done):
        for cookie in answer.headers.get_list("Set-Cookie"):
            assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
            assert "Secure" not in cookie
        assert answer.headers["Cache-Control"] == "no-store"
    [held] = [one for one in done.headers.get_list("Set-Cookie") if one.startswith(f"{COOKIE}=")]
    assert "Max-Age=28800" in held
    tls = at(estate, desk.issuer, tmp_path, url="https://lastcopy.example.org")
    [cookie] = tls.browser.get("/login", follow_redirects=False).headers.get_list("Set-Cookie")
    assert cookie.startswith("__Host-lastcopy-login-")
    assert "Secure" in cookie.split("; ")
    assert "Domain" not in cookie


def test_groups_grant_what_the_first_of_the_configuration_does(estate: Estate, desk: Desk, tmp_path: Path) -> None:
    desk = at(estate, desk.issuer, tmp_path, 'name_claim = "preferred_username"\ngroups_claim = "realm_access.roles"')
    desk.issuer.person = {"sub": "7", "preferred_username": "bob", "realm_access": {"roles": ["staff", "finance", 3]}}
    desk.sign_in()
    assert [row["files"] for row in desk.browser.get("/api/volumes").json()["data"]] == [1]
    assert desk.browser.get("/api/jobs").status_code == 403
    assert desk.browser.get("/plans", headers=HTML).status_code == 403


def test_a_token_is_still_what_programs_give(fresh: Desk) -> None:
    token, hashed = identity.new_token()
    fresh.path.write_text(fresh.path.read_text() + f'\n[api.tokens.grafana]\nhash = "{hashed}"\n')
    made = app.Service(app.Configuration(fresh.path, str(fresh.service.configuration.root())), loopback=False, sessions=fresh.service.sessions)
    client = TestClient(app.application(made, pages=False), base_url=ADDRESS)
    assert client.get("/api/volumes", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert client.get("/api/volumes").status_code == 401
    fresh.sign_in()
    client.cookies.update(fresh.browser.cookies)
    assert client.get("/api/jobs").status_code == 200
    assert client.get("/api/volumes", headers={"Authorization": "Bearer lc_wrong"}).status_code == 401


@pytest.mark.parametrize("path", ["/", "/coverage", "/media/abc", "/_stcore/health", "/logoutx", "/login/", "/login/x"])
def test_without_a_session_there_is_nothing(path: str, desk: Desk) -> None:
    assert desk.browser.get(path).status_code == 403
    assert desk.browser.get(path, headers=HTML, follow_redirects=False).headers["Location"].startswith(f"{ADDRESS}/login?next=")
    assert desk.browser.get(path, headers=HTML | {"Sec-Fetch-Mode": "cors"}, follow_redirects=False).status_code == 403
    assert desk.browser.get("/api/volumes", headers=HTML).status_code == 401
    assert desk.browser.get("/metrics", headers=HTML).status_code == 401


def test_a_websocket_of_the_pages_is_for_who_signed_in(desk: Desk) -> None:
    for cookie in ("", "lastcopy=x", "lastcopy="):
        headers = {"Host": "127.0.0.1", "Cookie": cookie}
        with pytest.raises(WebSocketDenialResponse) as refused, desk.browser.websocket_connect("/_stcore/stream", headers=headers):
            pass
        assert refused.value.status_code == 403


@pytest.mark.parametrize(
    "then",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/login",
        "/logout",
        "",
        "/a\r\nb",
        "/" + "x" * 3000,
    ],
)
def test_nobody_is_led_to_another_site_after_he_signed_in(then: str, desk: Desk) -> None:
    address = desk.browser.get(f"/login?next={urllib.parse.quote(then)}", follow_redirects=False).headers["Location"]
    done = desk.browser.get(desk.back(address), follow_redirects=False)
    assert (done.status_code, done.headers["Location"]) == (303, f"{ADDRESS}/")


def test_a_session_is_a_new_one_whatever_cookie_was_there_before(desk: Desk) -> None:
    desk.sign_in()
    first = desk.browser.cookies[COOKIE]
    other = desk.other()
    other.cookies.set(COOKIE, "chosen-by-somebody-else")
    desk.sign_in(browser=other)
    assert other.cookies.get(COOKIE, domain="127.0.0.1") not in (first, "chosen-by-somebody-else")


@pytest.mark.parametrize("place", [0, 10, -1])
def test_a_cookie_that_was_changed_is_none(desk: Desk, place: int) -> None:
    desk.sign_in()
    held = desk.browser.cookies[COOKIE]
    at_place = place % len(held)
    changed = held[:at_place] + ("A" if held[at_place] != "A" else "B") + held[at_place + 1 :]
    other = desk.other()
    assert other.get("/api/volumes", headers={"Cookie": f"{COOKIE}={held}"}).status_code == 200
    assert other.get("/api/volumes", headers={"Cookie": f"{COOKIE}={changed}"}).status_code == 401
    payload, _, signature = held.rpartition(".")
    raised = base64.urlsafe_b64encode(json.dumps(["x", desk.issuer.url, "ana@example.org", ["operators"], 2**40]).encode()).decode().rstrip("=")
    for forged in (f"{raised}.{signature}", raised, f"{payload}.", f".{signature}", "." * 5):
        assert other.get("/api/volumes", headers={"Cookie": f"{COOKIE}={forged}"}).status_code == 401


def test_the_cookie_of_an_attempt_is_no_session_and_the_other_way_round(desk: Desk) -> None:
    address = desk.begin()
    [attempt] = [value for name, value in desk.browser.cookies.items() if name.startswith(f"{COOKIE}-login-")]
    assert desk.other().get("/api/volumes", headers={"Cookie": f"{COOKIE}={attempt}"}).status_code == 401
    back = desk.back(address)
    desk.sign_in()
    other = desk.other()
    state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))["state"]
    other.cookies.set(sessions.attempt_cookie(desk.service.configuration().dashboard.oidc, state), desk.browser.cookies[COOKIE])  # type: ignore[arg-type]  # it is there
    assert other.get(back).status_code == 403


def test_a_session_of_another_process_or_issuer_is_none(desk: Desk, estate: Estate, tmp_path: Path) -> None:
    desk.sign_in()
    held = {"Cookie": f"{COOKIE}={desk.browser.cookies[COOKIE]}"}
    again = at(estate, desk.issuer, tmp_path)
    assert again.browser.get("/api/volumes", headers=held).status_code == 401
    oidc = desk.service.configuration().dashboard.oidc
    assert oidc is not None
    assert desk.service.sessions.session(held["Cookie"], oidc) is not None
    assert desk.service.sessions.session(held["Cookie"], oidc.model_copy(update={"issuer": "https://other.example"})) is None


def test_a_session_ends_at_its_time_and_an_attempt_before(fresh: Desk) -> None:
    back = fresh.back(fresh.begin())
    fresh.clock[0] += sessions.ATTEMPT_SECONDS
    fresh.refused(fresh.browser.get(back), "no sign-in was begun like that")
    fresh.sign_in()
    fresh.clock[0] += 8 * 3600 - 1
    assert fresh.browser.get("/api/volumes").status_code == 200
    fresh.clock[0] += 1
    assert fresh.browser.get("/api/volumes").status_code == 401
    assert fresh.browser.get("/", headers=HTML, follow_redirects=False).status_code == 303


def test_who_signs_out_is_out_also_with_a_cookie_that_was_kept(desk: Desk) -> None:
    desk.sign_in()
    held = {"Cookie": f"{COOKIE}={desk.browser.cookies[COOKIE]}"}
    assert desk.browser.get("/logout", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 403
    assert desk.browser.get("/api/volumes").status_code == 200
    out = desk.browser.get("/logout", headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"})
    assert (out.status_code, "You are signed out" in out.text) == (200, True)
    assert COOKIE not in desk.browser.cookies
    assert desk.other().get("/api/volumes", headers=held).status_code == 401
    assert desk.browser.get("/logout").status_code == 200


def test_who_signs_in_once_more_ends_the_session_that_his_browser_had(desk: Desk) -> None:
    desk.sign_in()
    held = {"Cookie": f"{COOKIE}={desk.browser.cookies[COOKIE]}"}
    assert desk.other().get("/api/volumes", headers=held).status_code == 200
    again = desk.browser.get("/login", follow_redirects=False).headers["Location"]
    assert desk.browser.get(desk.back(again), follow_redirects=False).status_code == 303
    assert desk.other().get("/api/volumes", headers=held).status_code == 401
    assert desk.browser.get("/api/volumes").status_code == 200


def test_a_person_who_is_taken_out_of_the_configuration_is_out(fresh: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.Configuration, "rest_seconds", 0.0)
    fresh.sign_in()
    fresh.path.write_text(fresh.path.read_text().replace("ana@example.org", "eve@example.org"))
    assert fresh.browser.get("/api/volumes").status_code == 401
    assert fresh.browser.get("/", headers=HTML, follow_redirects=False).status_code == 303


def test_who_tries_again_may_be_somebody_else(desk: Desk) -> None:
    desk.issuer.person = {"sub": "2", "email": "eve@example.org", "email_verified": True}
    page = desk.sign_in()
    [again] = re.findall('href="([^"]+)"', page.text)
    sent = desk.browser.get(again, follow_redirects=False).headers["Location"]
    assert "prompt=login" in sent
    desk.issuer.person = Issuer().person
    assert desk.browser.get(desk.back(sent), follow_redirects=False).status_code == 303
    assert "prompt" not in desk.begin(browser=desk.other())


def test_an_attempt_asks_the_provider_once(fresh: Desk) -> None:
    back = fresh.back(fresh.begin())
    refused = fresh.browser.get(re.sub("code=[^&]+", "code=another", back), follow_redirects=False)
    again = fresh.browser.get(back, follow_redirects=False)
    assert (refused.status_code, again.status_code) == (403, 403)
    assert "No sign-in was begun like that" in again.text


def test_a_browser_remembers_few_attempts(fresh: Desk) -> None:
    addresses = [fresh.begin() for _ in range(2 * sessions.MOST_ATTEMPTS)]
    assert sum(name.startswith(f"{COOKIE}-login-") for name in fresh.browser.cookies) == sessions.MOST_ATTEMPTS
    assert fresh.browser.get(fresh.back(addresses[-1]), follow_redirects=False).status_code == 303


def test_a_service_where_people_sign_in_may_be_reached_by_others() -> None:
    good = {"issuer": "https://id.example.org", "client_id": "x", "client_secret_file": "secret", "url": "https://lastcopy.example.org"}
    found = config.parse({"dashboard": {"oidc": good}})
    identity.refuse_unguarded(found, "0.0.0.0")
    assert identity.reader(found.dashboard, {"cookie": "lastcopy=x"}, loopback=True) is None
    assert "oidc" not in found.stored()
