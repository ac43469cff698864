"""Signing in at an OpenID provider: whoever it names and the configuration knows is let in; whatever is forged, replayed or broken lets in nobody."""

import base64
import hmac
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from starlette.testclient import TestClient, WebSocketDenialResponse

from catalog import config
from catalog.errors import ConfigError
from lastcopy.service import app, identity, sessions
from tests.lastcopy.conftest import DECLARED, Estate
from tests.lastcopy.service.issuers import CLIENT, SECRET, Claims, Issuer, issuing

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


@pytest.fixture(scope="module")
def made(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with issuing() as found:
        yield at(estate, found, tmp_path_factory.mktemp("desk"))


@pytest.fixture
def desk(made: Desk) -> Desk:
    """A service that knows its provider, as it was at first, and a browser that knows nobody."""
    new = Issuer(key=made.issuer.key)
    made.issuer.person, made.issuer.change, made.issuer.token, made.issuer.answer = new.person, new.change, new.token, new.answer
    return replace(made, browser=made.other(), clock=made.clock)


@pytest.fixture
def fresh(estate: Estate, tmp_path: Path) -> Iterator[Desk]:
    """A service that has not asked its provider yet."""
    with issuing() as found:
        yield at(estate, found, tmp_path)


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


def test_a_person_who_is_taken_out_of_the_configuration_is_out(fresh: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.Configuration, "rest_seconds", 0.0)
    fresh.sign_in()
    fresh.path.write_text(fresh.path.read_text().replace("ana@example.org", "eve@example.org"))
    assert fresh.browser.get("/api/volumes").status_code == 401
    assert fresh.browser.get("/", headers=HTML, follow_redirects=False).status_code == 303


def test_an_answer_of_the_provider_counts_once_and_in_the_browser_that_asked(desk: Desk) -> None:
    back = desk.back(desk.begin())
    stolen = desk.other()
    assert stolen.get(back, follow_redirects=False).status_code == 403
    kept = dict(desk.browser.cookies)
    assert desk.browser.get(back, follow_redirects=False).status_code == 303
    stolen.cookies.update(kept)
    code = desk.back(desk.begin(browser=desk.other()))
    fresh = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(code).query))["code"]
    used = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))["state"]
    for again in (back, f"/login/callback?code={fresh}&state={used}"):
        desk.browser.cookies.clear()
        desk.browser.cookies.update(kept)
        desk.refused(desk.browser.get(again, follow_redirects=False), "no sign-in was begun like that")


def test_a_code_of_somebody_elses_sign_in_is_not_taken(desk: Desk) -> None:
    mine, theirs = desk.back(desk.begin()), desk.back(desk.begin(browser=desk.other()))
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(theirs).query))["code"]
    state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(mine).query))["state"]
    desk.refused(desk.browser.get(f"/login/callback?code={code}&state={state}"), "the provider did not take the code: invalid_grant")


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x", "?code=x&state=", "?error=access_denied", "?code=x&state=%ff%00", "?state[]=x&code[]=x"])
def test_an_answer_that_nobody_asked_for_is_refused(query: str, desk: Desk) -> None:
    desk.begin()
    desk.refused(desk.browser.get(f"/login/callback{query}"), "no sign-in was begun like that")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("error=access_denied", "the provider says: access_denied"),
        ("error=%3Cscript%3Ealert(1)%3C/script%3E", "&lt;script&gt;"),
        ("x=y", "the provider says: nothing"),
        ("code=x&iss=https://other.example", "another provider answered"),
    ],
)
def test_a_sign_in_that_the_provider_refused_is_told(more: str, said: str, desk: Desk) -> None:
    state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(desk.begin()).query))["state"]
    desk.refused(desk.browser.get(f"/login/callback?state={state}&{more}"), said)


def part(what: Claims | bytes) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(what if isinstance(what, bytes) else json.dumps(what).encode()).decode().rstrip("=")


