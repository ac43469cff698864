"""The HTTP API: what the command line answers, read-only, cut to what who asks may see."""

import inspect
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Annotated, Any, Literal, get_args

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

import lastcopy
import reports
from catalog.config import Config
from catalog.errors import CatalogError, ConfigError, LastcopyError, MissingExtraError, NotFoundError, RefusedError, UnderivedError, UnreachableError
from dashboards import rights
from lastcopy import asking, journals, listing, settings
from lastcopy.commands import audit, hold
from lastcopy.service import identity, logs
from lastcopy.service.answers import Connections, streamed
from lastcopy.service.identity import Person
from lastcopy.service.sessions import Sessions
from lastcopy.service.turns import Turns
from lifecycle import audit as trail
from lifecycle.journal import Journal
from reports import find, render, state

Form = Literal["json", "jsonl", "csv", "md", "parquet", "xlsx", "html", "pdf"]
MEDIA_TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
}
_STATUS = {ConfigError: 422, MissingExtraError: 501, NotFoundError: 404, RefusedError: 403, UnreachableError: 503, CatalogError: 503}
_WHOLE_FIRST = ("parquet", "xlsx", "pdf")  # their writers go back in the file
_MOST = 2**31 - 1
_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "Nobody who is known asks"},
    403: {"description": "Not for who asks"},
    422: {"description": "The question is wrong", "content": {"application/json": {"schema": {"type": "object"}}}},
    404: {"description": "There is no such thing, or not for who asks"},
    503: {"description": "The catalog cannot answer now"},
}
_WHEN = "An id, 'latest', a day (the newest by its end in UTC), a time with its zone (the newest by then), or an age as 24h before the newest."
Snapshot = Annotated[str | None, Query(description=_WHEN, max_length=100)]


@dataclass(frozen=True)
class Served:
    """What the API answers from."""

    configuration: Callable[[], Config]
    connections: Connections
    loopback: bool
    turns: Turns = field(default_factory=Turns)
    sessions: Sessions = field(default_factory=Sessions)


def application(served: Served) -> FastAPI:
    """The API, with its OpenAPI at `openapi.json`."""
    app = FastAPI(
        title="Lastcopy",
        version=lastcopy.version(),
        description="What the catalog knows, read-only.",
        openapi_url=None,  # it is given as everything else is
        docs_url=None,  # its pages load scripts from other hosts
        redoc_url=None,
        servers=[{"url": "/api"}],
        responses=_ERRORS,
    )
    app.add_exception_handler(LastcopyError, _teller(served))
    _openapi(app, served)
    _lists(app, served)
    _trail(app, served)
    _questions(app, served)
    for name in reports.names():
        _report(app, served, reports.load(name))
    return app


def _teller(served: Served) -> Callable[[Request, Exception], JSONResponse]:
    def told(request: Request, error: Exception) -> JSONResponse:
        status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
        may_be_told = status in (404, 422, 403, 501) or isinstance(error, UnderivedError)
        if not may_be_told:
            logs.unanswered(request.url.path, error)
        text = str(error) if may_be_told else "the catalog cannot answer now; the log of the service says why"
        root = str(settings.root_of(served.configuration()))
        return JSONResponse({"detail": text.replace(root, "the catalog")}, status)  # where it lies is not for who asks

    return told


def _asked_by(served: Served) -> Callable[[Request], Person]:
    def who(request: Request) -> Person:
        found = identity.program(served.configuration(), request.headers, loopback=served.loopback, sessions=served.sessions)
        if found is None:
            why, header = identity.unknown(served.configuration(), request.headers)
            logs.log().warning("nobody who is known", address=request.client and request.client.host, path=request.url.path, why=why)
            raise HTTPException(401, why, {"WWW-Authenticate": header})
        right = rights.CALLS[request.scope["route"].path.split("/")[1]]
        if not found.may(right):
            raise HTTPException(403, right.refusal)
        known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
        if unknown := [name for name in request.query_params if name not in known]:  # a mistyped condition would give everything
            raise HTTPException(422, f"there is no parameter {unknown[0]!r}; there are {', '.join(known) or 'none'}")
        return found

    return who


def _openapi(app: FastAPI, served: Served) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    def openapi(_person: Annotated[Person, Depends(_asked_by(served))]) -> JSONResponse:
        return JSONResponse(app.openapi())


