"""The journal of a catalog in a bucket: one host has it, and all are told which."""

from pathlib import Path

import pytest

from catalog import place
from catalog.errors import RefusedError
from lifecycle import database
from lifecycle.journal import Journal
from tests.catalog.hosts import Shared
from tests.scanners import stores


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    server = stores.weed()
    return Shared(server, tmp_path, server.bucket())


def test_a_catalog_in_a_bucket_has_one_journal_on_one_host(shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = shared.config("one", lifecycle={"journal": str(tmp_path / "journal")})
    with Journal.open(mine, place.root_of(mine), create=True) as journal:
        known = journal.id
    with Journal.open(mine, place.root_of(mine), create=True) as journal:
        assert journal.id == known
    assert shared.paths() == ["journal.json"]
    monkeypatch.setattr(database, "host", lambda: "another")
    theirs = shared.config("other", lifecycle={"journal": str(tmp_path / "another")})
    with pytest.raises(RefusedError, match=r"the journal of this catalog is on another host \("):
        Journal.open(theirs, place.root_of(theirs), create=True)
    nowhere = shared.config("third")
    with pytest.raises(RefusedError, match="is on another host"):
        Journal.open(nowhere, place.root_of(nowhere), create=False)


def test_a_catalog_in_a_bucket_wants_its_journal_on_a_disk(shared: Shared) -> None:
    config = shared.config("one")
    with pytest.raises(RefusedError, match=r"set \[lifecycle\] journal there"):
        Journal.open(config, place.root_of(config), create=True)


def test_of_two_hosts_that_make_a_journal_at_once_one_is_refused(shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (shared.config(name, lifecycle={"journal": str(tmp_path / f"journal-{name}")}) for name in ("one", "other"))
    told, late = database._told_place, [True, True, True]
    with Journal.open(other, place.root_of(other), create=True) as journal:
        known = journal.id
    monkeypatch.setattr(database, "_told_place", lambda root: None if late and late.pop() else told(root))  # it was not there yet
    with pytest.raises(RefusedError, match="another host made the journal of this catalog at the same time"):
        Journal.open(one, place.root_of(one), create=True)
    with Journal.open(other, place.root_of(other), create=False) as journal:
        assert journal.id == known