def by_hmac(key: bytes, claims: Claims) -> str:
    """A token that is signed by what is no secret of the provider's."""
    text = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(claims)}"
    return f"{text}.{part(hmac.digest(key, text.encode(), 'sha256'))}"


def changed(issuer: Issuer, claims: Claims) -> str:
    head, _, signature = jwt.encode({"alg": "RS256", "kid": "one"}, claims, issuer.key, ["RS256"]).split(".")
    return f"{head}.{part(claims | {'email': 'operator@example.org'})}.{signature}"


STRANGER = RSAKey.generate_key(2048, {"kid": "one"})
FORGED: dict[str, Callable[[Issuer, Claims], str]] = {
    "none": lambda _, claims: f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}.",
    "none, signed": lambda _, claims: f"{part({'alg': 'none', 'kid': 'one'})}.{part(claims)}.AAAA",
    "hmac by the public key": lambda issuer, claims: by_hmac(issuer.key.as_pem(private=False), claims),
    "hmac by the secret": lambda _, claims: by_hmac(SECRET.encode(), claims),
    "another key": lambda _, claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, STRANGER, ["RS256"]),
    "another key within": lambda _, claims: jwt.encode({"alg": "RS256", "jwk": STRANGER.as_dict(private=False)}, claims, STRANGER, ["RS256"]),
    "changed": changed,
    "cut": lambda issuer, claims: changed(issuer, claims).rpartition(".")[0],
    "empty": lambda *_: "",
    "noise": lambda *_: "a.b.c",
}


@pytest.mark.parametrize("how", FORGED)
def test_an_id_token_that_the_provider_did_not_sign_lets_in_nobody(how: str, desk: Desk) -> None:
    desk.issuer.token = FORGED[how]
    desk.refused(desk.sign_in(), "what the provider says of you is not valid")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"aud": "another"}, "is not valid"),
        ({"aud": ["another"]}, "is not valid"),
        ({"aud": [CLIENT, "another"]}, "is not valid"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "is not valid"),
        ({"aud": "another", "azp": CLIENT}, "is not valid"),
        ({"aud": ["another", "third"], "azp": CLIENT}, "is not valid"),
        ({"aud": None}, "is not valid"),
        ({"azp": "another"}, "is not valid"),
        ({"iss": "https://other.example"}, "is not valid"),
        ({"iss": None}, "is not valid"),
        ({"nonce": "another"}, "is not valid"),
        ({"nonce": None}, "is not valid"),
        ({"exp": int(time.time()) - 3600}, "clock"),
        ({"exp": None}, "is not valid"),
        ({"exp": "never"}, "is not valid"),
        ({"iat": int(time.time()) + 3600}, "is not valid"),
        ({"nbf": int(time.time()) + 3600}, "is not valid"),
        ({"iat": None}, "is not valid"),
        ({"sub": None}, "is not valid"),
        ({"email": None}, "has no text in the claim &#x27;email&#x27;"),
        ({"email": ["ana@example.org"]}, "has no text"),
        ({"email": ""}, "has no text"),
        ({"email": "a\nb"}, "has no text"),
        ({"email": " ana@example.org"}, "has no text"),
        ({"email_verified": False}, "has not verified"),
        ({"email_verified": None}, "has not verified"),
        ({"email": "<b>eve</b>@example.org"}, "&lt;b&gt;eve&lt;/b&gt;@example.org, who is not known here"),
        ({"email": "eve@example.org", "groups": ["staff"]}, "eve@example.org, who is not known here"),
        ({"email": "eve@example.org", "groups": {"operators": True}}, "eve@example.org, who is not known here"),
    ],
)
def test_an_id_token_that_is_not_for_us_now_and_of_somebody_known_lets_in_nobody(change: Claims, said: str, desk: Desk) -> None:
    desk.issuer.change = lambda claims: {name: value for name, value in (claims | change).items() if value is not None}
    with structlog.testing.capture_logs() as logged:
        desk.refused(desk.sign_in(), said)
    assert logged[0]["event"] == "nobody signed in"
    assert logged[0]["why"]


