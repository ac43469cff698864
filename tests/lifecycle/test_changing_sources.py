"""Sources that somebody changes while a job works: no update is lost, and what changed is never taken away."""

import mmap
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lifecycle import engine
from lifecycle.chunk import Run, Work
from lifecycle.stores import Fingerprint, _calls
from lifecycle.stores._tree import Tree
from lifecycle.stores.posix import Store
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate

OLD, NEW = b"old content " * 1000, b"NEW content " * 1000
STAGES = ("open", "copy", "verify", "publish", "guard", "check", "retire")


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def before(monkeypatch: pytest.MonkeyPatch, stage: str, act: Callable[[], object]) -> None:
    """Do something just before a stage begins, once."""
    real, acts = engine.STAGES[stage], [act]

    def hooked(run: Run, works: Sequence[Work]) -> None:
        if acts:
            acts.pop()()
        real(run, works)

    monkeypatch.setitem(engine.STAGES, stage, hooked)


def append(where: bytes) -> None:
    with open(where, "ab") as file:
        file.write(b"more")


def overwrite_keeping_times(where: bytes) -> None:
    status = os.stat(where)
    with open(where, "r+b") as file:
        file.write(NEW)
    os.utime(where, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_by_rename(where: bytes) -> None:
    with open(where + b".new", "wb") as file:
        file.write(NEW)
    os.rename(where + b".new", where)


def nonblocking_writer(act: Callable[[bytes], None]) -> Callable[[bytes], bool]:
    """Whether the change could be made now: a lease makes a writer wait, and a test has no second process to wait in."""

    def tried(where: bytes) -> bool:
        try:
            os.close(os.open(where, os.O_WRONLY | os.O_NONBLOCK))
        except BlockingIOError:
            return False
        act(where)
        return True

    return tried


def blind_to(known: Fingerprint) -> Callable[[Tree, _calls.Status, bytes], Fingerprint]:
    """A fingerprint that sees no change of one file."""
    real = Tree.fingerprint_of

    def blind(self: Tree, found: _calls.Status, path: bytes) -> Fingerprint:
        seen = real(self, found, path)
        return known if seen.inode == known.inode else seen

    return blind


CHANGES: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "append": (nonblocking_writer(append), OLD + b"more"),
    "overwrite": (nonblocking_writer(overwrite_keeping_times), NEW),
    "replace": (replace_by_rename, NEW),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("change", CHANGES)
def test_an_update_at_any_stage_stays_where_its_writer_put_it(small: Estate, monkeypatch: pytest.MonkeyPatch, stage: str, change: str) -> None:
    where = small.write("prod", "f", OLD)
    job = small.job([small.step(1, "f")])
    act, wanted = CHANGES[change]
    done: list[object] = []
    before(monkeypatch, stage, lambda: done.append(act(where)))
    small.carry_out(job)
    assert done
    if done == [False]:  # the lease kept the writer waiting; the engine saw it, and let it through
        assert small.states(job) == ["SOURCE_BUSY"]
        wanted = OLD
    else:
        assert small.states(job)[0] in {"STALE", "SOURCE_CHANGED"}
    assert small.read("prod", "f") == wanted
    assert not small.there("vault", "f") or small.read("vault", "f") == OLD
    assert small.strays("prod") == []
    assert small.strays("vault") == []
    assert small.trail_is_whole()


@pytest.mark.parametrize("stage", STAGES)
def test_a_source_that_is_deleted_ends_its_step_and_no_other(small: Estate, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    where = small.write("prod", "f", OLD)
    small.write("prod", "g", NEW)
    job = small.job([small.step(1, "f"), small.step(2, "g")])
    before(monkeypatch, stage, lambda: os.unlink(where))
    small.carry_out(job)
    assert small.states(job)[0] in {"STALE", "SOURCE_CHANGED"}
    assert small.states(job)[1] == "QUARANTINED"
    assert not small.there("vault", "f") or small.read("vault", "f") == OLD


def test_a_store_through_a_map_of_the_file_keeps_it_from_being_taken(small: Estate) -> None:
    where = small.write("prod", "f", OLD)
    step = small.step(1, "f")
    with open(where, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        job = small.job([step])
        mapped[0:3] = b"NEW"
        small.carry_out(job)
        assert small.states(job)[0] in {"SOURCE_BUSY", "STALE"}
    assert small.read("prod", "f").startswith(b"NEW")


def test_a_file_that_somebody_has_open_for_writing_is_left_for_another_run(small: Estate) -> None:
    where = small.write("prod", "f", OLD)
    job = small.job([small.step(1, "f")])
    with open(where, "r+b"):
        small.carry_out(job)
        assert small.states(job) == ["SOURCE_BUSY"]
        assert small.records(job)[0].retry


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_symbolic_link_swapped_into_a_parent_leads_no_call_outside(small: Estate, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    small.write("prod", "folder/f", OLD)
    victim = small.write("b", "f", OLD)
    job = small.job([small.step(1, "folder/f")])

    def swap() -> None:
        os.rename(small.at("prod", "folder"), small.at("prod", "moved"))
        os.symlink(small.at("b"), small.at("prod", "folder"))

    before(monkeypatch, stage, swap)
    small.carry_out(job)
    assert os.path.lexists(victim)
    assert small.read("b", "f") == OLD
    assert small.there("prod", "moved/f")
    assert small.states(job)[0] not in {"QUARANTINED", "DONE"}


def test_without_leases_the_source_is_read_again_before_it_is_taken(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_descriptor: int) -> None:
        raise OSError(22, "no leases here")

    monkeypatch.setattr(_calls, "lease", none)
    where = small.write("prod", "f", OLD)
    job = small.job([small.step(1, "f")])

    def unseen() -> None:  # as a store through a map does: no time tells of it
        overwrite_keeping_times(where)
        monkeypatch.setattr(Tree, "fingerprint_of", blind_to(small.records(job)[0].step.fingerprint))

    before(monkeypatch, "check", unseen)
    small.carry_out(job)
    assert small.states(job) == ["SOURCE_CHANGED"]
    assert small.read("prod", "f") == NEW


def test_a_writer_that_comes_while_the_file_is_moved_finds_it_at_its_name(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    where = small.write("prod", "f", OLD)
    job = small.job([small.step(1, "f")])
    real = Store.quarantine

    def with_a_writer(self: Store, *given: object, **more: object) -> object:
        with pytest.raises(BlockingIOError):
            os.close(os.open(where, os.O_WRONLY | os.O_NONBLOCK))  # breaks the lease
        return real(self, *given, **more)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(Store, "quarantine", with_a_writer)
    small.carry_out(job)
    assert small.states(job) == ["SOURCE_BUSY"]
    assert small.read("prod", "f") == OLD
    assert small.strays("prod") == []