def _lists(app: FastAPI, served: Served) -> None:
    who = _asked_by(served)

    @app.get("/snapshots", summary="Every published snapshot, oldest first")
    def snapshots(person: Annotated[Person, Depends(who)]) -> dict[str, Any]:
        with served.turns.turn(person.name), served.connections.cursor(None, person.sight) as connection:
            found = connection.sql("SELECT snapshot_id, as_of, complete, previous_snapshot_id FROM snapshots ORDER BY as_of, snapshot_id").to_arrow_table()
            return _enveloped("snapshots", found.to_pylist())

    @app.get("/volumes", summary="Every volume, and how well it is known")
    def volumes(person: Annotated[Person, Depends(who)], snapshot: Snapshot = None) -> StreamingResponse:
        return _answered(served, person, reports.load("volumes"), {}, _Common(snapshot=snapshot))

    @app.get("/reports", summary="Every report, its parameters and columns")
    def all_reports(_person: Annotated[Person, Depends(who)]) -> dict[str, Any]:
        return _enveloped("reports", [_described(reports.load(name)) for name in reports.names()])

    @app.get("/plans", summary="Every plan and its state")
    def plans(person: Annotated[Person, Depends(who)]) -> dict[str, Any]:
        with served.turns.turn(person.name):
            return _enveloped("plan-list", listing.plans(served.configuration(), time.time_ns() // 1000))

    @app.get("/jobs", summary="Every job, and how far it came")
    def jobs(person: Annotated[Person, Depends(who)]) -> dict[str, Any]:
        with served.turns.turn(person.name):
            rows = listing.jobs(served.configuration())
        return _enveloped("job-list", rows)


def _trail(app: FastAPI, served: Served) -> None:
    who = _asked_by(served)

    @app.get("/audit-log", summary="The newest events of the audit trail, oldest first: plans, approvals, the moves of jobs, holds")
    def log(
        person: Annotated[Person, Depends(who)],
        job: Annotated[str | None, Query(description="Only what was done in this job.", max_length=200)] = None,
        since: Annotated[str | None, Query(description="Only what was done at this day or time, or later.", max_length=100)] = None,
        last: Annotated[int, Query(ge=1, le=100_000, description="The most events to give.")] = 1000,
    ) -> dict[str, Any]:
        since_us = audit.us(hold.moment_of("since", since)) if since else None
        with served.turns.turn(person.name), journals.existing(served.configuration()) as journal:
            if journal is not None and job is not None:
                journal.job(job)
            return _enveloped("audit-log", [trail.row(event) for event in (journal.events(job, since_us, last=last) if journal else [])])

    @app.get("/audit-verify", summary="Whether the chain of the audit trail is whole, computed anew, and its head")
    def verified(
        person: Annotated[Person, Depends(who)],
        head: Annotated[str | None, Query(description="A head that was written down earlier: it must be in the chain.", max_length=64)] = None,
    ) -> dict[str, Any]:
        against, config = audit.digest("head", head), served.configuration()
        with served.turns.turn(person.name), Journal.open(config, settings.root_of(config), create=False) as journal:
            return _enveloped("audit-verify", [listing.verified(journal, against)])


def _questions(app: FastAPI, served: Served) -> None:
    who = _asked_by(served)
    Text = Annotated[str, Query(min_length=1, max_length=20_000)]  # noqa: N806  # a type

    @app.get("/explain", summary="Every file at a path: its copies, the controls, what would mend it")
    def explained(person: Annotated[Person, Depends(who)], path: Text, snapshot: Snapshot = None) -> JSONResponse:
        folder = served.configuration().folder
        with served.turns.turn(person.name), served.connections.cursor(snapshot, person.sight) as connection:
            found = asking.explain(connection, path, None, folder)
            text = render.envelope("explain", [one.data() for one in found], state.read(connection))
        return _Ready(text)

    @app.get("/find", summary="Files by name on every volume")
    def finding(
        person: Annotated[Person, Depends(who)],
        pattern: Text,
        snapshot: Snapshot = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="The most rows to give.")] = 1000,
    ) -> StreamingResponse:
        def write(out: IO[bytes]) -> None:
            with served.connections.cursor(snapshot, person.sight) as connection:
                found = find.find(connection, asking.written(pattern)[0], limit)
                render.write(render.table_answer("find", "Files", found, state.read(connection.cursor()), find.UNITS), "json", out, io.StringIO())

        return _streaming(served.turns, person, write, "json", "find")


