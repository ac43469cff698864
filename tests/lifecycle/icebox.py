"""A fake of one answer alone: what Amazon says of objects in its archive, before a real store, for none that runs here has such an archive.

Every object tells the class GLACIER, and is given only once it was asked back (RestoreObject) and `thaw` was called. All else is the store's own answer.
"""

import http.client
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

_REFUSED = b'<?xml version="1.0"?><Error><Code>%s</Code></Error>'


@dataclass
class Icebox:
    """What runs: the requests for a restore that came, with their bodies, and the versions that they name; whether what was asked for is there."""

    port: int = 0
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    versions: list[str | None] = field(default_factory=list)
    pending: set[str] = field(default_factory=set)
    thawed: set[str] = field(default_factory=set)
    canaries: set[str] = field(default_factory=set)  # ours, stored in the archive
    refuses: bytes = b""  # the code of the error that a request for a restore gets
    gives: bool = False  # as stores do that know the class, and have no archive

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def thaw(self) -> None:
        """Let all be there that was asked for."""
        self.thawed |= self.pending

    def freeze(self) -> None:
        """Let what was there for a time be given up again."""
        self.pending.clear()
        self.thawed.clear()


@contextmanager
def running(endpoint: str) -> Iterator[Icebox]:
    """An archive before a server."""
    box, upstream = Icebox(), urlsplit(endpoint)

    class Handler(http.server.BaseHTTPRequestHandler):
        def _forward(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            is_object = path.count("/") > 1 and "/.lastcopy" not in path and not query
            if self.command == "PUT" and "/.lastcopy" in path and self.headers.get("x-amz-storage-class") == "GLACIER":
                box.canaries.add(path)
            is_cold = is_object or path in box.canaries
            words = parse_qs(query, keep_blank_values=True)
            if self.command == "POST" and "restore" in words:
                box.versions.append(words.get("versionId", [None])[0])
                self._restore(path, body)
            elif self.command == "GET" and is_cold and path not in box.thawed and not box.gives:
                self._answer(403, _REFUSED % b"InvalidObjectState")
            else:
                self._pass_on(body, self._told(path) if self.command == "HEAD" and is_object else {})

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815 - as the library calls them

        def _told(self, path: str) -> dict[str, str]:
            told = {"x-amz-storage-class": "GLACIER"}
            if path in box.thawed:
                return told | {"x-amz-restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2040 00:00:00 GMT"'}
            return told | ({"x-amz-restore": 'ongoing-request="true"'} if path in box.pending else {})

        def _restore(self, path: str, body: bytes) -> None:
            if box.refuses:
                self._answer(403, _REFUSED % box.refuses)
                return
            box.asked.append((path, body))
            box.pending.add(path)
            self._answer(202, b"")

        def _pass_on(self, body: bytes, more: dict[str, str]) -> None:
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port or 80, timeout=60)
            connection.request(self.command, self.path, body or None, {name: value for name, value in self.headers.items() if name.lower() != "connection"})
            answer = connection.getresponse()
            self.send_response(answer.status)
            dropped = {"transfer-encoding", "connection", *more}
            for name, value in [*((name, value) for name, value in answer.getheaders() if name.lower() not in dropped), *more.items()]:
                self.send_header(name, value)
            content = answer.read()
            if answer.getheader("Content-Length") is None:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield box
        server.shutdown()
        thread.join()
