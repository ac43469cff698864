"""Connections that say nothing, or do not take their answer, do not keep out anybody for good: real sockets, seconds scaled down."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from lastcopy.service import server, wire
from tests.lastcopy.service.test_serve import until

_MOST = 40
_MUCH_BYTES = 64 << 20  # more than the kernel takes for who does not read


@dataclass
class Listening:
    """A server, where it listens."""

    server: Any
    port: int

    def get(self, path: str = "/") -> int:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}").status_code

    def open(self, sent: bytes = b"") -> socket.socket:
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        opened.sendall(sent)
        return opened

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)


async def _said(_request: Request) -> Response:
    return PlainTextResponse("well")


async def _much(_request: Request) -> Response:
    return Response(bytes(_MUCH_BYTES))


async def _endless(_request: Request) -> Response:
    def pieces() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 16)

    return StreamingResponse(pieces())


async def _slow(_request: Request) -> Response:
    await asyncio.sleep(3.5)
    return PlainTextResponse("well")


async def _echo(spoken: WebSocket) -> None:
    await spoken.accept()
    with contextlib.suppress(Exception):  # the other side ends it
        while True:
            await spoken.send_text(await spoken.receive_text())


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    monkeypatch.setattr(wire.Protocol, "head_seconds", 3.0)
    monkeypatch.setattr(wire.Protocol, "answer_seconds", 6.0)
    routes = [Route("/", _said), Route("/much", _much), Route("/endless", _endless), Route("/slow", _slow), WebSocketRoute("/echo", _echo)]
    served = server.server_of(Starlette(routes=routes))
    served.config.limit_concurrency = _MOST
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=served.run, args=([bound],), daemon=True)
        thread.start()
        until(lambda: served.started)
        yield Listening(served, bound.getsockname()[1])
        served.should_exit = True
        thread.join(60)


def closed(opened: socket.socket) -> bool:
    """Whether the other side closed it, after perhaps some bytes."""
    try:
        return opened.recv(1) == b"" or closed(opened)
    except ConnectionResetError:
        return True


@pytest.mark.slow_but_first
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_connections_that_say_no_whole_request_do_not_shut_the_service_for_good(sent: bytes, listening: Listening) -> None:
    with contextlib.ExitStack() as held:
        silent = [held.enter_context(listening.open(sent)) for _ in range(_MOST + 5)]
        assert listening.get() == 503
        until(lambda: listening.get() == 200, 30)
        assert all(closed(one) for one in silent)


@pytest.mark.slow
def test_a_head_that_comes_byte_by_byte_has_no_longer(listening: Listening) -> None:
    begun = time.monotonic()
    with listening.open(b"GET / HTTP/1.1\r\nX: ") as dripping, contextlib.suppress(ConnectionError):
        while time.monotonic() < begun + 60:
            dripping.sendall(b"x")
            time.sleep(0.1)
    assert time.monotonic() < begun + 60
    until(lambda: listening.connections == 0)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("at_once", [True, False])
def test_a_second_head_that_does_not_end_is_not_waited_for(at_once: bool, listening: Listening) -> None:
    listening.server.config.timeout_keep_alive = 4
    request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with listening.open(request + b"GET / H" * at_once) as asking:
        assert asking.recv(1 << 16).startswith(b"HTTP/1.1 200")
        asking.sendall(b"" if at_once else b"GET / H")
        assert closed(asking)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["much", "endless"])
def test_who_does_not_take_his_answer_is_let_go(path: str, listening: Listening) -> None:
    with listening.open(f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()):
        until(lambda: listening.connections == 1)
        until(lambda: listening.connections == 0, 30)
    with listening.open(f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()):
        until(lambda: listening.connections == 1)
        until(lambda: listening.connections == 0, 30)


@pytest.mark.slow
def test_an_answer_may_take_longer_than_a_head_and_a_connection_rest_between_two(listening: Listening) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{listening.port}") as client:
        assert client.get("/slow").status_code == 200
        before = set(listening.server.server_state.connections)
        time.sleep(3.5)
        assert client.get("/slow").status_code == 200
        assert set(listening.server.server_state.connections) == before


@pytest.mark.slow
def test_two_requests_at_once_are_both_answered(listening: Listening) -> None:
    with listening.open(b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2) as asking:
        heard = b""
        while heard.count(b"well") < 2:
            piece = asking.recv(1 << 16)
            assert piece
            heard += piece


@pytest.mark.slow
def test_a_websocket_stays(listening: Listening) -> None:
    with connect(f"ws://127.0.0.1:{listening.port}/echo") as spoken:
        time.sleep(7)
        spoken.send("still there")
        assert spoken.recv(10) == "still there"
