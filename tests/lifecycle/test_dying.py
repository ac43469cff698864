"""An engine that dies before or after any call to a storage or to the journal: the next run finishes, and nothing is lost or left over."""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lifecycle import job as jobs
from lifecycle.journal import Journal
from lifecycle.manifest import Step
from lifecycle.stores._staging import StagedFile
from lifecycle.stores.posix import Store
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate

DIED = 9
STRIDE = 3  # of the points; the sweeps of `tests.lifecycle.chaos` fire at every system call
CALLS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Store, ("open", "stage", "publish", "discard", "settle", "announce", "quarantine", "settle_quarantine", "put_back", "remove", "link", "clone", "share")),
    (StagedFile, ("write", "finish", "sync", "taint", "digest")),
    (Journal, ("advance", "retire", "unretire")),
)


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


def counted(stop_at: int | None) -> Callable[[], int]:
    """Count every call before and after; die at one of them. For a process of its own."""
    seen = 0

    def point() -> None:
        nonlocal seen
        if seen == stop_at:
            os._exit(DIED)
        seen += 1

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:  # noqa: ANN401  passed on as they came
            point()
            result = real(*given, **more)
            point()
            return result

        return call

    for kind, names in CALLS:
        for name in names:
            setattr(kind, name, wrapped(getattr(kind, name)))
    return lambda: seen


def in_a_child(act: Callable[[], object], stop_at: int | None, folder: Path) -> int:
    """Run something in a child that dies at a point; gives how many points there were if it did not come to die, else -1."""
    told = folder / "points"
    child = os.fork()
    if child == 0:
        try:
            points = counted(stop_at)
            act()
            told.write_text(str(points()))
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, DIED), "the engine failed instead of dying"
    return int(told.read_text()) if code == 0 else -1


def contents(small: Estate, name: str) -> dict[str, bytes]:
    return {f"{name}/one": b"one " + name.encode(), f"{name}/two": b"two " + name.encode()}


def make(small: Estate, name: str) -> dict[str, bytes]:
    made = contents(small, name)
    for path, content in made.items():
        small.write("prod", path, content)
    os.link(small.at("prod", f"{name}/two"), small.at("prod", f"{name}/two again"))
    return made | {f"{name}/two again": made[f"{name}/two"]}


def steps_of(small: Estate, made: dict[str, bytes], action: str = "archive") -> list[Step]:
    steps = [small.step(number, path, action) for number, path in enumerate(made, 1)]
    return [replace(step, link_group=1) if step.fingerprint.link_count > 1 else step for step in steps]


Ready = Callable[[Estate, str], tuple[Callable[[], object], Callable[[], object], Callable[[], None]]]


def archive(small: Estate, name: str, leave: str = "nothing") -> Any:  # noqa: ANN401  see Ready
    made = make(small, name)
    job = small.job(steps_of(small, made), leave=leave)

    def check() -> None:
        assert small.states(job) == ["QUARANTINED"] * 3, small.reasons(job)
        assert {path: small.read("vault", path) for path in made} == made
        assert os.stat(small.at("vault", f"{name}/two")).st_nlink == 2
        assert [name for name in small.strays("vault")] == []
        keys = {f".lastcopy/quarantine/{record.key}" for record in small.records(job)}
        assert keys == {found for found in small.strays("prod") if not found.endswith(".json") and f"/{job}-" in found}
        assert small.there("prod", f"{name}/one") == (leave != "nothing")

    return (lambda: small.carry_out(job)), (lambda: small.carry_out(job)), check


def archive_with_stubs(small: Estate, name: str) -> Any:  # noqa: ANN401  see Ready
    return archive(small, name, "stub")


def copy(small: Estate, name: str) -> Any:  # noqa: ANN401  see Ready
    made = make(small, name)
    job = small.job(steps_of(small, made, "copy"), "copy")

    def check() -> None:
        assert small.states(job) == ["DONE"] * 3, small.reasons(job)
        assert {path: small.read("vault", path) for path in made} == {path: small.read("prod", path) for path in made} == made
        assert small.strays("vault") == small.strays("prod") == []

    return (lambda: small.carry_out(job)), (lambda: small.carry_out(job)), check


def undo(small: Estate, name: str, leave: str = "stub", *, after_purge: bool = False) -> Any:  # noqa: ANN401  see Ready
    made = make(small, name)
    job = small.job(steps_of(small, made), leave=leave, grace="0s")
    small.carry_out(job)
    if after_purge:
        small.carry_out(small.job(purge_steps(small, job), "purge", "purge"))

    def act() -> object:
        return jobs.undo(small.root, small.config, job, clock=small.clock, actor="test")

    def check() -> None:
        assert {path: small.read("prod", path) for path in made} == made
        assert os.stat(small.at("prod", f"{name}/two")).st_nlink == 2
        assert small.strays("vault") == []
        assert [found for found in small.strays("prod") if job in found or ".part" in found] == []
        assert all(record.undone_by for record in small.records(job))

    return act, act, check


def recall(small: Estate, name: str) -> Any:  # noqa: ANN401  see Ready
    return undo(small, name, after_purge=True)


