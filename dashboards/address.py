"""Tells the browser where the server is, and that the page may run its own scripts and ask this server, and nothing else.

Without the first a page opened by its own address looks for the server below that address first, twice, in vain.
"""

import base64
import hashlib
import re
from typing import Any

_FIRST = "/overview"  # a page that Streamlit knows by the root's address alone
_HEAD = b"<head>"
_SCRIPT = b'<script>window.__streamlit = { BACKEND_BASE_URL: window.location.origin + "/" }</script>'
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
# Vega compiles the expressions of a chart, all of which are ours: what a name holds is data to it.
_POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-eval' %s; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    b"connect-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


class Rooted:
    """An ASGI middleware that writes the server's root, that of this host, into the HTML page that starts Streamlit's client, and its policy into the head."""

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
            headers += [(b"content-length", str(len(page)).encode()), (b"content-security-policy", policy(page))]
            await send({**held, "headers": headers})
            await send({"type": "http.response.body", "body": page})

        await self._app(plain, receive, changed)


def policy(page: bytes) -> bytes:
    """The content security policy of a page, in which each inline script is named by its hash (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    return _POLICY % b" ".join(b"'sha256-%s'" % base64.b64encode(hashlib.sha256(found).digest()) for found in _INLINE.findall(page))


def _wants_page(scope: Any) -> bool:  # noqa: ANN401  # as above
    """Whether the answer may be the page: files have an ending, or are asked for by name."""
    by_name = "." in scope["path"].rpartition("/")[2] or "/_stcore/" in scope["path"]
    return not by_name or any(name.lower() == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _is_page(message: Any) -> bool:  # noqa: ANN401  # as above
    headers = {name.lower(): value for name, value in message["headers"]}
    return bool(message["status"] == 200 and headers.get(b"content-type", b"").startswith(b"text/html") and b"content-encoding" not in headers)
