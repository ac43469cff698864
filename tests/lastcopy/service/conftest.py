"""The scanned estate of the command line's tests, served with three tokens."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lastcopy.service import app, identity
from tests.lastcopy.conftest import DECLARED, Estate
from tests.lastcopy.service.desks import Desk, at
from tests.lastcopy.service.issuers import Issuer, issuing
from tests.lastcopy.service.receivers import Inbox, Mailbox

TOKENS = {"all": identity.new_token(), "data": identity.new_token(), "deep": identity.new_token()}
GRANTS = f"""
[api.tokens.all]
hash = "{TOKENS["all"][1]}"
role = "auditor"

[api.tokens.data]
hash = "{TOKENS["data"][1]}"
see = ["data"]

[api.tokens.deep]
hash = "{TOKENS["deep"][1]}"
see = ["data:deep"]
"""


def bearer(name: str) -> dict[str, str]:
    """The header that lets a token in."""
    return {"Authorization": f"Bearer {TOKENS[name][0]}"}


@dataclass(frozen=True)
class Served:
    """A client of the application, and its folder."""

    client: TestClient
    folder: Path


def served_from(folder: Path, more: str, *, loopback: bool = True, peer: str = "127.0.0.1") -> TestClient:
    """A client of the application over a scanned folder with more in its configuration."""
    path = folder / f"service-{abs(hash(more))}.toml"
    path.write_text(DECLARED + more)
    service = app.Service(app.Configuration(path), loopback=loopback)
    return TestClient(app.application(service, pages=False), base_url="http://127.0.0.1", client=(peer, 50000))


@pytest.fixture(scope="session")
def served(estate: Estate) -> Iterator[Served]:
    with served_from(estate.folder, GRANTS) as client:
        yield Served(client, estate.folder)


@pytest.fixture(scope="session")
def open_to_all(estate: Estate) -> Iterator[TestClient]:
    """A client of a service on loopback that knows nobody."""
    with served_from(estate.folder, "\n") as client:
        yield client


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()
    yield found
    found.close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    found = Mailbox()
    yield found
    found.close()


@pytest.fixture(scope="module")
def made(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with issuing() as found:
        yield at(estate, found, tmp_path_factory.mktemp("desk"))


@pytest.fixture
def desk(made: Desk) -> Desk:
    """A service that knows its provider, as it was at first, and a browser that knows nobody."""
    new = Issuer(key=made.issuer.key)
    made.issuer.person, made.issuer.change, made.issuer.token, made.issuer.answer = new.person, new.change, new.token, new.answer
    return replace(made, browser=made.other(), clock=made.clock)


@pytest.fixture
def fresh(estate: Estate, tmp_path: Path) -> Iterator[Desk]:
    """A service that has not asked its provider yet."""
    with issuing() as found:
        yield at(estate, found, tmp_path)
