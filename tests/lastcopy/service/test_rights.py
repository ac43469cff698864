"""Each role is answered the calls of the API and let to the pages that are for it, and told of the others whom they are for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import reports
from dashboards import rights
from lastcopy.service import api, app, identity
from lastcopy.service.answers import Connections
from lastcopy.service.api import Served
from tests.lastcopy.conftest import Estate
from tests.lastcopy.service.conftest import served_from

DOCUMENTED = Path(__file__).parents[3] / "docs" / "serving.md"
ROLES = ("viewer", "auditor", "operator")
LIMITS = ("", "data")
TOKENS = {(role, limit): identity.new_token() for role in ROLES for limit in LIMITS}
GRANTS = "\n".join(
    f'[api.tokens.{role}-{limit or "all"}]\nhash = "{hashed}"\nrole = "{role}"' + (f'\nsee = ["{limit}"]' if limit else "")
    for (role, limit), (_, hashed) in TOKENS.items()
)
PEOPLE = '[dashboard]\nuser_header = "X-User"\nproxies = ["10.0.0.1"]\n' + "\n".join(
    f'[dashboard.people.{role}-{limit or "all"}]\nrole = "{role}"' + (f'\nsee = ["{limit}"]' if limit else "") for role, limit in TOKENS
)
ANYBODYS = ("openapi.json", "snapshots", "volumes", "reports", "explain?path=deep/same", "find?pattern=same", *(f"reports/{name}" for name in reports.names()))
AUDITORS = {
    "plans": "plans and jobs are for auditors and operators who may see every volume",
    "jobs": "plans and jobs are for auditors and operators who may see every volume",
    "audit-log": "audit trails are for auditors and operators who may see every volume",
    "audit-verify": "audit trails are for auditors and operators who may see every volume",
}


@pytest.fixture(scope="module")
def client(estate: Estate) -> Iterator[TestClient]:
    with served_from(estate.folder, GRANTS) as found:
        yield found


@pytest.mark.parametrize("call", [*ANYBODYS, *AUDITORS])
@pytest.mark.parametrize(("role", "limit"), TOKENS)
def test_a_call_is_answered_to_whom_it_is_for(role: str, limit: str, call: str, client: TestClient) -> None:
    answer = client.get(f"/api/{call}", headers={"Authorization": f"Bearer {TOKENS[role, limit][0]}"})
    if call in ANYBODYS:
        assert answer.status_code == 200
    elif role == "viewer" or limit:
        assert (answer.status_code, answer.json()) == (403, {"detail": AUDITORS[call]})
    else:
        assert answer.status_code in (200, 404)  # there is no journal of which a chain could be verified


def test_every_call_asks_for_a_right(estate: Estate) -> None:
    configuration = app.Configuration(estate.folder / "lastcopy.toml")
    made = api.application(Served(configuration, Connections(configuration.root), loopback=True))
    assert {route.path.split("/")[1] for route in made.routes} == set(rights.CALLS)  # type: ignore[attr-defined]  # every route has a path


@pytest.mark.parametrize("page", [*rights.PAGES, "plans/", "plans/x"])
@pytest.mark.parametrize(("role", "limit"), TOKENS)
def test_a_page_is_refused_to_whom_it_is_not_for(role: str, limit: str, page: str, estate: Estate) -> None:
    with served_from(estate.folder, PEOPLE, peer="10.0.0.1") as client:
        answer = client.get(f"/{page}", headers={"X-User": f"{role}-{limit or 'all'}"})
    name = page.partition("/")[0]
    may = name not in ("plans", "trail", "loss") or (not limit and (role != "viewer" or name == "loss"))
    assert (answer.status_code == 403) is not may
    assert may or answer.text == f"{rights.PAGES[name].refusal}\n"


def test_anybody_on_loopback_reads_everything_and_does_nothing(estate: Estate) -> None:
    with served_from(estate.folder, "") as client:
        assert {client.get(f"/api/{call}").status_code for call in ("plans", "jobs", "audit-log")} == {200}
        assert client.get("/trail").status_code != 403
    assert not identity.ANYBODY.may(rights.ACTS)


def test_the_documented_table_of_rights_is_that_of_the_code() -> None:
    lines = ["| | viewer | auditor | operator | who sees a part only |", "|---|---|---|---|---|"]
    for right in (rights.REPORTS, rights.LOSSES, rights.WORK, rights.TRAIL, rights.ACTS):
        names = [f"`{page}`" for page, wanted in rights.PAGES.items() if wanted is right]
        calls = [f"`/api/{call}`" for call, wanted in rights.CALLS.items() if wanted is right]
        said = f"{right.what}: {'; '.join(filter(None, (', '.join(names), ', '.join(calls))))}" if names or calls else right.what
        lines.append("| " + " | ".join([said, *("yes" if role in right.roles else "no" for role in ROLES), "no" if right.whole else "of his part"]) + " |")
    text = DOCUMENTED.read_text("utf-8")
    assert "\n".join(lines) in text, "\n".join(lines)
