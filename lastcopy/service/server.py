"""The process: binds, serves until it is told to end, and ends cleanly."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

from catalog import config
from catalog.errors import ConfigError, UnreachableError
from lastcopy import settings, talk
from lastcopy.service import app, identity, logs
from lastcopy.settings import Settings


def serve(chosen: Settings, listen: str | None, *, pages: bool, scheduled: bool, json_lines: bool) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError, RefusedError where it may not listen there, UnreachableError where it cannot."""
    from lastcopy.service import schedule

    configuration = app.Configuration(config.find(chosen.config), None if chosen.catalog is None else settings.written_out(chosen.catalog))
    loaded = configuration()
    host, port = address(listen or loaded.dashboard.listen)
    identity.refuse_unguarded(loaded, host)
    logs.begin(json_lines=json_lines)
    bound = _bound(host, port)
    name, number = bound.getsockname()[:2]
    where = f"http://{f'[{name}]' if ':' in name else name}:{number}/"
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(schedule.running(configuration, chosen)) if scheduled else None
        service = app.Service(configuration, identity.is_loopback(host), runner.states if runner else tuple)

        @contextlib.asynccontextmanager
        async def lifespan(_: Any) -> AsyncIterator[None]:  # noqa: ANN401  # the application, of either framework
            logs.log().info("serving", address=where)
            if not chosen.quiet and not json_lines:
                talk.say(f"serving on {where} (API: {where}api/openapi.json, metrics: {where}metrics)")
            yield
            logs.log().info("ending")

        served = app.application(service, pages, lifespan)
        logs.begin(json_lines=json_lines)  # once more: Streamlit sets up its own
        _until_told(server_of(served), bound)


def server_of(served: Any) -> Any:  # noqa: ANN401  # an ASGI application of either framework; uvicorn's server, which is imported late
    """The server of an application, with what it bears of the outside."""
    import uvicorn

    from lastcopy.service import wire

    settings = uvicorn.Config(
        served, log_config=None, access_log=False, proxy_headers=False, server_header=False, timeout_graceful_shutdown=10, timeout_keep_alive=30,
        h11_max_incomplete_event_size=65536, limit_concurrency=500, lifespan="on", http=wire.Protocol,
    )  # fmt: skip
    return uvicorn.Server(settings)


def _until_told(server: Any, bound: socket.socket) -> None:  # noqa: ANN401  # uvicorn's, which is imported late
    """Serve until a signal says to end, which is an end as any other: uvicorn itself would die of the signal once more."""
    told = {number: signal.signal(number, lambda *_: setattr(server, "should_exit", True)) for number in (signal.SIGTERM, signal.SIGINT)}
    server.capture_signals = contextlib.nullcontext
    try:
        asyncio.run(server.serve([bound]))
    finally:
        for number, before in told.items():
            signal.signal(number, before)


def address(listen: str) -> tuple[str, int]:
    """Host and port of 'HOST:PORT'. Raises ConfigError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"--listen {listen!r}: write HOST:PORT, as in 127.0.0.1:8270")
    return host.strip("[]"), int(port)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except OSError as error:
        raise UnreachableError(f"{host}:{port}: cannot listen there: {error.strerror}; --listen HOST:PORT names another place") from error
    bound.set_inheritable(False)
    return bound
