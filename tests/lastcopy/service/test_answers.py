"""Answers hold up nobody but who asked for them: neither a slow opening, nor a slow reader, nor one who asks much."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import anyio.to_thread
import pytest
import structlog
from duckdb import DuckDBPyConnection, InterruptException
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from catalog import limiting, snapshot
from catalog.errors import CatalogError, UnderivedError
from catalog.sight import Sight
from dashboards import seam
from lastcopy.service import answers, app, pages
from lastcopy.service.answers import Connections, streamed
from lastcopy.service.turns import Turns
from tests.lastcopy.conftest import DECLARED, Estate, grow
from tests.lastcopy.program import run
from tests.lastcopy.service.conftest import GRANTS, bearer, served_from
from tests.lastcopy.service.test_api import PATHS

_ENDLESS = "SELECT count(*) FROM range(10000000) AS a(i), range(10000000) AS b(j) WHERE hash(i + j) = 1"
_MUCH = b"x" * (1 << 16)


@pytest.fixture
def fresh(estate: Estate) -> Iterator[TestClient]:
    """A client of a service that opened nothing yet."""
    with served_from(estate.folder, GRANTS) as client:
        yield client


def opening(monkeypatch: pytest.MonkeyPatch, slowly: Callable[[DuckDBPyConnection], object]) -> threading.Event:
    """Let the opening for who sees 'data:deep' do something more; the event says that it has begun."""
    begun, cut = threading.Event(), limiting.tables

    def tables(connection: DuckDBPyConnection, sight: Sight) -> None:
        if sight.parts == ("data:deep/",):
            begun.set()
            slowly(connection)
        cut(connection, sight)

    monkeypatch.setattr(limiting, "tables", tables)
    return begun


def test_others_are_answered_while_a_snapshot_is_being_opened(fresh: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    begun = opening(monkeypatch, lambda _: go_on.wait(60))
    with ThreadPoolExecutor(60) as pool:
        try:
            slow = [pool.submit(fresh.get, path, headers=bearer("deep")) for path in ("/api/explain?path=deep/same", "/api/snapshots", "/metrics") * 20]
            assert begun.wait(60)
            for path in ("/api/volumes", "/api/explain?path=deep/same", "/api/snapshots", "/metrics", "/healthz"):
                for name in ("all", "data"):
                    assert fresh.get(path, headers=bearer(name)).status_code == 200
        finally:
            go_on.set()
        statuses = [one.result().status_code for one in slow]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 4
    assert fresh.get("/api/volumes", headers=bearer("deep")).status_code == 200


def test_an_opening_that_fails_is_tried_again_by_who_comes_next(fresh: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    opening(monkeypatch, lambda connection: connection.execute("SELECT nothing"))
    assert fresh.get("/api/snapshots", headers=bearer("deep")).status_code == 422
    monkeypatch.undo()
    assert fresh.get("/api/snapshots", headers=bearer("deep")).status_code == 200


@pytest.mark.slow
def test_an_opening_that_takes_too_long_is_ended(fresh: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_LONGEST_SECONDS", 2.0)
    interrupted: list[str] = []

    def slowly(connection: DuckDBPyConnection) -> None:
        try:
            connection.execute(_ENDLESS).fetchall()
        except InterruptException:
            interrupted.append(path)
            raise

    opening(monkeypatch, slowly)
    paths = ["/api/snapshots", "/api/volumes", "/metrics"]
    for path in paths:
        assert fresh.get(path, headers=bearer("deep")).status_code == 503
    assert interrupted == paths


def test_who_waits_for_an_opening_of_another_waits_no_longer_than_his_own_time(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    begun = opening(monkeypatch, lambda _: go_on.wait(60))
    asked = Connections(lambda: estate.folder / "catalog")
    sight = Sight.of(["data:deep"])

    def count() -> int:
        with asked.cursor(None, sight) as cursor:
            return len(cursor.execute("SELECT * FROM volumes").fetchall())

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(count)
        assert begun.wait(60)
        monkeypatch.setattr(answers, "_LONGEST_SECONDS", 0.2)
        with pytest.raises(CatalogError, match="too long"):
            count()
        go_on.set()
        assert first.result() == 1


def test_health_is_told_while_every_thread_that_answers_is_taken(fresh: TestClient) -> None:
    async def take() -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        for _ in range(int(limiter.available_tokens)):
            await limiter.acquire_on_behalf_of(object())

    assert fresh.portal is not None
    fresh.portal.call(take)
    assert fresh.get("/healthz").json()["status"] == "ok"


def everything_below(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every name below a folder: when it was changed, and what it holds."""
    return {str(one): (one.stat().st_mtime_ns, one.read_bytes() if one.is_file() else b"") for one in [folder, *folder.rglob("*")]}


ASK_NO_SNAPSHOT = ("/api/openapi.json", "/api/reports", "/api/plans", "/api/jobs", "/api/audit-log", "/api/audit-verify")


