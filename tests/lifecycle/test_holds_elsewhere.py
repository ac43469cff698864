"""A hold on a path holds the place: whatever volume shows it, whatever that is called now; and a plan leaves out what a job would refuse for it."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from catalog import config as configuration
from lifecycle import audit, job, plan, stores
from lifecycle.actions import prepare
from lifecycle.holds import Scope
from lifecycle.manifest import Step
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate
from tests.lifecycle.grounds import Grounds, paths, refusals


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def hold(small: Estate, volume: str, path: bytes) -> None:
    with small.journal() as journal:
        journal.place_hold(Scope("path", volume=volume, path=path), reason="a lawsuit", until_us=None, at_us=small.clock(), actor="lawyer")


def declare(small: Estate, **changed: dict[str, object] | None) -> None:
    """Declare volumes in another way from now on; None = no more."""
    volumes: dict[str, Any] = {
        name: {key: value for key, value in declared.model_dump(mode="json", exclude_none=True).items() if value not in ([], {})}
        for name, declared in small.config.volumes.items()
    }
    like = volumes.get("prod") or volumes["data"]
    for name, given in changed.items():
        volumes.pop(name, None)
        if given is not None:
            volumes[name] = {**like, **given}
    told = {"catalog": {"path": str(small.root)}, "volumes": volumes, "lifecycle": {"min_copies": 1}}
    small.config = configuration.parse(told, small.folder / "lastcopy.toml")


def archive_of(small: Estate, volume: str, path: bytes, content: bytes = b"content") -> str:
    with small.journal() as journal:
        new = journal.prepared(volume) is None
    if new:
        prepare.prepare(small.root, small.config, volume, now_us=small.clock(), actor="test", take_over=True)
    store = stores.connect(small.config, volume)
    found = store.look(path)
    store.close()
    assert found is not None
    digest = hashlib.sha256(content).digest()
    made = small.job([Step(1, 1, "archive", volume, path, found, digest, "vault", path, None, None, None, None, "test", ())])
    small.carry_out(made)
    return made


def refused(small: Estate, volume: str, path: bytes) -> bool:
    made = archive_of(small, volume, path)
    assert (small.states(made) == ["REFUSED"]) == ("a lawsuit" in small.reasons(made) or "hold" in small.reasons(made))
    return small.states(made) == ["REFUSED"]


def test_a_hold_on_a_volume_that_lies_inside_another_holds_what_the_outer_one_shows(small: Estate) -> None:
    small.write("prod", "legal/f", b"content")
    declare(small, legal={"url": str(small.folder / "prod" / "legal")})
    hold(small, "legal", b"f")
    assert refused(small, "prod", b"legal/f")


def test_a_hold_on_a_folder_holds_what_a_volume_inside_it_shows(small: Estate) -> None:
    small.write("prod", "legal/f", b"content")
    small.write("prod", "free/f", b"content")
    hold(small, "prod", b"legal")
    declare(small, legal={"url": str(small.folder / "prod" / "legal")}, free={"url": str(small.folder / "prod" / "free")})
    assert refused(small, "legal", b"f")
    assert not refused(small, "free", b"f")


@pytest.mark.parametrize("at", [b"f", b"d"])
def test_a_hold_on_a_volume_that_is_called_otherwise_now_holds_its_path(small: Estate, at: bytes) -> None:
    path = b"f" if at == b"f" else b"d/f"
    small.write("prod", path, b"content")
    hold(small, "prod", at)
    declare(small, prod=None, projects={})
    assert refused(small, "projects", path)


def test_a_hold_on_a_volume_that_is_not_declared_any_more_holds_its_path_on_every_volume(small: Estate) -> None:
    small.write("prod", "d/f", b"content")
    small.write("prod", "g", b"content")
    declare(small, gone={"url": str(small.folder / "elsewhere")})
    hold(small, "gone", b"d")
    declare(small, gone=None)
    assert refused(small, "prod", b"d/f")
    assert not refused(small, "prod", b"g")


@pytest.mark.parametrize("up", [True, False])
def test_a_hold_holds_its_place_though_the_folder_of_its_volume_was_moved_up_or_down(small: Estate, up: bool) -> None:
    small.write("prod", "c/d/f", b"content")
    inner, outer = dict[str, object](url=str(small.folder / "prod" / "c")), dict[str, object](url=str(small.folder / "prod"))
    declare(small, prod=None, data=inner if up else outer)
    hold(small, "data", b"d" if up else b"c/d")
    declare(small, data=outer if up else inner)
    assert refused(small, "data", b"c/d/f" if up else b"d/f")


def test_a_hold_holds_what_a_volume_shows_through_a_link(small: Estate) -> None:
    small.write("prod", "d/f", b"content")
    os.symlink(small.folder / "prod", small.folder / "linked")
    declare(small, inner={"url": str(small.folder / "linked" / "d")})
    hold(small, "inner", b"f")
    assert refused(small, "prod", b"d/f")


def test_a_hold_whose_place_cannot_be_read_holds_everything(small: Estate) -> None:
    small.write("prod", "f", b"content")
    told = {"scope": "path", "volume": "a", "path": b"elsewhere".hex(), "folder": 7, "reason": "a lawsuit"}
    with small.journal() as journal, journal._database.writing() as connection:
        audit.append(connection, small.clock(), "lawyer", "hold_placed", "a:elsewhere", told)
    assert refused(small, "prod", b"f")


@pytest.mark.slow
def test_a_plan_leaves_out_copies_of_what_was_taken_from_a_path_that_is_held_now(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path)
    for name in ("held/f", "free/g"):
        grounds.write("data", name, name.encode())
        grounds.write("far", name, name.encode())
    grounds.scanned().prepared()
    made = grounds.plan("archive", to="vault", where="volume = 'data'")
    with grounds.journal() as journal:
        plan.approve(made, journal, actor="bob", at_us=grounds.now_us)
    came = job.run(grounds.root, grounds.config, made.id, clock=lambda: grounds.now_us, actor="ada")
    assert came.counts == {"QUARANTINED": 2}
    with grounds.journal() as journal:
        journal.place_hold(Scope("path", volume="data", path=b"held"), reason="a lawsuit", until_us=None, at_us=grounds.now_us, actor="lawyer")
    grounds.scanned()
    again = grounds.plan("archive", to="vault", where="volume = 'far'")
    assert paths(again) == [b"free/g"]
    assert refusals(again)["held/f"] == "on_hold"