@pytest.mark.parametrize(
    ("alg", "key"), [("PS256", STRANGER), ("ES256", ECKey.generate_key("P-256", {"kid": "one"})), ("EdDSA", OKPKey.generate_key("Ed25519", {"kid": "one"}))]
)
def test_a_provider_may_sign_by_any_key_that_only_it_has(alg: str, key: Any, fresh: Desk) -> None:  # noqa: ANN401  # a key of any kind
    fresh.issuer.key = key
    fresh.issuer.token = lambda issuer, claims: jwt.encode({"alg": alg, "kid": "one"}, claims, issuer.key, [alg])
    assert fresh.sign_in().status_code == 303


def test_a_provider_is_given_the_secret_in_the_way_that_it_takes(fresh: Desk) -> None:
    fresh.issuer.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]}
    assert fresh.sign_in().status_code == 303


def test_clocks_that_differ_a_little_are_borne(desk: Desk) -> None:
    desk.issuer.change = lambda claims: claims | {"iat": int(time.time()) + 30, "nbf": int(time.time()) + 30}
    assert desk.sign_in().status_code == 303


def test_a_provider_that_changed_its_key_is_asked_for_the_new_one(fresh: Desk) -> None:
    fresh.sign_in()
    fresh.issuer.key = RSAKey.generate_key(2048, {"kid": "two"})
    fresh.issuer.token = lambda issuer, claims: jwt.encode({"alg": "RS256", "kid": "two"}, claims, issuer.key, ["RS256"])
    assert fresh.sign_in(browser=fresh.other()).status_code == 303


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"issuer": "https://other.example"}, "calls itself https://other.example"),
        ({"token_endpoint": "http://other.example/token"}, "does not answer as one"),
        ({"jwks_uri": None}, "does not answer as one"),
        ({"authorization_endpoint": 7}, "does not answer as one"),
    ],
)
def test_a_provider_that_is_not_the_one_of_the_configuration_is_told(metadata: Claims, said: str, fresh: Desk) -> None:
    fresh.issuer.metadata = metadata
    fresh.refused(fresh.browser.get("/login", follow_redirects=False), said, 503)


def test_a_provider_that_is_down_is_told_and_not_asked_by_everybody(fresh: Desk) -> None:
    fresh.issuer.refuses = 500
    for _ in range(3):
        fresh.refused(fresh.browser.get("/login", follow_redirects=False), "does not answer as one", 503)
    assert fresh.issuer.seen == ["/.well-known/openid-configuration"]


def test_a_provider_that_fails_within_a_sign_in_is_told(fresh: Desk) -> None:
    back = fresh.back(fresh.begin())
    fresh.issuer.refuses = 502
    fresh.refused(fresh.browser.get(back), "does not answer as one", 503)
    fresh.issuer.refuses = 0
    fresh.issuer.metadata = {}
    back = fresh.back(fresh.begin())
    fresh.issuer.keys = lambda: {"keys": 3}  # type: ignore[method-assign]  # it goes wrong
    fresh.refused(fresh.browser.get(back), "does not answer as one", 503)


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "answer", [[], "x", None, 7, {}, {"id_token": None}, {"id_token": ["x"]}, {"error": ["x"]}, {"id_token": "\ud800"}, b"", b"{", DEEP, b"\xff"]
)
def test_tokens_of_any_shape_let_in_nobody(answer: object, desk: Desk) -> None:
    desk.issuer.answer = lambda _: answer
    found = desk.sign_in()
    desk.refused(found, "provider", found.status_code)
    assert found.status_code in (403, 503)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        "x",
        None,
        {"keys": {"a": 1}},
        {"keys": ["x", 3, None]},
        {"keys": [{"kty": "RSA", "kid": "one", "n": 3}]},
        {"keys": [{"kty": "oct", "k": "AA"}]},
        b"{",
        DEEP,
    ],
)
def test_keys_of_any_shape_let_in_nobody(keys: object, fresh: Desk) -> None:
    back = fresh.back(fresh.begin())
    fresh.issuer.keys = lambda: keys  # type: ignore[method-assign,assignment,return-value]  # it goes wrong
    found = fresh.browser.get(back)
    fresh.refused(found, "rovider", found.status_code)
    assert found.status_code in (403, 503)


