"""An OpenID provider on loopback that signs by joserfc, checks PKCE and the client, and can be told to say something wrong."""

import base64
import hashlib
import json
import secrets
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "lastcopy", "s3cret"
Claims = dict[str, Any]


@dataclass
class Issuer:
    """What it says, and how. `token` makes the ID token of claims; `metadata` and `answers` change what it answers."""

    url: str = ""
    person: Claims = field(default_factory=lambda: {"sub": "1", "email": "ana@example.org", "email_verified": True})
    change: Callable[[Claims], Claims] = lambda claims: claims
    token: "Callable[[Issuer, Claims], str]" = lambda issuer, claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, issuer.key, ["RS256"])
    answer: Callable[[Claims], Any] = lambda tokens: tokens
    metadata: Claims = field(default_factory=dict)
    refuses: int = 0  # the status of every answer, 0 for the right one
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    asked: dict[str, Claims] = field(default_factory=dict)  # what was asked for, by code
    seen: list[str] = field(default_factory=list)  # the paths that were asked

    def described(self) -> Claims:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            **self.metadata,
        }

    def authorized(self, asked: Claims) -> str:
        """Where it leads to after somebody signed in."""
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
        code = secrets.token_urlsafe(16)
        self.asked[code] = asked
        return f"{asked['redirect_uri']}?{urllib.parse.urlencode({'code': code, 'state': asked['state'], 'iss': self.url})}"

    def exchanged(self, given: Claims, authorization: str) -> tuple[int, Any]:
        """The tokens for a code, once, for the client and the browser that it was given to."""
        asked = self.asked.pop(given["code"], None)
        posted = f"{given.get('client_id')}:{given.get('client_secret')}" if "client_secret_post" in str(self.metadata) else None
        if (posted or base64.b64decode(authorization.removeprefix("Basic ")).decode()) != f"{CLIENT}:{SECRET}":
            return 401, {"error": "invalid_client"}
        challenge = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).decode().rstrip("=")
        if asked is None or challenge != asked["code_challenge"] or given["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.person}
        return 200, self.answer({"access_token": "x", "token_type": "Bearer", "id_token": self.token(self, self.change(claims))})

    def keys(self) -> Claims:
        return {"keys": [{"kty": "new", "kid": "of tomorrow"}, *KeySet([self.key]).as_dict(private=False)["keys"]]}


@contextmanager
def issuing() -> Iterator[Issuer]:
    """A provider, which ends with the block."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # as its base has it
            path, _, query = self.path.partition("?")
            issuer.seen.append(path)
            if path == "/authorize" and not issuer.refuses:
                self.send_response(303)
                self.send_header("Location", issuer.authorized(dict(urllib.parse.parse_qsl(query))))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            found = {"/.well-known/openid-configuration": issuer.described, "/keys": issuer.keys}.get(path)
            self._answer(200 if found else 404, found() if found else {})

        def do_POST(self) -> None:  # as its base has it
            issuer.seen.append(self.path)
            given = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self._answer(*issuer.exchanged(given, self.headers.get("Authorization", "")))

        def _answer(self, status: int, content: Any) -> None:  # noqa: ANN401  # JSON, or bytes that are none
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(issuer.refuses or status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