@pytest.mark.slow
def test_a_reader_derives_nothing_and_is_told_which_command_does(tmp_path: Path) -> None:
    grow(tmp_path)
    for _ in range(2):
        run("scan", folder=tmp_path, code=None)
    (tmp_path / "lastcopy.toml").write_text(DECLARED + GRANTS)
    root = tmp_path / "catalog"
    old, new = snapshot.snapshots(root)
    shutil.rmtree(root / "rollup")
    before = everything_below(root)
    service = app.Service(app.Configuration(tmp_path / "lastcopy.toml"), loopback=True)
    command = f"report overview --snapshot {old.snapshot_id}"
    with TestClient(app.application(service, pages=False), base_url="http://127.0.0.1") as client:
        for path in (*(path for path in PATHS if path not in ASK_NO_SNAPSHOT), "/healthz"):
            for name in ("all", "deep"):
                asked = client.get(path, params={"snapshot": old.snapshot_id} if "/reports/" in path else None, headers=bearer(name))
                assert asked.status_code == (200 if path == "/healthz" else 503), path
                if "/reports/" in path:
                    assert f"'lastcopy {command}'" in asked.text
        assert new.snapshot_id in client.get("/metrics", headers=bearer("all")).text
        for opened in (seam.Served().opened, pages.served(service, Connections(lambda: root)).opened):
            with pytest.raises(UnderivedError, match=old.snapshot_id):
                opened(root, old, None, seam.Viewer("", "viewer"))
        assert everything_below(root) == before
        run(*command.split(), folder=tmp_path)
        again = client.get("/api/reports/overview", params={"snapshot": old.snapshot_id}, headers=bearer("all"))
        assert again.status_code == 200


@pytest.mark.parametrize("path", ["/api/reports/assets", "/metrics"])
def test_why_the_catalog_cannot_answer_is_logged_and_not_told(estate: Estate, tmp_path: Path, path: str) -> None:
    folder = tmp_path / "copied"
    shutil.copytree(estate.folder, folder, symlinks=True)
    for file in (folder / "catalog" / "files").rglob("*.parquet"):
        file.write_bytes(b"no parquet")
    with served_from(folder, GRANTS) as client, structlog.testing.capture_logs() as said:
        answer = client.get(path, headers=bearer("all"))
    assert answer.status_code == 503
    assert "parquet" not in answer.text
    [line] = [line for line in said if line["event"] == "the catalog cannot answer"]
    assert line["path"] == path
    assert "parquet" in line["cause"]


def endless(ended: threading.Event) -> Callable[[IO[bytes]], None]:
    """A writer that writes until it is ended, and tells of that."""

    def write(out: IO[bytes]) -> None:
        try:
            while True:
                out.write(_MUCH)
        finally:
            ended.set()

    return write


def test_an_answer_that_is_read_too_slowly_ends_its_writer_and_is_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_LONGEST_SECONDS", 1.0)
    ended = threading.Event()
    pieces = streamed(endless(ended))
    next(pieces)
    for _ in range(5):  # never a minute between two of them
        time.sleep(0.05)
        next(pieces)
    assert ended.wait(30)
    with pytest.raises((BrokenPipeError, CatalogError)):
        list(pieces)


def test_an_answer_that_nobody_reads_ends_its_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_PATIENCE_SECONDS", 0.5)
    ended = threading.Event()
    pieces = streamed(endless(ended))
    assert ended.wait(30)
    time.sleep(1)  # what ended it finds no place either
    with pytest.raises(BrokenPipeError, match="not read in time"):
        list(pieces)


def test_a_writer_that_only_takes_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_LONGEST_SECONDS", 0.1)

    def write(out: IO[bytes]) -> None:
        time.sleep(0.3)
        out.write(_MUCH)

    with pytest.raises(CatalogError, match="too long"):
        streamed(write)


def test_one_asker_leaves_turns_to_others() -> None:
    turns = Turns(at_once=4, at_once_of_one=2, in_line=4, in_line_of_one=3, seconds=0.1)
    held = [turns.take("ana"), turns.take("ana")]
    with pytest.raises(HTTPException):
        turns.take("ana")
    with turns.turn("bob"), turns.turn("bob"), pytest.raises(HTTPException) as refused, turns.turn("eve"):
        pass
    assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "5"})
    turns.end(held[0])
    turns.end(held[0])
    with turns.turn("ana"), pytest.raises(HTTPException):
        turns.take("ana")


def test_anybody_may_take_every_turn() -> None:
    turns = Turns(at_once=4, at_once_of_one=2, seconds=0.1)
    with contextlib.ExitStack() as held:
        for _ in range(4):
            held.enter_context(turns.turn(""))
        with pytest.raises(HTTPException):
            turns.take("")


def test_turns_come_in_the_order_of_the_line_but_for_who_has_enough() -> None:
    turns = Turns(at_once=2, at_once_of_one=1, in_line=4, in_line_of_one=2, seconds=30)
    order: list[str] = []

    def ask(who: str) -> None:
        with turns.turn(who):
            order.append(who)

    ana, bob = turns.take("ana"), turns.take("bob")
    with ThreadPoolExecutor(4) as pool:
        for place, who in enumerate(("ana", "ana", "bob", "eve"), 1):
            pool.submit(ask, who)
            while len(turns._line) < place:
                time.sleep(0.01)
        with pytest.raises(HTTPException):
            turns.take("joe")
        turns.end(bob)
        while len(order) < 2:
            time.sleep(0.01)
        assert sorted(order) == ["bob", "eve"]
        turns.end(ana)
    assert order[2:] == ["ana", "ana"]
