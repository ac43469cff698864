"""Who is signed in: signed cookies that end, and what a browser remembers while its person is at the provider.

The key is made anew by each process, so that a session ends with the process at the latest, and those that were ended before need to be known to it alone.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from starlette.requests import cookie_parser

from catalog.services import Oidc

ATTEMPT_SECONDS = 600  # to sign in at the provider
MOST_ATTEMPTS = 5  # that a browser remembers: each is a tab that waits for its person


@dataclass(frozen=True)
class Attempt:
    """A sign-in that was begun: what the provider must answer with, and the page that it was begun for. Ends at a time, in seconds since 1970."""

    state: str
    nonce: str
    verifier: str
    then: str
    until: int


@dataclass(frozen=True)
class Session:
    """Somebody who signed in at an issuer, with those of his groups that the configuration names."""

    id: str
    issuer: str
    name: str
    groups: tuple[str, ...]
    until: int


@dataclass
class Sessions:
    """The cookies of a process. Nothing is kept of a session that has not been ended."""

    clock: Callable[[], float] = time.time
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _over: dict[str, int] = field(default_factory=dict)  # states that were used and sessions that were ended, and when they would have ended by themselves

    def begin(self, then: str) -> Attempt:
        """A new attempt, for a page."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return Attempt(state, nonce, verifier, then, int(self.clock()) + ATTEMPT_SECONDS)

    def attempt(self, cookies: Mapping[str, str], state: str, oidc: Oidc) -> Attempt | None:
        """The attempt that this browser began under a state, if it holds and was not used."""
        held = self._read(cookies.get(attempt_cookie(oidc, state)), "attempt")
        found = held and Attempt(*held)
        return found if found and hmac.compare_digest(found.state.encode(), state.encode()) and self._holds(found.state, found.until) else None

    def session(self, header: str, oidc: Oidc) -> Session | None:
        """The session in the header of cookies, if it holds."""
        held = self._read(cookie_parser(header).get(session_cookie(oidc)), "session")
        found = held and Session(held[0], held[1], held[2], tuple(held[3]), held[4])
        return found if found and found.issuer == oidc.issuer and self._holds(found.id, found.until) else None

    def opened(self, oidc: Oidc, name: str, groups: tuple[str, ...]) -> Session:
        """A new session."""
        return Session(secrets.token_urlsafe(16), oidc.issuer, name, groups, int(self.clock() + oidc.session))

    def signed(self, found: Attempt | Session) -> str:
        """What the cookie of it holds."""
        return str(self._signer(type(found).__name__.lower()).dumps(astuple(found)))

    def end(self, found: Attempt | Session) -> bool:
        """Let it hold no longer, whoever still has its cookie; whether it held until now."""
        key, now = found.state if isinstance(found, Attempt) else found.id, self.clock()
        held = self._holds(key, found.until)
        self._over = {one: until for one, until in self._over.items() if until > now} | {key: found.until}
        return held

    def _holds(self, key: str, until: int) -> bool:
        return until > self.clock() and key not in self._over

    def _read(self, cookie: str | None, kind: str) -> list[Any] | None:
        try:
            found: list[Any] = self._signer(kind).loads(cookie or "")
        except BadData:
            return None
        return found

    def _signer(self, kind: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._key, salt=f"lastcopy {kind}", signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"})


def session_cookie(oidc: Oidc) -> str:
    """The name of a session's cookie: one that no other host and no page without TLS can set, where there is TLS."""
    return f"{'__Host-' if secure(oidc) else ''}lastcopy"


def attempt_cookie(oidc: Oidc, state: str = "") -> str:
    """The name of an attempt's cookie, or with no state, what all of them begin with."""
    return f"{session_cookie(oidc)}-login-{hashlib.sha256(state.encode()).hexdigest()[:16] if state else ''}"


def secure(oidc: Oidc) -> bool:
    """Whether browsers reach the service by TLS alone."""
    return oidc.url.startswith("https:")
