"""Tells the browser where the server is: without it a page opened by its own address looks for the server below that address first, twice, in vain."""

from typing import Any

_FIRST = "/overview"  # a page that Streamlit knows by the root's address alone
_HEAD = b"<head>"
_SCRIPT = b'<script>window.__streamlit = { BACKEND_BASE_URL: window.location.origin + "/" }</script>'


class Rooted:
    """An ASGI middleware that writes the server's root, that of this host, into the HTML page that starts Streamlit's client."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401  # an ASGI application, which has no type without its framework
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # as above
        """Pass everything on, but change an HTML answer to a GET, and lead from the first page's name to its address."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _wants_page(scope):
            await self._app(scope, receive, send)
            return
        if scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/") == _FIRST:
            where = b"./" + (b"?" + scope["query_string"] if scope["query_string"] else b"")
            await send({"type": "http.response.start", "status": 307, "headers": [(b"location", where), (b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        # Uncompressed, so that it can be written into; whatever compresses stands around this.
        plain = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]}
        held: dict[str, Any] = {}
        body: list[bytes] = []

        async def changed(message: Any) -> None:  # noqa: ANN401  # as above
            if message["type"] == "http.response.start" and _is_page(message):
                held.update(message)
                return
            if not held or message["type"] != "http.response.body":
                await send(message)
                return
            body.append(message.get("body", b""))
            if message.get("more_body"):
                return
            page = b"".join(body).replace(_HEAD, _HEAD + _SCRIPT, 1)
            headers = [(name, value) for name, value in held["headers"] if name.lower() not in (b"content-length", b"etag")]
            await send({**held, "headers": [*headers, (b"content-length", str(len(page)).encode())]})
            await send({"type": "http.response.body", "body": page})

        await self._app(plain, receive, changed)


def _wants_page(scope: Any) -> bool:  # noqa: ANN401  # as above
    return any(name.lower() == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _is_page(message: Any) -> bool:  # noqa: ANN401  # as above
    headers = {name.lower(): value for name, value in message["headers"]}
    return bool(message["status"] == 200 and headers.get(b"content-type", b"").startswith(b"text/html") and b"content-encoding" not in headers)
