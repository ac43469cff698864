"""The HTTP API: the command line's answers, for who is known, and of what he may see."""

import contextlib
import csv
import io
import json
import re
import time
from pathlib import Path
from typing import Any, get_args

import openpyxl
import pyarrow.parquet as pq
import pypdf
import pytest
import schemathesis
import structlog
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

import reports
from catalog import config
from lastcopy.service import api, app
from lastcopy.service.turns import Turns
from tests.lastcopy.conftest import DECLARED, Estate
from tests.lastcopy.program import ask
from tests.lastcopy.service.conftest import GRANTS, TOKENS, Served, bearer, served_from
from tests.lastcopy.service.test_door import PROXY

load_all_checks()
_CHECKS: Any = CHECKS.get_by_names(["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"])
PATHS = [
    "/api/openapi.json", "/api/snapshots", "/api/volumes", "/api/reports", "/api/plans", "/api/jobs", "/api/audit-log", "/api/audit-verify",
    "/api/explain?path=deep/same", "/api/find?pattern=same", "/metrics",
    *(f"/api/reports/{name}" for name in reports.names()),
]  # fmt: skip
_HOST = {"Host": "127.0.0.1"}
OTHERS = ("mirror", "vault", "lyon", "nas-2", "disk-2")


@pytest.mark.slow
def test_every_answer_is_one_that_the_openapi_names(served: Served) -> None:
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", served.client.app, headers=bearer("all") | _HOST)
    operations: list[Any] = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == 9 + len(reports.names())
    for operation in operations:

        @settings(max_examples=4, suppress_health_check=list(HealthCheck), database=None, deadline=None)
        @given(operation.as_strategy())
        def asked(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(headers=bearer("all") | _HOST, checks=_CHECKS)

        asked()


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token_that_is_known_there_is_no_answer(path: str, served: Served) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer lc_wrong"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Authorization": TOKENS["all"][0]},
    ):
        with structlog.testing.capture_logs() as said:
            refused = served.client.get(path, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert [(line["event"], line["path"]) for line in said] == [("nobody who is known", path.partition("?")[0])]
        assert not any(token in str(said) for token in ("lc_wrong", TOKENS["all"][0]))


@pytest.mark.parametrize("name", reports.names())
def test_a_report_is_that_of_the_command_line(name: str, served: Served) -> None:
    answer = served.client.get(f"/api/reports/{name}", headers=bearer("all")).json()
    assert answer == ask("report", name, "--format", "json", folder=served.folder).envelope


def test_parameters_conditions_and_limits_are_those_of_the_command_line(served: Served) -> None:
    asked = {"by": "volume", "where": "threat = 'ransomware'", "limit": "1"}
    told = ask("report", "coverage", "--by", "volume", "--where", asked["where"], "--limit", "1", "--format", "json", folder=served.folder)
    assert served.client.get("/api/reports/coverage", params=asked, headers=bearer("all")).json() == told.envelope


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("by=planet", 422),
        ("where=(SELECT 1)", 422),
        ("where=read_text('/etc/passwd') = ''", 422),
        ("snapshot=nowhere", 404),
        ("snapshot=1999-12-31", 404),
        ("wehre=size_bytes", 422),
        ("limit=-1", 422),
        ("format=exe", 422),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(query: str, status: int, served: Served) -> None:
    refused = served.client.get(f"/api/reports/coverage?{query}", headers=bearer("all"))
    assert refused.status_code == status
    assert refused.json()["detail"]


def test_every_format_holds_the_same_rows(served: Served) -> None:
    def got(form: str) -> bytes:
        answer = served.client.get(f"/api/reports/assets?format={form}", headers=bearer("all"))
        assert answer.headers["Content-Disposition"] == f'attachment; filename="assets.{form}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        content: bytes = answer.content
        return content

    paths = {row["path"] for row in json.loads(got("json"))["data"]}
    assert {json.loads(line)["path"] for line in got("jsonl").splitlines()} == paths
    assert {row["path"].removeprefix("'") for row in csv.DictReader(io.StringIO(got("csv").decode()))} == paths
    assert set(pq.read_table(io.BytesIO(got("parquet")))["path"].to_pylist()) == paths
    assert {row[1] for row in openpyxl.load_workbook(io.BytesIO(got("xlsx")))["Rows"].iter_rows(min_row=2, values_only=True)} == paths
    assert b"<b>" not in got("html")
    assert len(pypdf.PdfReader(io.BytesIO(got("pdf"))).pages) >= 1


@pytest.mark.parametrize("name", ["data", "deep"])
@pytest.mark.parametrize("path", PATHS)
def test_a_limited_token_is_told_nothing_of_another_volume(path: str, name: str, served: Served) -> None:
    for form in ("json", "html") if "/reports/" in path else ("",):
        text = served.client.get(path, params={"format": form} if form else {}, headers=bearer(name)).text.lower().replace("mirror_only", "")
        assert [word for word in OTHERS if word in text] == []


def text_of(given: bytes, form: str) -> str:
    """All that a file of an answer says."""
    if form == "xlsx":
        return repr([row for sheet in openpyxl.load_workbook(io.BytesIO(given)) for row in sheet.iter_rows(values_only=True)])
    if form == "pdf":
        return "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(given)).pages)
    if form == "parquet":
        found = pq.read_table(io.BytesIO(given))
        return repr((found.to_pylist(), found.schema.metadata))
    return given.decode()


@pytest.mark.slow_but_first
@pytest.mark.parametrize("form", get_args(api.Form))
def test_no_file_tells_a_limited_token_anything_of_another_volume(form: str, served: Served) -> None:
    def got(name: str, token: str) -> str:
        answer = served.client.get(f"/api/reports/{name}", params={"format": form}, headers=bearer(token))
        assert answer.status_code == 200
        return re.sub(r"mirror[\W_]*o\s*n\s*l\s*y", "", text_of(answer.content, form).lower())  # a reason, however it is broken into lines

    for name in ("volumes", "coverage", "duplicates", "problems", "assets"):
        assert [word for word in OTHERS if word in got(name, "deep")] == [], name
    assert "mirror" in got("volumes", "all")


@pytest.mark.parametrize("path", ["/api/plans", "/api/jobs"])
def test_plans_and_jobs_are_not_for_a_limited_token(path: str, served: Served) -> None:
    assert served.client.get(path, headers=bearer("data")).status_code == 403
    assert served.client.get(path, headers=bearer("all")).json()["data"] == []


def test_errors_name_no_volume_that_a_limited_token_does_not_see(served: Served) -> None:
    for query in ("explain?path=mirror:deep/same", "explain?path=nowhere:deep/same", "explain?path=data:no/such", "reports/duplicates?scope=mirror"):
        text = served.client.get(f"/api/{query}", headers=bearer("deep")).text
        assert "mirror" not in text.replace("mirror:deep/same", "").replace("no volume 'mirror'", "")
        assert "vault" not in text
    hidden, none = (served.client.get(f"/api/reports/duplicates?scope={name}", headers=bearer("deep")) for name in ("mirror", "nowhere"))
    assert (hidden.status_code, hidden.text.replace("'mirror'", "'nowhere'")) == (none.status_code, none.text)


def test_totals_of_a_limited_token_are_counted_from_its_rows(served: Served) -> None:
    rows = served.client.get("/api/reports/assets", headers=bearer("deep")).json()["data"]
    assert [row["path"] for row in rows] == ["deep/same"]
    [volume] = served.client.get("/api/volumes", headers=bearer("deep")).json()["data"]
    assert (volume["volume"], volume["files"], volume["bytes"]) == ("data", 1, 9)
    coverage = served.client.get("/api/reports/coverage?by=volume", headers=bearer("deep")).json()["data"]
    assert {(row["name"], row["assets"]) for row in coverage} == {("data", 1)}


def test_on_loopback_without_anybody_known_everybody_may_look(estate: Estate) -> None:
    with served_from(estate.folder, "") as client:
        assert client.get("/api/volumes").status_code == 200
    with served_from(estate.folder, "", loopback=False) as client:
        assert client.get("/api/volumes").status_code == 401


def test_the_header_of_the_proxy_counts_from_the_proxy_alone(estate: Estate) -> None:
    with served_from(estate.folder, PROXY, peer="10.0.0.1") as client:
        assert client.get("/api/jobs", headers={"X-User": "ana"}).status_code == 200
        assert client.get("/api/volumes", headers={"X-User": "bob"}).status_code == 401
        assert client.get("/api/volumes").status_code == 401
        limited = {"X-User": "bob", "X-Groups": "staff, finance"}
        assert [row["files"] for row in client.get("/api/volumes", headers=limited).json()["data"]] == [1]
        assert client.get("/api/jobs", headers=limited).status_code == 403
        assert client.get("/api/jobs", headers=[("X-User", "bob"), ("X-User", "ana")]).status_code == 401
    with served_from(estate.folder, PROXY, peer="127.0.0.1") as client:
        assert client.get("/api/jobs", headers={"X-User": "ana"}).status_code == 401


def test_a_token_that_is_taken_out_of_the_configuration_is_refused(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.Configuration, "rest_seconds", 0.0)
    with served_from(estate.folder, GRANTS) as client:
        path = next(estate.folder.glob(f"service-{abs(hash(GRANTS))}.toml"))
        whole = path.read_text()
        assert client.get("/api/volumes", headers=bearer("deep")).status_code == 200
        path.write_text(whole.replace(TOKENS["deep"][1], f"sha256:{'0' * 64}"))
        assert client.get("/api/volumes", headers=bearer("deep")).status_code == 401
        path.write_text("not TOML [")
        assert client.get("/api/volumes", headers=bearer("all")).status_code == 200
        path.write_text(whole)


def test_a_configuration_that_is_being_written_grants_nothing_yet(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    with served_from(estate.folder, GRANTS + "# half") as client:
        monkeypatch.setattr(app.Configuration, "rest_seconds", 3600.0)
        path = next(estate.folder.glob(f"service-{abs(hash(GRANTS + '# half'))}.toml"))
        whole = path.read_text()
        half = whole[: whole.index('see = ["data:deep"]')]
        path.write_text(half)
        assert "deep" in config.load(path).api.tokens  # valid, and sees everything
        for _ in range(3):
            assert [row["volume"] for row in client.get("/api/volumes", headers=bearer("deep")).json()["data"]] == ["data"]
        with path.open("a") as file:
            file.write('see = ["mirror"]\n')
        monkeypatch.setattr(app.Configuration, "rest_seconds", 0.0)
        assert [row["volume"] for row in client.get("/api/volumes", headers=bearer("deep")).json()["data"]] == ["mirror"]


def test_a_configuration_is_read_once_it_rests_whatever_its_time_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lastcopy.toml"
    path.write_text(DECLARED)
    known = app.Configuration(path)
    path.write_text(DECLARED + GRANTS)
    changed = time.time()
    monkeypatch.setattr(time, "time", lambda: changed - 1000.0)  # a server of files whose clock is ahead
    assert not known().api.tokens
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1.0)
    assert not known().api.tokens
    monkeypatch.setattr(time, "monotonic", lambda: now + 3.0)
    assert known().api.tokens
    path.write_text(DECLARED)
    assert known().api.tokens
    monkeypatch.setattr(time, "time", lambda: changed + 1000.0)  # nobody asked for long: it is read by who comes first
    assert not known().api.tokens
    assert known.broken is None
    path.write_text(DECLARED + "[api.tokens")
    monkeypatch.setattr(time, "time", lambda: changed + 2000.0)
    with structlog.testing.capture_logs() as said:
        assert known().volumes
        assert known().volumes
    assert [(line["log_level"], line["error"]) for line in said] == [("error", known.broken)]
    assert str(path) in str(known.broken)
    path.unlink()
    assert known().volumes


def test_answers_are_packed_for_who_can_unpack_them(served: Served) -> None:
    assert served.client.get("/api/reports/assets", headers=bearer("all")).headers["Content-Encoding"] == "gzip"


@pytest.mark.slow
def test_who_comes_when_too_many_ask_is_told_to_come_again(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(seconds=0.1)
    monkeypatch.setattr(app, "Turns", lambda: turns)
    with served_from(estate.folder, GRANTS) as client:
        for _ in range(2):  # no answer keeps its turn
            with contextlib.ExitStack() as asking:
                for number in range(turns.at_once):
                    asking.enter_context(turns.turn(f"somebody-{number}"))
                for path in ("/api/volumes", "/api/snapshots", "/api/explain?path=deep/same", "/api/find?pattern=same", "/api/plans", "/api/jobs", "/metrics"):
                    refused = client.get(path, headers=bearer("all"))
                    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
            for path in PATHS:  # where nothing was done yet, there is nothing to verify
                assert client.get(path, headers=bearer("all")).status_code == (404 if path == "/api/audit-verify" else 200)


def test_health_tells_nothing_but_whether_it_is_well(served: Served) -> None:
    assert set(served.client.get("/healthz").json()) == {"status", "version", "snapshot", "up_seconds"}
