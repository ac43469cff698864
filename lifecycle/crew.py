"""Engines side by side: each is a process of its own on the journal, and they share nothing but claims."""

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.config import Config, Policy
from catalog.errors import ConfigError
from lifecycle import database, engine, stores
from lifecycle.chunk import Clock, Run
from lifecycle.journal import Journal
from lifecycle.pace import Halt, Pace

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, ForkProcess, SpawnContext, SpawnProcess

_PR_SET_PDEATHSIG = 1
_TASKS = Path("/proc/self/task")  # proc(5): a folder a thread
_HARMLESS = {"jemalloc_bg_thd"}  # an allocator's own thread, which knows of forks


@dataclass(frozen=True)
class Errand:
    """What every engine of a run is told."""

    root: Path
    config: Config
    job_id: str
    actor: str
    clock: Clock
    expires_us: int | None
    engines: int = 1
    fs_ids: Mapping[str, str | None] = field(default_factory=dict)
    digests_version: int = -1  # that the plan knew


@dataclass(frozen=True)
class Came:
    """What came of one engine's part: why it halted, which volumes it left alone and why, whether others still had chunks."""

    halt: Halt | None
    blocked: dict[str, str]
    others: bool


def work(errand: Errand, heard: Callable[[int, int], None]) -> Came:
    """Carry out a job with as many engines as are wanted, this process being one of them. Writes."""
    if errand.engines == 1:
        return _engine(errand, 0, heard)
    for volume in errand.config.volumes:
        with suppress(ConfigError):  # its steps will say so
            stores.connect(errand.config, volume)  # opens nothing: what it loads is there in all forks
    context = _context()
    counts = context.Array("q", 2)
    crew: list[tuple[ForkProcess | SpawnProcess, Connection]] = []
    for place in range(1, errand.engines):
        mine, its = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(errand, place, its, counts, os.getpid()), daemon=True)
        child.start()
        its.close()
        crew.append((child, mine))

    def hear(steps: int, size_bytes: int) -> None:
        with counts.get_lock():
            counts[0], counts[1] = counts[0] + steps, counts[1] + size_bytes
            steps, size_bytes = counts[0], counts[1]
            counts[0] = counts[1] = 0
        heard(steps, size_bytes)

    came = [_engine(replace(errand, engines=len(crew) + 1), 0, hear)]
    came += [_ended(child, pipe, stop=came[0].halt is not None) for child, pipe in crew]
    hear(0, 0)
    if all(one.halt is None for one in came):  # what an engine that died had under way
        came.append(_engine(replace(errand, engines=1), 0, heard))
        came = [replace(one, others=False) for one in came[:-1]] + came[-1:]
    halts = [one.halt for one in came if one.halt is not None]
    blocked = {volume: why for one in came for volume, why in one.blocked.items()}
    return Came(halts[0] if halts else None, blocked, any(one.others for one in came))


def _context() -> "ForkContext | SpawnContext":
    """How engines begin: as forks, which takes no time, where no thread and no journal is left behind by that; else as programs of their own."""
    try:
        threads = {(task / "comm").read_text().strip() for task in _TASKS.iterdir() if int(task.name) != os.getpid()}
    except OSError:  # one that ended meanwhile, or nothing tells of them
        return multiprocessing.get_context("spawn")
    if threads - _HARMLESS or database.is_open():
        return multiprocessing.get_context("spawn")
    return multiprocessing.get_context("fork")


def _engine(errand: Errand, place: int, heard: Callable[[int, int], None]) -> Came:
    with Journal.open(errand.config, errand.root, create=False) as journal:
        run = _run(errand, journal, heard)
        try:
            with _asked_to_stop(run.pace):
                others = engine.work_off(run, place, errand.engines, wait=errand.engines == 1)
        except Halt as halt:
            return Came(halt, run.blocked | run.waits, others=False)
        finally:
            run.close()
        return Came(None, run.blocked | run.waits, others)


def _run(errand: Errand, journal: Journal, heard: Callable[[int, int], None]) -> Run:
    policy = _shared(Policy.model_validate_json(journal.job(errand.job_id).policy), errand.engines)
    return Run(
        root=errand.root,
        config=errand.config,
        journal=journal,
        job_id=errand.job_id,
        policy=policy,
        clock=errand.clock,
        actor=errand.actor,
        pace=Pace(policy, kill_switch(errand.config, errand.root)),
        expires_us=errand.expires_us,
        fs_ids=errand.fs_ids,
        digests_version=errand.digests_version,
        heard=heard,
    )


def abandon(errand: Errand) -> None:
    """End what a job had not come to take away, and settle what it had: every step has ended or rests then. Writes.

    Raises LockedError while it is being carried out, UnreachableError where a volume of it is away.
    """
    with Journal.open(errand.config, errand.root, create=False) as journal:
        run = _run(errand, journal, lambda _steps, _bytes: None)
        try:
            engine.abandon(run)
        finally:
            run.close()


def kill_switch(config: Config, root: Path) -> Path:
    """The file whose presence stops all jobs."""
    given = config.lifecycle.kill_switch
    return config.folder / given if given else database.folder_of(config, root) / "STOP"


def _shared(policy: Policy, engines: int) -> Policy:
    """The policy with each engine's share of the rates."""
    if engines == 1:
        return policy
    rates = {"steps_per_second": policy.steps_per_second, "bytes_per_second": policy.bytes_per_second}
    return policy.model_copy(update={name: rate / engines for name, rate in rates.items() if rate})


@contextmanager
def _asked_to_stop(pace: Pace) -> Iterator[None]:
    """SIGINT and SIGTERM end the run after the stage that is under way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(*_: object) -> None:
        pace.interrupted = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _child(errand: Errand, place: int, pipe: Connection, counts: Any, parent: int) -> None:  # noqa: ANN401  typeshed has no public name for a shared array
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that
        os._exit(1)

    def hear(steps: int, size_bytes: int) -> None:
        with counts.get_lock():
            counts[0], counts[1] = counts[0] + steps, counts[1] + size_bytes

    came = _engine(errand, place, hear)
    pipe.send((None if came.halt is None else (came.halt.state, came.halt.reason), came.blocked))
    os._exit(0)  # all is closed and said; to take the interpreter down takes a tenth of a second, for which the others would wait


def _ended(child: "ForkProcess | SpawnProcess", pipe: Connection, *, stop: bool) -> Came:
    """What a child said at its end. One that died has said nothing: its claims went with it."""
    if stop:
        child.terminate()
    try:
        halt, blocked = pipe.recv()
    except EOFError:
        halt, blocked = None, {}
    child.join()
    return Came(None if halt is None else Halt(*halt), blocked, others=False)
