"""A proxy on loopback that does to single requests what networks do: loses the answer, cuts the request, turns a bit either way, lets somebody in before."""

import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["lose_answer", "cut_request", "cut_answer", "flip_up", "flip_down", "refuse", "busy", "none"]


@dataclass
class Fault:
    """What is done to requests of a method whose target holds some text, to so many of them."""

    method: str
    target: str
    kind: Kind
    times: int = 1
    first: Callable[[], object] = lambda: None  # done before anything else
    then: Callable[[], object] = lambda: None  # done once the server has answered


@dataclass
class Proxy:
    """A proxy that runs; `seen` are the requests that came, `faults` what is yet to happen."""

    upstream: tuple[str, int]
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    has_strange_etags: bool = False  # as of a store that encrypts: 32 characters, and no MD5
    demanded: bytes = b""  # a header without which a PUT is refused, in small letters
    heard: Callable[[int], None] = lambda _count: None  # with the number of requests, before each is sent on
    answered: Callable[[int], None] = lambda _count: None  # and before its answer is
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fault(self, method: str, target: str) -> Fault | None:
        """The fault of a request, which is spent by it."""
        with self.lock:
            for one in self.faults:
                if one.method == method and one.target in target and one.times:
                    one.times -= 1
                    return one
        return None


@contextmanager
def running(endpoint: str) -> Iterator[Proxy]:
    """A proxy before a server."""
    parts = urlsplit(endpoint)
    proxy = Proxy((parts.hostname or "", parts.port or 80))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                _serve(proxy, self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield proxy
        server.shutdown()
        thread.join()


def _serve(proxy: Proxy, client: socket.socket) -> None:
    """One request of a connection: then it is closed, as the answer says."""
    head, body = _request(client)
    if not head:
        return
    method, target, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    with proxy.lock:
        proxy.seen.append(f"{method} {target}")
        count = len(proxy.seen)
    proxy.heard(count)
    fault = proxy.fault(method, target)
    kind = fault.kind if fault else None
    if fault:
        fault.first()
    if kind == "refuse":
        return
    if kind == "busy":
        client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    if method == "PUT" and b"\r\n" + proxy.demanded not in head.lower():
        client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    if kind == "flip_up":
        body = _flipped(body)
    with socket.create_connection(proxy.upstream, timeout=60) as server:
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"expect:"))]
        server.sendall(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]) + b"\r\n\r\n")
        if kind == "cut_request":
            server.sendall(body[: len(body) // 2])
            return
        server.sendall(body)
        answer = b"".join(iter(lambda: server.recv(1 << 16), b""))
    proxy.answered(count)
    if fault:
        fault.then()
    if kind == "lose_answer":
        return
    at = answer.index(b"\r\n\r\n") + 4
    if proxy.has_strange_etags:
        head = re.sub(rb'(?im)^(etag: *"?)([0-9a-f]{32})', lambda found: found[1] + found[2][::-1], answer[:at])
        answer = head + answer[at:]
    if kind == "flip_down":
        answer = answer[:at] + _flipped(answer[at:])
    client.sendall(answer[: at + (len(answer) - at) // 2] if kind == "cut_answer" else answer)


def _request(client: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, without its last empty line, and its body."""
    whole = b""
    while b"\r\n\r\n" not in whole:
        more = client.recv(1 << 16)
        if not more:
            return b"", b""
        whole += more
    head, _, body = whole.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < sum(lengths):
        body += client.recv(1 << 20)
    return head, body


def _flipped(body: bytes) -> bytes:
    """With one bit in its middle turned."""
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else body
