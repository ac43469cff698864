"""What stands before pages and API: it believes the proxy alone, and lets to the pages only who is known. Others are sent to sign in, or away."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog.services import Dashboard
from dashboards import rights
from lastcopy.service import identity, login

if TYPE_CHECKING:
    from lastcopy.service.app import Service


class Door:
    """An ASGI middleware that takes the headers of the proxy away from whoever is not the proxy, and lets to the pages only who is known."""

    def __init__(self, app: ASGIApp, service: "Service") -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything else on."""
        if scope["type"] in ("http", "websocket"):
            dashboard = self._service.configuration().dashboard
            scope = _believed(scope, dashboard)
            if not _asks_itself(scope["path"]) and (refused := self._refused(scope, dashboard)):
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refused(self, scope: Scope, dashboard: Dashboard) -> Response | None:
        """What who asks is answered in place of a page that is not for him; None where it is."""
        headers = Headers(scope=scope)
        person = identity.reader(dashboard, headers, loopback=self._service.loopback, sessions=self._service.sessions)
        if person is None:
            if dashboard.oidc and _looks(scope, headers):
                asked = quote(scope["path"]) + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
                return RedirectResponse(f"{dashboard.oidc.url}{login.BEGIN}?next={quote(asked, safe='')}", 303, {"Cache-Control": "no-store"})
            return PlainTextResponse(f"{login.UNKNOWN if dashboard.oidc else identity.UNKNOWN}\n", 403)
        right = rights.of_address(scope["path"])
        return None if right is None or person.may(right) else PlainTextResponse(f"{right.refusal}\n", 403)


def _believed(scope: Scope, dashboard: Dashboard) -> Scope:
    """A request without the headers of the proxy where it did not come from there. A header that is there twice was sent by two: it says nothing."""
    client = (scope.get("client") or ("", 0))[0]
    names = {name.lower().encode() for name in (dashboard.user_header, dashboard.groups_header) if name}
    sent = [name.lower() for name, _ in scope["headers"]]
    refused = {name for name in names if client not in dashboard.proxies or sent.count(name) > 1}
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name.lower() not in refused]} if refused else scope


def _asks_itself(path: str) -> bool:
    """Whether a path is no page: what answers there finds out who asks, or is how he becomes known."""
    return path in ("/metrics", "/healthz", *login.PATHS) or path.startswith("/api/")


def _looks(scope: Scope, headers: Headers) -> bool:
    """Whether a browser goes to a page, and does not only fetch a part of one."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and "text/html" in headers.get("accept", "")
        and headers.get("sec-fetch-mode") in (None, "navigate")
    )
