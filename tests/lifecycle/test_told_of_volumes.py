"""Copies that jobs can never look at, as those in a repository or an archive: no removal rests on them, offline or not, neither in a plan nor in a job."""

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from lifecycle import job, plan, stores
from lifecycle.manifest import Copy
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate
from tests.lifecycle.grounds import DAY_US, Grounds, details, paths, refusals, steps
from tests.lifecycle.test_enemies import archived, in_quarantine, purge_of
from tests.scanners import repositories

CONTENT = b"content of many pieces" * 400
_APART = 'system = "{n}"\nsite = "{n}"\nadmin = "{n}"\ndevice = "{n}"\nmedia = "disk"\naccess = "offline"\n'


def _restic(folder: Path) -> str:
    repositories.need()
    repositories.restic(repositories.new(folder), "backup", "--quiet", str(folder / "far"))
    return f'url = "restic:repository"\npassword_file = "password"\nrole = "backup"\nof = ["far"]\npath_map = {{ "{folder}/far" = "far:" }}\n'


def _container(folder: Path) -> str:
    with tarfile.open(folder / "kept.tar", "w") as tar:
        tar.add(folder / "data" / "f", "f")
    return 'url = "container:kept.tar"\nrole = "archive"\ndigest = "all"\n'


def _manifest(folder: Path) -> str:
    (folder / "kept").mkdir()
    (folder / "kept" / "SHA256SUMS").write_text(hashlib.sha256(CONTENT).hexdigest() + "  f\n")
    return 'url = "manifest:kept"\nrole = "archive"\n'


@pytest.fixture(params=[_restic, _container, _manifest], ids=["restic", "container", "manifest"])
def grounds(tmp_path: Path, request: pytest.FixtureRequest) -> Grounds:
    """A file with a copy on `far`, and one that others keep for us on `nightly`, which is read where that can be."""
    made = Grounds(tmp_path)
    for volume in ("data", "far"):
        made.write(volume, "f", CONTENT)
    made.configure("[volumes.nightly]\n" + request.param(tmp_path) + _APART.format(n="nightly"))
    made.scanned().prepared("data", "vault")
    made.ask("fixity", "nightly", code=None)
    return made


@pytest.mark.slow_but_first
def test_no_plan_rests_on_a_copy_that_no_job_can_look_at(grounds: Grounds) -> None:
    made = grounds.plan("archive", to="vault", min_copies=2, where="volume = 'data'")
    assert {copy.volume for step in steps(made) for copy in step.evidence} == {"far"}
    assert paths(made) == [b"f"]
    refused = grounds.plan("archive", to="vault", min_copies=3, where="volume = 'data'")
    assert refusals(refused) == {"f": "floor_not_reachable"}
    assert all(detail.startswith("2 of at least 3") for detail in details(refused))


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def known_then_told_of(small: Estate, volume: str) -> Copy:
    """A copy that a plan knew on a volume that is an archive by now, and offline."""
    small.write(volume, "f", b"content")
    known = small.copy(volume, "f")
    told_of(small, volume)
    return known


def told_of(small: Estate, volume: str) -> None:
    declared = small.config.volumes[volume].model_copy(update={"url": "container:/nowhere/kept.tar", "access": "offline"})
    small.config = small.config.model_copy(update={"volumes": {**small.config.volumes, volume: declared}})
    assert volume not in stores.workable(small.config)


def test_no_job_rests_on_a_copy_that_it_can_never_look_at(small: Estate) -> None:
    small.write("prod", "f", b"content")
    delete = small.job([small.step(1, "f", "delete", evidence=[known_then_told_of(small, "a")])], "delete")
    small.carry_out(delete)
    assert small.states(delete) == ["REFUSED"]
    assert "a:f: no job can look at its volume" in small.reasons(delete)
    assert small.read("prod", "f") == b"content"


def test_a_purge_neither_rests_on_such_a_copy_nor_waits_for_it(small: Estate) -> None:
    small.write("prod", "f", b"content")
    made = archived(small)
    os.unlink(small.at("vault", "f"))
    purge = purge_of(small, made, known_then_told_of(small, "a"))
    assert small.carry_out(purge).blocked == {}
    assert small.states(purge) == ["REFUSED"]
    assert os.path.exists(in_quarantine(small, made))


@pytest.mark.slow
def test_no_plan_of_a_purge_rests_on_the_copy_of_an_earlier_job_whose_volume_is_told_of_by_now(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path)
    grounds.write("data", "f", CONTENT)
    grounds.scanned().prepared("data", "vault")
    made = grounds.plan("archive", to="vault", grace="1s")
    with grounds.journal() as journal:
        plan.approve(made, journal, actor="bob", at_us=grounds.now_us)
    assert job.run(grounds.root, grounds.config, made.id, clock=lambda: grounds.now_us, actor="ada").counts == {"QUARANTINED": 1}
    grounds.now_us += DAY_US
    grounds.scanned()
    assert len(steps(grounds.plan("purge"))) == 1
    grounds.configure(vault='role = "archive"\n')
    text = (tmp_path / "lastcopy.toml").read_text().replace('url = "vault"', 'url = "container:vault.tar"')
    (tmp_path / "lastcopy.toml").write_text(text)
    assert list(refusals(grounds.plan("purge")).values()) == ["floor_not_reachable"]
