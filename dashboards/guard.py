"""Keeps pages of other sites out: what a browser asks for on behalf of one of them is refused, whatever it knows of who looks. A link leads here."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

# In every answer: shown in no frame of another site, fetched into none, taken for what it says it is; and no other site is told what was looked at.
_HEADERS = (
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
_SITE, _MODE = b"sec-fetch-site", b"sec-fetch-mode"
_OWN_SITES = ("same-origin", "none")  # none: an address that was typed, or a bookmark
_NO_PAGES = ("/api", "/metrics", "/logout")


class Guard:
    """An ASGI middleware that refuses what names an origin other than this host and `hosts`, the names that a proxy is known by.

    So it does where the browser says that another site asks (https://www.w3.org/TR/fetch-metadata/), but for a link to a page. Programs say nothing of that.
    """

    def __init__(self, app: Any, hosts: Sequence[str] = ()) -> None:  # noqa: ANN401  # an ASGI application, which has no type without its framework
        self._app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # as above
        """Answer 403 to another site, also where it opens a WebSocket; pass everything else on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if not self._ours(scope) or _is_foreign(scope):
            from starlette.responses import PlainTextResponse

            await PlainTextResponse("this is no page of this server\n", 403)(scope, receive, send)
            return

        async def headed(message: Any) -> None:  # noqa: ANN401  # as above
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message = {**message, "headers": [*message["headers"], *(one for one in _HEADERS if one[0] not in given)]}
            await send(message)

        await self._app(scope, receive, headed)

    def _ours(self, scope: Any) -> bool:  # noqa: ANN401  # as above
        own = {value.decode("latin-1").lower() for name, value in scope["headers"] if name.lower() == b"host"}
        origins = [value.decode("latin-1").lower() for name, value in scope["headers"] if name.lower() == b"origin"]
        return all(_is_of(origin, own, self._hosts) for origin in origins)


def _is_foreign(scope: Any) -> bool:  # noqa: ANN401  # as above
    """Whether another site asks, which may only lead to a page. Who says it twice, or what nobody knows, is foreign."""
    sites, modes = ([value.decode("latin-1").lower() for name, value in scope["headers"] if name.lower() == wanted] for wanted in (_SITE, _MODE))
    if all(site in _OWN_SITES for site in sites):
        return False
    return modes != ["navigate"] or scope["path"] in _NO_PAGES or scope["path"].startswith("/api/")


def _is_of(origin: str, own: set[str], hosts: set[str]) -> bool:
    try:
        found = urlsplit(origin)
        return bool(found.netloc) and (found.netloc in own or found.hostname in hosts)
    except ValueError:
        return False
