"""Who asks, and what he may see: by a token, by a session or the header of a trusted proxy, or, on loopback without any of them, anybody."""

import datetime
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catalog.config import Config
from catalog.errors import RefusedError
from catalog.services import Dashboard, Grant, Role, Token
from catalog.sight import Sight
from dashboards.rights import Right

if TYPE_CHECKING:
    from lastcopy.service.sessions import Sessions

PREFIX = "lc_"
UNKNOWN = "You are not known here. Ask who runs Lastcopy to add you to [dashboard.people] or [dashboard.groups]."


@dataclass(frozen=True)
class Person:
    """Who asks. `sight` None: he sees everything."""

    name: str
    role: Role
    sight: Sight | None

    @classmethod
    def of(cls, name: str, grant: Grant) -> "Person":
        """Somebody with what the configuration gives him."""
        return cls(name, grant.role, grant.sight)

    def may(self, right: Right) -> bool:
        """Whether he has a right."""
        return right.held(self.role, limited=self.sight is not None)


ANYBODY = Person("", "auditor", None)


def new_token() -> tuple[str, str]:
    """A new token, and its hash for the configuration."""
    token = PREFIX + secrets.token_urlsafe(32)
    return token, hashed(token)


def hashed(token: str) -> str:
    """The hash of a token: it is as random as a key, so that one SHA-256 keeps it."""
    return f"sha256:{hashlib.sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()}"


def program(config: Config, headers: Mapping[str, str], *, loopback: bool, sessions: "Sessions | None" = None) -> Person | None:
    """Who asks the API, by token, else as in `reader`; None = nobody who is known."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    if given or config.api.tokens:
        if kind.lower() != "bearer":
            return reader(config.dashboard, headers, loopback=False, sessions=sessions)
        name, token = _token(config, given) or ("", None)
        return Person.of(name, token) if token and token.holds(datetime.datetime.now(datetime.UTC)) else None
    return reader(config.dashboard, headers, loopback=loopback, sessions=sessions)


def unknown(config: Config, headers: Mapping[str, str]) -> tuple[str, str]:
    """Why `program` knows nobody, for who asks, and what its answer's WWW-Authenticate says of it (RFC 6750)."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    found = _token(config, given) if kind.lower() == "bearer" else None
    if found is None or found[1].expires_at is None:
        return "give a token that is known: Authorization: Bearer …", "Bearer"
    name, token = found
    when = f"{token.expires_at:%Y-%m-%d %H:%M %Z}"
    return f"the token {name} expired at {when}: 'lastcopy token create' makes a new one", 'Bearer error="invalid_token", error_description="The token expired"'


def _token(config: Config, given: str) -> tuple[str, Token] | None:
    """The name and the grant of a token, expired or not. All are compared, so that the time tells nothing of which there are."""
    found = hashed(given.strip())
    matching = [(name, token) for name, token in config.api.tokens.items() if hmac.compare_digest(token.hash, found)]
    return matching[0] if matching else None


def reader(dashboard: Dashboard, headers: Mapping[str, str], *, loopback: bool, sessions: "Sessions | None" = None) -> Person | None:
    """Who looks at the pages: by a session where people sign in here, by the header of the proxy, which only a trusted one can have sent here.

    Where neither is configured, on loopback, anybody.
    """
    if dashboard.oidc is not None:
        session = sessions.session(headers.get("cookie", ""), dashboard.oidc) if sessions else None
        return granted(dashboard, session.name, session.groups) if session else None
    if dashboard.user_header is None:
        return ANYBODY if loopback else None
    name = headers.get(dashboard.user_header.lower(), "").strip()
    if not name:
        return None
    given = headers.get((dashboard.groups_header or "").lower(), "")
    return granted(dashboard, name, (group.strip() for group in given.split(",")))


def granted(dashboard: Dashboard, name: str, groups: Iterable[str]) -> Person | None:
    """Somebody as the configuration knows him, by his name or else by the first of its groups that he is in; None where it does not."""
    if name in dashboard.people:
        return Person.of(name, dashboard.people[name])
    of = set(groups)
    return next((Person.of(name, grant) for group, grant in dashboard.groups.items() if group in of), None)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_unguarded(config: Config, host: str) -> None:
    """Raise RefusedError where others than this machine could ask, and nobody could be told from anybody."""
    if not is_loopback(host) and config.dashboard.user_header is None and config.dashboard.oidc is None and not config.api.tokens:
        raise RefusedError(
            f"{host} is reached by others, and the configuration knows nobody: give [dashboard.oidc] or [dashboard] user_header, or tokens in [api.tokens] "
            "('lastcopy token create' makes one), or listen on 127.0.0.1"
        )
