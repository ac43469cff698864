"""Signing in at the OpenID provider and out again: the three addresses that are for everybody."""

import asyncio
import html
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from catalog.config import Config
from catalog.errors import ConfigError, LastcopyError, RefusedError
from catalog.services import Oidc
from lastcopy.service import identity, logs, secret, sessions
from lastcopy.service.sessions import Session, Sessions

if TYPE_CHECKING:
    from lastcopy.service.provider import Provider, Who

BEGIN, CALLBACK, END = "/login", "/login/callback", "/logout"
AGAIN = f"{BEGIN}?again=1"
PATHS = (BEGIN, CALLBACK, END)
UNKNOWN = "You are not signed in, or not known here."
_THEN_CHARACTERS = 600  # of the page that is returned to: it lies in a cookie, and proxies take 8 KiB of them
_NOT_BEGUN = "no sign-in was begun like that in this browser within the last minutes, or it was ended before; begin at "
_HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
_PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Lastcopy</title>
<style>body {{ font: 1.1rem/1.5 sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; color-scheme: light dark }}</style>
<h1>{title}</h1><p>{text}</p><p><a href="{href}">{label}</a></p></html>
"""


class Login:
    """The routes. Where no provider is configured there is nothing at them."""

    def __init__(self, configuration: Callable[[], Config], known: Sessions) -> None:
        self._configuration = configuration
        self._sessions = known
        self._provider: Provider | None = None
        self._own = ThreadPoolExecutor(1, "secret")  # a command that takes long takes no thread of those that answer

    def routes(self) -> list[Route]:
        """The routes, for any application."""
        return [Route(path, self._told(answer)) for path, answer in ((BEGIN, self._begin), (CALLBACK, self._come_back), (END, self._end))]

    def _told(self, answer: Callable[[Request, Oidc], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """An answer, or a page and a line in the log that say why there is none."""

        async def told(request: Request) -> Response:
            oidc = self._configuration().dashboard.oidc
            if oidc is None:
                return Response(status_code=404)
            try:
                return await answer(request, oidc)
            except LastcopyError as error:
                logs.log().warning("nobody signed in", address=request.client and request.client.host, why=str(error))
                status = 403 if isinstance(error, RefusedError) else 503
                text = "its configuration is not whole; the log of the service says more" if isinstance(error, ConfigError) else str(error)
                return _page("You are not signed in", f"{text[:1].upper()}{text[1:].rstrip('.')}.", AGAIN, "Try again", status)

        return told

    async def _begin(self, request: Request, oidc: Oidc) -> Response:
        attempt = self._sessions.begin(_local(request.query_params.get("next", "")))
        response = RedirectResponse(await self._at(oidc).address(attempt, again="again" in request.query_params), 303, {"Cache-Control": "no-store"})
        begun = [name for name in request.cookies if name.startswith(sessions.attempt_cookie(oidc))]
        _forget(response, oidc, begun[: 1 - sessions.MOST_ATTEMPTS])  # browsers send the oldest first
        _remember(response, oidc, sessions.attempt_cookie(oidc, attempt.state), self._sessions.signed(attempt), sessions.ATTEMPT_SECONDS)
        return response

    async def _come_back(self, request: Request, oidc: Oidc) -> Response:
        asked = request.query_params
        attempt = self._sessions.attempt(request.cookies, asked.get("state", ""), oidc)
        if attempt is None:
            raise RefusedError(_NOT_BEGUN + oidc.url)
        if asked.get("iss", oidc.issuer) != oidc.issuer:
            raise RefusedError("another provider answered than was asked")
        if "error" in asked or "code" not in asked:
            raise RefusedError(f"the provider says: {asked.get('error', 'nothing')[:100]}")
        if not self._sessions.end(attempt):  # it came back twice: an attempt asks the provider once, whatever comes of it
            raise RefusedError(_NOT_BEGUN + oidc.url)
        given = await asyncio.get_running_loop().run_in_executor(self._own, self._secret, oidc)
        found = await self._at(oidc).who(asked["code"], given, attempt)
        session = self._granted(oidc, found)
        self._leave(request, oidc)
        response = RedirectResponse(oidc.url + attempt.then, 303, {"Cache-Control": "no-store"})
        _forget(response, oidc, [sessions.attempt_cookie(oidc, attempt.state)])
        _remember(response, oidc, sessions.session_cookie(oidc), self._sessions.signed(session), int(oidc.session))
        logs.log().info("signed in", person=session.name, address=request.client and request.client.host)
        return response

    async def _end(self, request: Request, oidc: Oidc) -> Response:
        self._leave(request, oidc)
        response = _page("You are signed out", "The provider may still know you: sign out there too where others use this browser.", AGAIN, "Sign in")
        _forget(response, oidc, [sessions.session_cookie(oidc)])
        return response

    def _leave(self, request: Request, oidc: Oidc) -> None:
        """End the session that this browser had."""
        session = self._sessions.session(request.headers.get("cookie", ""), oidc)
        if session is not None:
            self._sessions.end(session)
            logs.log().info("signed out", person=session.name)

    def _at(self, oidc: Oidc) -> "Provider":
        """The provider, with what is known of it."""
        from lastcopy.service.provider import Provider

        if self._provider is None or self._provider.oidc != oidc:
            self._provider = Provider(oidc, oidc.url + CALLBACK)
        return self._provider

    def _secret(self, oidc: Oidc) -> str:
        folder = self._configuration().folder
        return secret.read(folder, "dashboard.oidc: its client_secret", oidc.client_secret_file, oidc.client_secret_command, oidc.client_secret_env)

    def _granted(self, oidc: Oidc, found: "Who") -> Session:
        """A session of somebody whom the configuration knows, with those of his groups that it names. Raises RefusedError."""
        dashboard = self._configuration().dashboard
        if identity.granted(dashboard, found.name, found.groups) is None:
            raise RefusedError(
                f"you signed in as {found.name}, who is not known here; who runs Lastcopy can add you to [dashboard.people] or [dashboard.groups]"
            )
        return self._sessions.opened(oidc, found.name, tuple(group for group in found.groups if group in dashboard.groups))


def _local(then: str) -> str:
    """The page of ours to return to; the first one where it is none. What comes of it stands behind our own address."""
    begins = then.startswith("/") and not then.startswith(("//", "/\\", *PATHS))
    return then if begins and then.isprintable() and len(then) <= _THEN_CHARACTERS else "/"


def _remember(response: Response, oidc: Oidc, name: str, value: str, seconds: int) -> None:
    response.set_cookie(name, value, max_age=seconds, path="/", secure=sessions.secure(oidc), httponly=True, samesite="lax")


def _forget(response: Response, oidc: Oidc, names: Sequence[str]) -> None:
    for name in names:
        response.delete_cookie(name, path="/", secure=sessions.secure(oidc), httponly=True, samesite="lax")


def _page(title: str, text: str, href: str, label: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=html.escape(title), text=html.escape(text), href=html.escape(href), label=html.escape(label)), status, _HEADERS)