def _report(app: FastAPI, served: Served, found: reports.Report) -> None:
    """A path for a report, whose parameters are those of its header."""

    def answer(person: Person, **given: Any) -> StreamingResponse:  # noqa: ANN401  # each report has its own
        common = _Common(**{key: given.pop(key) for key in ("snapshot", "against", "where", "limit", "format") if key in given})
        return _answered(served, person, found, given, common)

    parameters = [inspect.Parameter("person", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Person, Depends(_asked_by(served))])]
    options: dict[str, tuple[Any, object]] = {one.name: (_kind(one), one.default) for one in found.params}
    options |= {
        "snapshot": (Snapshot, None),
        "where": (Annotated[str | None, Query(description="Only rows for which a condition over the columns holds.", max_length=20_000)], None),
        "limit": (Annotated[int, Query(ge=0, le=_MOST, description="The most rows to give; 0 = all.")], 0),
        "format": (Annotated[Form, Query(description="The format of the answer.")], "json"),
    }
    if found.compares:
        options["against"] = (
            Annotated[str | None, Query(description="The earlier snapshot that it compares with, named likewise; else the one before.", max_length=100)],
            None,
        )
    parameters += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default) for name, (kind, default) in options.items()]
    answer.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions take any attribute
    answer.__annotations__ = {one.name: one.annotation for one in parameters}
    answer.__name__ = f"report_{found.name.replace('-', '_')}"
    content = {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()} | {"application/json": {"schema": {"type": "object"}}}
    app.get(
        f"/reports/{found.name}",
        summary=found.question,
        response_class=StreamingResponse,
        responses={200: {"description": found.title, "content": content}, 501: {"description": "The format needs a package that is not installed"}},
    )(answer)


@dataclass(frozen=True)
class _Common:
    snapshot: str | None = None
    against: str | None = None
    where: str | None = None
    limit: int = 0
    format: Form = "json"


def _answered(served: Served, person: Person, found: reports.Report, given: dict[str, Any], common: _Common) -> StreamingResponse:
    def write(out: IO[bytes]) -> None:
        with served.connections.cursor(common.snapshot, person.sight, common.against) as connection:
            relation = found.run(connection, given, where=common.where or None, limit=common.limit or None)
            answer = render.answer(found, relation, state.read(connection.cursor()))
            render.write(answer, common.format, out, io.StringIO())

    return _streaming(served.turns, person, write, common.format, found.name)


def _streaming(turns: Turns, person: Person, write: Callable[[IO[bytes]], object], form: Form, name: str) -> StreamingResponse:
    """An answer whose turn ends when all of it was written, or its writer was ended."""
    turn = turns.take(person.name)

    def within(out: IO[bytes]) -> None:
        try:
            _whole(write, out) if form in _WHOLE_FIRST else write(out)
        finally:
            turns.end(turn)

    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"', "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    return StreamingResponse(streamed(within), media_type=MEDIA_TYPES[form], headers=headers)


def _whole(write: Callable[[IO[bytes]], object], out: IO[bytes]) -> None:
    with tempfile.SpooledTemporaryFile(1 << 24) as file:
        write(file)
        file.seek(0)
        while part := file.read(1 << 16):
            out.write(part)


class _Ready(JSONResponse):
    """JSON that is text already."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def render(self, content: Any) -> bytes:  # noqa: ANN401  # as its base has it
        """The text as bytes."""
        return str(content).encode()


def _kind(parameter: reports.Parameter) -> Any:  # noqa: ANN401  # a type
    kind: Any = Literal[parameter.choices] if parameter.choices else type(parameter.default)
    bounds = {"ge": parameter.least, "le": _MOST} if isinstance(parameter.default, int) else {"max_length": 1000} if isinstance(parameter.default, str) else {}
    return Annotated[kind, Query(description=parameter.help, **({} if parameter.choices else bounds))]


def _described(found: reports.Report) -> dict[str, Any]:
    params = [{"name": one.name, "default": one.default, "help": one.help, "choices": list(one.choices)} for one in found.params]
    columns = [{"name": one.name, "meaning": one.meaning, "unit": one.unit} for one in found.columns]
    return {"name": found.name, "title": found.title, "question": found.question, "params": params, "columns": columns, "formats": list(get_args(Form))}


def _enveloped(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    data = [{key: state.iso(value) if isinstance(value, datetime) else value for key, value in row.items()} for row in rows]
    return {"schema": f"{name}/1", "snapshot": None, "as_of": None, "complete": True, "data": data, "warnings": []}