def purge_steps(small: Estate, job: str) -> list[Step]:
    return [
        replace(record.step, action="purge", target_volume=None, target_path=None, of_job=job, of_step=record.step.step, link_group=None)
        for record in small.records(job)
    ]


def purge(small: Estate, name: str) -> Any:  # noqa: ANN401  see Ready
    made = make(small, name)
    job = small.job(steps_of(small, made), grace="0s")
    small.carry_out(job)
    purging = small.job(purge_steps(small, job), "purge", "purge")

    def check() -> None:
        assert small.states(purging) == ["DONE"] * 3, small.reasons(purging)
        assert small.states(job) == ["DONE"] * 3
        assert {path: small.read("vault", path) for path in made} == made
        assert [found for found in small.strays("prod") if job in found] == []

    return (lambda: small.carry_out(purging)), (lambda: small.carry_out(purging)), check


def delete(small: Estate, name: str) -> Any:  # noqa: ANN401  see Ready
    made = contents(small, name)
    for path, content in made.items():
        small.write("prod", path, content)
        small.write("a", path, content)
    job = small.job([small.step(number, path, "delete", evidence=[small.copy("a", path)]) for number, path in enumerate(made, 1)], "delete")

    def check() -> None:
        assert small.states(job) == ["QUARANTINED"] * 2, small.reasons(job)
        assert {path: small.read("a", path) for path in made} == made

    return (lambda: small.carry_out(job)), (lambda: small.carry_out(job)), check


def dedupe_job(small: Estate, name: str) -> str:
    for path in ("kept", "one", "two"):
        os.utime(small.write("prod", f"{name}/{path}", b"equal" * 99), ns=(7, 7))
    kept = [small.copy("prod", f"{name}/kept")]
    paths = (f"{name}/one", f"{name}/two")
    steps = [small.step(number, path, "dedupe", evidence=kept, kept_path=f"{name}/kept".encode()) for number, path in enumerate(paths, 1)]
    return small.job(steps, "dedupe", hard_links=True, grace="0s")


def dedupe(small: Estate, name: str) -> Any:  # noqa: ANN401  see Ready
    job = dedupe_job(small, name)

    def check() -> None:
        assert small.states(job) == ["QUARANTINED"] * 2, small.reasons(job)
        assert {small.read("prod", f"{name}/{path}") for path in ("kept", "one", "two")} == {b"equal" * 99}
        assert len({os.stat(small.at("prod", f"{name}/{path}")).st_ino for path in ("kept", "one", "two")}) == 1
        keys = {f".lastcopy/quarantine/{record.key}" for record in small.records(job)}
        assert keys == {found for found in small.strays("prod") if not found.endswith(".json") and (f"/{job}-" in found or ".part" in found)}

    return (lambda: small.carry_out(job)), (lambda: small.carry_out(job)), check


def undo_dedupe(small: Estate, name: str) -> Any:  # noqa: ANN401  see Ready
    job = dedupe_job(small, name)
    small.carry_out(job)

    def back() -> object:
        return jobs.undo(small.root, small.config, job, clock=small.clock, actor="test")

    def check() -> None:
        assert {small.read("prod", f"{name}/{path}") for path in ("kept", "one", "two")} == {b"equal" * 99}
        assert {os.stat(small.at("prod", f"{name}/{path}")).st_nlink for path in ("kept", "one", "two")} == {1}
        assert [found for found in small.strays("prod") if job in found or ".part" in found] == []
        assert all(record.undone_by for record in small.records(job))

    return back, back, check


def purge_dedupe(small: Estate, name: str) -> Any:  # noqa: ANN401  see Ready
    job = dedupe_job(small, name)
    small.carry_out(job)
    purging = small.job(purge_steps(small, job), "purge", "purge", grace="0s")

    def check() -> None:
        assert small.states(purging) == ["DONE"] * 2, small.reasons(purging)
        assert {small.read("prod", f"{name}/{path}") for path in ("kept", "one", "two")} == {b"equal" * 99}
        assert [found for found in small.strays("prod") if job in found] == []

    return (lambda: small.carry_out(purging)), (lambda: small.carry_out(purging)), check


ACTIONS: tuple[Ready, ...] = (archive, archive_with_stubs, copy, undo, recall, purge, delete, dedupe, undo_dedupe, purge_dedupe)


def points_of(small: Estate, ready: Ready) -> Iterator[int]:
    act, _, check = ready(small, "whole")
    points = in_a_child(act, None, small.folder)
    check()
    yield from range(random.Random(ready.__name__).randrange(STRIDE), points, STRIDE)


@pytest.mark.parametrize("ready", ACTIONS, ids=lambda ready: ready.__name__)
def test_whatever_call_it_dies_at_the_next_run_finishes_and_nothing_is_lost(small: Estate, ready: Ready) -> None:
    fired = 0
    for at in points_of(small, ready):
        act, again, check = ready(small, f"p{at}")
        assert in_a_child(act, at, small.folder) == -1, f"point {at} was never reached"
        fired += 1
        again()
        try:
            check()
        except AssertionError as error:
            raise AssertionError(f"after dying at point {at}: {error}") from error
    assert fired > 3
    assert small.trail_is_whole()
