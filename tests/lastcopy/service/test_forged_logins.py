"""Whatever is forged, replayed or broken at the OpenID provider, or on the way from it, lets in nobody, and is told."""

import base64
import hmac
import json
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from catalog import config
from catalog.errors import ConfigError
from tests.lastcopy.service.desks import Desk
from tests.lastcopy.service.issuers import CLIENT, SECRET, Claims, Issuer


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


def test_a_secret_that_cannot_be_had_or_is_wrong_is_told(fresh: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("wrong")
    fresh.refused(fresh.sign_in(), "invalid_client")
    (tmp_path / "secret").unlink()
    with structlog.testing.capture_logs() as said:
        fresh.refused(fresh.sign_in(), "its configuration is not whole", 503)
    assert "client_secret cannot be had" in said[0]["why"]


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
        ({"session": "0s"}, "session"),
    ],
)
def test_a_provider_that_is_not_safe_to_ask_is_a_wrong_configuration(change: dict[str, object], said: str) -> None:
    good = {"issuer": "https://id.example.org/", "client_id": "x", "client_secret_file": "secret", "url": "https://lastcopy.example.org/"}
    assert config.parse({"dashboard": {"oidc": good}}).dashboard.oidc is not None
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        config.parse({"dashboard": {"oidc": good | change}})
    with pytest.raises(ConfigError, match="not by both"):
        config.parse({"dashboard": {"oidc": good, "user_header": "X-User"}})
