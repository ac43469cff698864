"""Who asks: tokens are hashed, compared as a whole, and lead to what the configuration grants."""

import datetime
import tomllib
from typing import Any

import pytest
import structlog

from catalog import config
from catalog.errors import ConfigError, RefusedError
from lastcopy.service import identity
from tests.lastcopy.conftest import Estate
from tests.lastcopy.program import ask
from tests.lastcopy.service.conftest import served_from


def test_a_token_that_was_made_is_let_in_by_the_lines_that_were_printed(estate: Estate) -> None:
    made = ask("token", "create", "grafana", "--see", "data", "--see", "mirror:deep", folder=estate.folder)
    token = made.out.decode().strip()
    lines = tomllib.loads(made.err.partition(":\n")[2])
    declared = config.parse({"volumes": {"data": {"url": "/d"}, "mirror": {"url": "/m"}}, **lines})
    person = identity.program(declared, {"authorization": f"Bearer {token}"}, loopback=False)
    assert person is not None
    assert person.sight is not None
    assert (person.name, person.role, person.sight.parts) == ("grafana", "viewer", ("data", "mirror:deep/"))
    assert token not in made.err
    for wrong in (token[:-1], token + "x", lines["api"]["tokens"]["grafana"]["hash"], ""):
        assert identity.program(declared, {"authorization": f"Bearer {wrong}"}, loopback=True) is None


def made_token(estate: Estate, *options: str) -> tuple[str, dict[str, Any]]:
    """A token, and the table of it in the configuration."""
    made = ask("token", "create", "grafana", *options, folder=estate.folder)
    return made.out.decode().strip(), tomllib.loads(made.err.partition(":\n")[2])["api"]["tokens"]["grafana"]


@pytest.mark.parametrize(("options", "days"), [((), 365), (("--expires", "90d"), 90), (("--expires", "1.5h"), 1.5 / 24), (("--expires", "never"), None)])
def test_a_token_expires_when_it_was_said(options: tuple[str, ...], days: float | None, estate: Estate) -> None:
    _, table = made_token(estate, *options)
    if days is None:
        assert "expires_at" not in table
    else:
        left = table["expires_at"] - datetime.datetime.now(datetime.UTC)
        assert abs(left - datetime.timedelta(days=days)) < datetime.timedelta(minutes=1)


@pytest.mark.parametrize("expires", ["soon", "90", "0d", "-1d", "999999999y", ""])
def test_a_time_that_is_none_is_a_usage_error(expires: str, estate: Estate) -> None:
    assert "as 90d or 1y, or never" in ask("token", "create", "x", f"--expires={expires}", folder=estate.folder, code=2).err


def test_a_token_lets_in_until_it_expires_and_then_says_so(estate: Estate) -> None:
    token, table = made_token(estate, "--role", "auditor")
    headers = {"Authorization": f"Bearer {token}"}
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    assert table["role"] == "auditor"
    for path in ("/api/volumes", "/metrics", "/api/jobs"):
        for expires_at, status in ((now + datetime.timedelta(minutes=5), 200), (now, 401), (now - datetime.timedelta(days=1), 401)):
            lines = f'[api.tokens.grafana]\nhash = "{table["hash"]}"\nrole = "auditor"\nexpires_at = {expires_at.isoformat()}\n'
            with served_from(estate.folder, lines) as client, structlog.testing.capture_logs() as said:
                answer = client.get(path, headers=headers)
                assert client.get(path, headers={"Authorization": "Bearer lc_wrong"}).headers["WWW-Authenticate"] == "Bearer"
            assert answer.status_code == status
            if status == 401:
                assert f"the token grafana expired at {expires_at:%Y-%m-%d %H:%M} UTC: 'lastcopy token create' makes a new one" in answer.text
                assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
                assert "the token grafana expired" in said[0]["why"]
                assert token not in str(said)


def test_the_list_of_tokens_says_which_expired(estate: Estate) -> None:
    hashed = identity.new_token()[1]
    path = estate.folder / "tokens.toml"
    path.write_text(f"""[api.tokens.old]
hash = "{hashed}"
expires_at = 2020-01-01T01:00:00+01:00

[api.tokens.new]
hash = "{hashed}"
role = "auditor"
expires_at = 2999-01-01T00:00:00Z

[api.tokens.ever]
hash = "{hashed}"
see = ["data", "mirror:deep"]

[volumes.data]
url = "data"

[volumes.mirror]
url = "mirror"
""")
    rows = ask("token", "list", "--config", str(path), "--format", "json", folder=estate.folder).data
    assert rows == [
        {"token": "old", "state": "expired", "expires_at": "2020-01-01T00:00:00Z", "role": "viewer", "see": "everything"},
        {"token": "new", "state": "valid", "expires_at": "2999-01-01T00:00:00Z", "role": "auditor", "see": "everything"},
        {"token": "ever", "state": "valid", "expires_at": None, "role": "viewer", "see": "data, mirror:deep/"},
    ]
    assert "expired" in ask("token", "list", "--config", str(path), folder=estate.folder).out.decode()


@pytest.mark.parametrize("expires_at", [datetime.date(2027, 1, 1), datetime.datetime(2027, 1, 1), "soon"])
def test_a_time_without_a_zone_is_a_wrong_configuration(expires_at: object) -> None:
    with pytest.raises(ConfigError, match="expires_at"):
        config.parse({"api": {"tokens": {"a": {"hash": identity.new_token()[1], "expires_at": expires_at}}}})


def test_a_token_for_a_place_that_is_none_is_a_usage_error(estate: Estate) -> None:
    ask("token", "create", "grafana", "--see", "../x", folder=estate.folder, code=2)
    assert "volumes are data, mirror" in ask("token", "create", "grafana", "--see", "nosuch", folder=estate.folder, code=6).err


def test_a_token_of_a_name_that_the_configuration_would_not_take_is_a_usage_error(estate: Estate) -> None:
    assert "is not a name" in ask("token", "create", "a]\n[x", folder=estate.folder, code=2).err


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("example.org", False)],
)
def test_only_this_machine_reaches_loopback(host: str, loopback: bool) -> None:
    assert identity.is_loopback(host) is loopback
    nobody = config.parse({})
    if loopback:
        identity.refuse_unguarded(nobody, host)
    else:
        with pytest.raises(RefusedError, match="knows nobody"):
            identity.refuse_unguarded(nobody, host)
        identity.refuse_unguarded(config.parse({"dashboard": {"user_header": "X-User"}}), host)


def test_pages_beyond_loopback_are_for_nobody_where_only_tokens_are_known() -> None:
    tokens = config.parse({"api": {"tokens": {"a": {"hash": identity.new_token()[1]}}}})
    assert identity.reader(tokens.dashboard, {}, loopback=False) is None
    assert identity.program(tokens, {}, loopback=True) is None
