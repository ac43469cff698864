"""The ASGI application: API, metrics, health and pages behind one door."""

import asyncio
import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

import lastcopy
from catalog import config
from catalog.config import Config
from catalog.errors import CatalogError, ConfigError, LastcopyError, NotFoundError, RefusedError, UnderivedError
from dashboards import serving
from lastcopy import listing, settings
from lastcopy.service import api, identity, login, logs, metrics
from lastcopy.service.answers import Connections
from lastcopy.service.door import Door
from lastcopy.service.sessions import Sessions
from lastcopy.service.turns import Turns

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]
_HEALTHY_SECONDS = 10.0  # within which the catalog says which snapshots it has


class Configuration:
    """The configuration of a file, read anew when the file changes; while it is broken the last good one holds.

    A file that is written right now may be valid, and grant more than it will when it is whole: it is read when it has rested for some seconds.
    """

    rest_seconds = 2.0

    def __init__(self, path: Path, catalog: str | None = None) -> None:
        self._path = path
        self._catalog = catalog
        self._lock = threading.Lock()
        self._seen = self._changing = self._stamp()
        self._since = time.monotonic()  # since when `_changing` is what is seen
        self._config = self._load()
        self.broken: str | None = None  # what is wrong with the file as it is now

    def __call__(self) -> Config:
        """The configuration as it is now."""
        with self._lock:
            stamp = self._stamp()
            if stamp is not None and stamp != self._seen and self._rests(stamp):
                try:
                    loaded, broken = self._load(), None
                except ConfigError as error:
                    loaded, broken = self._config, str(error)
                if self._stamp() != stamp:  # written while it was read
                    return self._config
                if broken:
                    logs.log().error("the configuration is broken: the last good one holds, with its tokens and people", error=broken)
                self._config, self._seen, self.broken = loaded, stamp, broken
            return self._config

    def root(self) -> Path:
        """The catalog's folder."""
        return settings.root_of(self())

    def _load(self) -> Config:
        loaded = config.load(self._path)
        return loaded.model_copy(update={"catalog": loaded.catalog.model_copy(update={"path": self._catalog})}) if self._catalog else loaded

    def _rests(self, stamp: "_Stamp") -> bool:
        """Whether a file was not written for some seconds: by its own time, or where that is ahead of this machine's clock, by what was seen of it before."""
        if stamp != self._changing:
            self._changing, self._since = stamp, time.monotonic()
        return time.time() - stamp.changed_ns / 1e9 >= self.rest_seconds or time.monotonic() - self._since >= self.rest_seconds

    def _stamp(self) -> "_Stamp | None":
        try:
            found = self._path.stat()
        except OSError:
            return None
        return _Stamp(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class _Stamp(NamedTuple):
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int  # no program can set it


@dataclass(frozen=True)
class Service:
    """What is served: `tasks` gives scheduled tasks and their states."""

    configuration: Configuration
    loopback: bool
    tasks: Callable[[], Sequence[tuple[str, str]]] = tuple
    started_at: float = field(default_factory=time.monotonic)
    sessions: Sessions = field(default_factory=Sessions)

    @property
    def hosts(self) -> list[str]:
        """The names beside those of loopback under which it is asked."""
        dashboard = self.configuration().dashboard
        known = [*dashboard.hosts, *([urlsplit(dashboard.oidc.url).hostname or ""] if dashboard.oidc else [])]
        return known or ([] if self.loopback else ["*"])


def application(service: Service, pages: bool, lifespan: Lifespan | None = None) -> ASGIApp:
    """The application; with `pages` the dashboard too."""
    connections = Connections(service.configuration.root)
    turns = Turns()
    routes: list[BaseRoute] = [
        Route("/healthz", _health(service)),
        Route("/metrics", _metrics(service, connections, turns)),
        Mount("/api", api.application(api.Served(service.configuration, connections, service.loopback, turns, service.sessions))),
        *login.Login(service.configuration, service.sessions).routes(),
    ]
    door = Middleware(Door, service=service)
    if pages:
        from lastcopy.service import pages as dashboard

        return dashboard.application(service, connections, routes, door, lifespan)
    return Starlette(routes=routes, middleware=[*serving.guards(service.hosts), door, Middleware(GZipMiddleware)], lifespan=lifespan)


def _health(service: Service) -> Callable[[Request], Any]:
    own = ThreadPoolExecutor(1, "health")  # it is told of also while all threads that answer are taken

    def known() -> bool:
        from catalog import snapshot

        try:
            snapshot.find(service.configuration.root(), None)
        except NotFoundError:
            return False
        return True

    async def answer(_request: Request) -> Response:
        try:
            found = await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(own, known), _HEALTHY_SECONDS)
        except (LastcopyError, OSError, TimeoutError):
            return JSONResponse({"status": "failed"}, 503)
        up = int(time.monotonic() - service.started_at)
        return JSONResponse({"status": "ok", "version": lastcopy.version(), "snapshot": found, "up_seconds": up})

    return answer


def _jobs(service: Service) -> list[dict[str, Any]]:
    """The jobs, where this is the host of their journal; another one tells of none."""
    with contextlib.suppress(RefusedError):
        return listing.jobs(service.configuration())
    return []


def _metrics(service: Service, connections: Connections, turns: Turns) -> Callable[[Request], Any]:
    def text(person: identity.Person) -> bytes:
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        with turns.turn(person.name), connections.cursor(None, person.sight) as connection:
            jobs = _jobs(service) if person.sight is None else []
            tasks = service.tasks() if person.sight is None else ()
            return metrics.text(connection, now, jobs, tasks, broken=service.configuration.broken is not None)

    async def answer(request: Request) -> Response:
        person = identity.program(service.configuration(), request.headers, loopback=service.loopback, sessions=service.sessions)
        if person is None:
            why, header = identity.unknown(service.configuration(), request.headers)
            logs.log().warning("nobody who is known", address=request.client and request.client.host, path=request.url.path, why=why)
            return PlainTextResponse(f"{why}\n", 401, {"WWW-Authenticate": header})
        try:
            return Response(await run_in_threadpool(text, person), media_type=metrics.CONTENT_TYPE)
        except NotFoundError:
            return PlainTextResponse("there is no snapshot yet\n", 503)
        except UnderivedError as error:
            return PlainTextResponse(f"{error}\n", 503)
        except HTTPException as busy:
            return PlainTextResponse(f"{busy.detail}\n", busy.status_code, busy.headers)
        except (CatalogError, ConfigError) as error:
            logs.unanswered(request.url.path, error)
            return PlainTextResponse("the catalog cannot answer now\n", 503)

    return answer
