"""Who asks: tokens are hashed, compared as a whole, and lead to what the configuration grants."""

import tomllib

import pytest

from catalog import config
from catalog.errors import RefusedError
from lastcopy.service import identity
from tests.lastcopy.conftest import Estate
from tests.lastcopy.program import ask


def test_a_token_that_was_made_is_let_in_by_the_lines_that_were_printed(estate: Estate) -> None:
    made = ask("token", "grafana", "--see", "data", "--see", "mirror:deep", folder=estate.folder)
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


def test_a_token_for_a_place_that_is_none_is_a_usage_error(estate: Estate) -> None:
    ask("token", "grafana", "--see", "../x", folder=estate.folder, code=2)
    assert "volumes are data, mirror" in ask("token", "grafana", "--see", "nosuch", folder=estate.folder, code=6).err


def test_a_token_of_a_name_that_the_configuration_would_not_take_is_a_usage_error(estate: Estate) -> None:
    assert "is not a name" in ask("token", "a]\n[x", folder=estate.folder, code=2).err


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