@pytest.mark.parametrize("metadata", [[], "x", None, 7, {"issuer": 1}, b"{", DEEP])
def test_metadata_of_any_shape_lets_in_nobody(metadata: object, fresh: Desk) -> None:
    fresh.issuer.described = lambda: metadata  # type: ignore[method-assign,assignment,return-value]  # it goes wrong
    fresh.refused(fresh.browser.get("/login", follow_redirects=False), "does not answer as one", 503)


def test_who_tries_again_may_be_somebody_else(desk: Desk) -> None:
    desk.issuer.person = {"sub": "2", "email": "eve@example.org", "email_verified": True}
    page = desk.sign_in()
    [again] = re.findall('href="([^"]+)"', page.text)
    sent = desk.browser.get(again, follow_redirects=False).headers["Location"]
    assert "prompt=login" in sent
    desk.issuer.person = Issuer().person
    assert desk.browser.get(desk.back(sent), follow_redirects=False).status_code == 303
    assert "prompt" not in desk.begin(browser=desk.other())


def test_a_secret_that_cannot_be_had_or_is_wrong_is_told(fresh: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("wrong")
    fresh.refused(fresh.sign_in(), "invalid_client")
    (tmp_path / "secret").unlink()
    with structlog.testing.capture_logs() as said:
        fresh.refused(fresh.sign_in(), "its configuration is not whole", 503)
    assert "client_secret cannot be had" in said[0]["why"]


def test_a_browser_remembers_few_attempts(fresh: Desk) -> None:
    addresses = [fresh.begin() for _ in range(2 * sessions.MOST_ATTEMPTS)]
    assert sum(name.startswith(f"{COOKIE}-login-") for name in fresh.browser.cookies) == sessions.MOST_ATTEMPTS
    assert fresh.browser.get(fresh.back(addresses[-1]), follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": "http://id.example.org"}, "https://"),
        ({"issuer": "https://id.example.org?x"}, "without '?'"),
        ({"issuer": "https://me:pw@id.example.org"}, "https://"),
        ({"url": "http://lastcopy.example.org"}, "https://"),
        ({"url": "https://example.org/lastcopy"}, "without a path"),
        ({"client_secret": "s3cret"}, "client_secret"),
        ({"client_secret_env": "X"}, "give one of"),
        ({"scopes": ["email"]}, "'openid' must be among"),
    ],
)
def test_a_provider_that_is_not_safe_to_ask_is_a_wrong_configuration(change: dict[str, object], said: str) -> None:
    good = {"issuer": "https://id.example.org/", "client_id": "x", "client_secret_file": "secret", "url": "https://lastcopy.example.org/"}
    assert config.parse({"dashboard": {"oidc": good}}).dashboard.oidc is not None
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        config.parse({"dashboard": {"oidc": good | change}})
    with pytest.raises(ConfigError, match="not by both"):
        config.parse({"dashboard": {"oidc": good, "user_header": "X-User"}})


def test_a_service_where_people_sign_in_may_be_reached_by_others() -> None:
    good = {"issuer": "https://id.example.org", "client_id": "x", "client_secret_file": "secret", "url": "https://lastcopy.example.org"}
    found = config.parse({"dashboard": {"oidc": good}})
    identity.refuse_unguarded(found, "0.0.0.0")
    assert identity.reader(found.dashboard, {"cookie": "lastcopy=x"}, loopback=True) is None
    assert "oidc" not in found.stored()
