"""A volume that is on another disk, or another storage, than when it was scanned or planned for: nothing rests on what was known of it then."""

import os
from pathlib import Path

import pytest

from catalog.errors import RefusedError
from lifecycle import job, plan
from lifecycle.plan import Plan
from lifecycle.stores.posix import Store
from tests.lifecycle.grounds import Grounds, paths, refusals

_SAME = 'system = "{n}"\nsite = "{n}"\nadmin = "{n}"\nmedia = "disk"\naccess = "online"\ndigest = "all"\n'


def declared(grounds: Grounds, vault: str = "vault", device: str = "") -> None:
    """Two volumes whose devices are detected, unless one is declared for the vault."""
    data = f'[volumes.data]\nurl = "data"\nrole = "primary"\n{_SAME.format(n="data")}'
    other = f'[volumes.vault]\nurl = "{vault}"\nrole = "archive"\nof = ["data"]\n{_SAME.format(n="vault")}{device}'
    (grounds.folder / "lastcopy.toml").write_text(f"{data}{other}[lifecycle]\nmin_copies = 1\n")


@pytest.fixture
def grounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grounds:
    """A file on a primary, and an archive that was scanned on another disk."""
    made = Grounds(tmp_path)
    made.write("data", "f")
    declared(made)
    disks(monkeypatch, vault="disk 2")
    return made.scanned().prepared("data", "vault")


def disks(monkeypatch: pytest.MonkeyPatch, **by_volume: str) -> None:
    """Have volumes be on these disks, for scans and for jobs; the others are on one."""
    from scanners import _place

    def device(descriptor: int) -> str:
        return by_volume.get(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")), "disk 1")

    monkeypatch.setattr(_place, "device", device)


def approved(grounds: Grounds) -> Plan:
    made = grounds.plan("archive", to="vault")
    with grounds.journal() as journal:
        plan.approve(made, journal, actor="bob", at_us=grounds.now_us)
    return made


def run(grounds: Grounds, made: Plan) -> job.Outcome:
    return job.run(grounds.root, grounds.config, made.id, clock=lambda: grounds.now_us, actor="ada")


def test_a_target_on_the_disk_on_which_it_was_scanned_counts(grounds: Grounds) -> None:
    assert run(grounds, approved(grounds)).counts == {"QUARANTINED": 1}


@pytest.mark.parametrize("now", ["disk 1", "disk 3"])
def test_a_plan_takes_nothing_that_rests_on_a_disk_which_no_scan_saw_there(grounds: Grounds, monkeypatch: pytest.MonkeyPatch, now: str) -> None:
    disks(monkeypatch, vault=now)
    made = grounds.plan("archive", to="vault")
    assert (paths(made), refusals(made)) == ([], {"f": "floor_not_reachable"})


@pytest.mark.parametrize("now", ["disk 1", "disk 3"])
def test_a_job_takes_nothing_that_rests_on_a_disk_which_no_scan_saw_there(grounds: Grounds, monkeypatch: pytest.MonkeyPatch, now: str) -> None:
    made = approved(grounds)
    disks(monkeypatch, vault=now)
    assert run(grounds, made).counts == {"REFUSED": 1}
    assert os.path.exists(grounds.at("data", "f"))


def test_a_job_takes_nothing_from_a_disk_which_no_scan_saw_there(grounds: Grounds, monkeypatch: pytest.MonkeyPatch) -> None:
    made = approved(grounds)
    disks(monkeypatch, vault="disk 2", data="disk 2")
    assert run(grounds, made).counts == {"REFUSED": 1}


@pytest.mark.parametrize(("now", "counts"), [("disk 1", "REFUSED"), ("disk 3", "QUARANTINED")])
def test_what_is_declared_of_a_volume_is_held_against_the_disk_that_it_is_on_now(
    grounds: Grounds, monkeypatch: pytest.MonkeyPatch, now: str, counts: str
) -> None:
    declared(grounds, device='device = "tape 7"\n')
    made = approved(grounds)
    disks(monkeypatch, vault=now)
    assert run(grounds, made).counts == {counts: 1}


def test_a_disk_that_cannot_be_told_now_is_as_it_was_scanned_only_if_the_volume_is_not_here(grounds: Grounds, monkeypatch: pytest.MonkeyPatch) -> None:
    made = approved(grounds)
    monkeypatch.setattr(Store, "device", lambda _self: None)
    assert run(grounds, made).counts == {"REFUSED": 1}


def test_a_plan_is_not_run_on_another_storage_than_it_was_made_for(grounds: Grounds) -> None:
    made = approved(grounds)
    (grounds.folder / "vault2").mkdir()
    declared(grounds, vault="vault2")
    grounds.prepared("vault")
    with pytest.raises(RefusedError, match="is another storage"):
        run(grounds, made)
    with grounds.journal() as journal:
        assert journal.jobs() == []
    assert os.path.exists(grounds.at("data", "f"))


def test_a_job_is_not_resumed_on_another_storage_than_its_plan_was_made_for_and_can_be_undone(grounds: Grounds) -> None:
    made = approved(grounds)
    with open(grounds.at("data", "f"), "r+b"):
        came = run(grounds, made)
    assert came.counts == {"SOURCE_BUSY": 1}
    (grounds.folder / "vault2").mkdir()
    declared(grounds, vault="vault2")
    grounds.prepared("vault")
    with pytest.raises(RefusedError, match="is another storage"):
        job.resume(grounds.root, grounds.config, came.job_id, clock=lambda: grounds.now_us, actor="ada")
    assert job.undo(grounds.root, grounds.config, came.job_id, clock=lambda: grounds.now_us, actor="ada").complete
