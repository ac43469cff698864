"""Every interleaving of jobs that each want to take one copy of the same content away, with a crash of any of them at any point.

The transactions are those of the journal, on a real database; what is modelled is the storages, the schedule and the crashes. A state is bad
if fewer copies that are apart stand at their places, mirrors followed through, than the floor asks for. The same search must find bad
states of engines that are wrong on purpose.
"""

import itertools
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from catalog.config import Config
from catalog.errors import RefusedError
from lifecycle import database, guard, ledger
from lifecycle.journal import Counted, Journal, Move, Retirement
from lifecycle.states import TAKEN
from tests.lifecycle.journals import CONTENT, FINGERPRINT, NOW, estate, job, step

SCHEMA = (Path(database.__file__).parent / "journal.sql").read_text("utf-8")
PATH = b"the file"


@dataclass(frozen=True)
class Estate:
    """Volumes with one copy each, the systems they are on, who follows whom, and the floor."""

    systems: tuple[str, ...]
    floor: int
    mirror_of: int | None = None  # the last volume is a mirror of this one
    undo: bool = False  # whether what is in quarantine may be put back
    broken: str = ""  # what is wrong with the engine, on purpose

    @property
    def config(self) -> Config:
        """As the journal knows it."""
        volumes: dict[str, dict[str, object]] = {f"v{at}": {"role": "archive", "system": system} for at, system in enumerate(self.systems)}
        if self.mirror_of is not None:
            volumes[f"v{len(self.systems) - 1}"] |= {"role": "replica", "of": [f"v{self.mirror_of}"]}
        return estate(volumes)

    @property
    def droppers(self) -> range:
        """The volumes from which somebody wants to take the copy: all but a mirror."""
        return range(len(self.systems) - (self.mirror_of is not None))

    def counted(self, at: int) -> Counted:
        """The copy on a volume, looked at now and verified."""
        return Counted(f"v{at}", PATH, frozenset({self.systems[at]}), frozenset({f"v{at}"}), offline=False, verified=True)

    def independent(self, copies: frozenset[int]) -> int:
        """How many of the copies are apart and will stay, mirrors followed through."""
        mirror = len(self.systems) - 1
        standing = [at for at in copies if not (self.mirror_of is not None and at == mirror and self.mirror_of not in copies)]
        return max(
            size for size in range(len(standing) + 1) for some in itertools.combinations(standing, size) if len({self.systems[at] for at in some}) == size
        )


@dataclass(frozen=True)
class State:
    """The world at one instant: where copies stand, where each dropper is in its program and what it has seen, and the journal."""

    copies: frozenset[int]
    at: tuple[int, ...]
    seen: tuple[frozenset[int] | None, ...]
    journal: object


class World:
    """The journal on a database in memory; each of its states is kept once, so that it can be gone back to."""

    def __init__(self, given: Estate) -> None:
        self.estate = given
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.connection.executescript(SCHEMA)
        self.connection.execute("INSERT INTO meta VALUES ('id', 'x'), ('latest_us', '0')")
        self._folder = tempfile.TemporaryDirectory()
        lock = os.open(os.path.join(self._folder.name, "journal.lock"), os.O_RDWR | os.O_CREAT)
        self.journal = Journal(database.Database(Path(self._folder.name), self.connection, lock), given.config, "x")
        for at in given.droppers:
            self.journal.create_job(job(f"j{at}"), [step(1, f"v{at}", PATH, target=None)])
            self.journal.create_job(job(f"u{at}", "undo", f"j{at}"), [step(1, f"v{at}", PATH, target=None, of=(f"j{at}", 1))])
            self._advance(f"j{at}", "CLAIMED")
        self._images: dict[object, bytes] = {}
        self._known: dict[tuple[object, ...], tuple[object, object]] = {}
        self.start = State(frozenset(range(len(given.systems))), (0,) * len(given.droppers), (None,) * len(given.droppers), self._kept())

    def close(self) -> None:
        """Let go of the database."""
        self.journal.close()

    def states(self, state: State) -> dict[str, str]:
        """The state of each job's step."""
        return dict(state.journal[0])  # type: ignore[index]  # as _kept makes it

    def do(self, state: State, act: str, at: int, seen: frozenset[int] | None = None) -> tuple[object, object]:
        """Carry out one transaction of the journal; gives what it answered and the journal after it."""
        asked = (state.journal, act, at, seen)
        if asked not in self._known:
            self.connection.deserialize(self._images[state.journal])
            self._known[asked] = (getattr(self, f"_{act}")(at, seen), self._kept())
        return self._known[asked]

    def _ask(self, at: int, seen: frozenset[int]) -> object:
        own, others = self.estate.counted(at), tuple(self.estate.counted(other) for other in sorted(seen - {at}))
        if self.estate.broken == "check then drop":
            gone = guard.Gone(own.volume, PATH, own.systems, own.devices, guard.followers(self.estate.config, [own.volume]))
            allowed = guard.allowed(self.estate.floor, others, gone).allowed
            if allowed:  # the mark that nobody looks at
                self.connection.execute("UPDATE progress SET state = 'RETIRING' WHERE job = (SELECT job FROM jobs WHERE job_id = ?)", (f"j{at}",))
            return allowed
        request = Retirement(1, CONTENT, own.volume, PATH, "ada", others, self.estate.floor, own.systems, own.devices)
        return self.journal.retire([request], f"j{at}", NOW, "ada")[1] is None

    def _guarded(self, at: int, _seen: object) -> None:
        self._advance(f"j{at}", "GUARDED")

    def _moved(self, at: int, _seen: object) -> None:
        self._advance(f"j{at}", "QUARANTINED")

    def _refused(self, at: int, _seen: object) -> None:
        self.journal.unretire(f"j{at}", [1], NOW, "ada", "a copy went")
        self._advance(f"j{at}", "REFUSED")

    def _undo(self, at: int, _seen: object) -> bool:
        try:
            self._advance(f"u{at}", "CLAIMED")
        except RefusedError:
            return False
        return True

    def _undone(self, at: int, _seen: object) -> None:
        self._advance(f"u{at}", "DONE")

    def _advance(self, job_id: str, state: str) -> None:
        values = {"quarantine_fingerprint": FINGERPRINT} if state == "QUARANTINED" else {}
        self.journal.advance([Move(1, state, None, values)], job_id, NOW, "ada")  # type: ignore[arg-type]  # a state by its name

    def _kept(self) -> object:
        """What of the journal decides anything, as a value; the database that has it is kept."""
        steps = self.connection.execute("SELECT job_id, progress.state FROM progress INNER JOIN jobs ON jobs.job = progress.job ORDER BY 1")
        entries = self.connection.execute("SELECT job_id, volume FROM ledger INNER JOIN jobs ON jobs.job = ledger.job ORDER BY 1")
        key = (tuple(steps.fetchall()), tuple(entries.fetchall()))
        if hasattr(self, "_images"):
            self._images.setdefault(key, self.connection.serialize())
        return key


LOOK, ASK, LOOK_AGAIN, TAKE, SAY, UNDO, PUT_BACK, SAY_UNDONE, END = range(9)


def _next(world: World, state: State, who: int) -> Iterator[State]:
    """The states after one more act of a dropper, and after its crash and a new start."""
    at, seen = state.at[who], state.seen[who]

    def to(position: int, *, copies: frozenset[int] = state.copies, saw: frozenset[int] | None = None, journal: object = state.journal) -> State:
        places, views = list(state.at), list(state.seen)
        places[who], views[who] = position, saw
        return State(copies, tuple(places), tuple(views), journal)

    if at == LOOK:
        yield to(ASK, saw=state.copies)
    elif at == ASK:
        allowed, journal = world.do(state, "ask", who, seen)
        yield to(LOOK_AGAIN if allowed else END, saw=seen if allowed else None, journal=journal)
    elif at == LOOK_AGAIN:
        stands = world.estate.broken == "check then drop" or (seen or frozenset()) <= state.copies
        _, journal = world.do(state, "guarded" if stands else "refused", who)
        yield to(TAKE if stands else END, journal=journal)
    elif at == TAKE:
        yield to(SAY, copies=state.copies - {who})
    elif at == SAY:
        _, journal = world.do(state, "moved", who)
        yield to(UNDO if world.estate.undo else END, journal=journal)
    elif at == UNDO:
        begun, journal = world.do(state, "undo", who)
        yield to(PUT_BACK if begun else UNDO, journal=journal)
    elif at == PUT_BACK:
        yield to(SAY_UNDONE, copies=state.copies | {who})
    elif at == SAY_UNDONE:
        _, journal = world.do(state, "undone", who)
        yield to(END, journal=journal)
    if at in (ASK, LOOK_AGAIN, TAKE, SAY):
        yield to(_resumed(world, state, who))


def _resumed(world: World, state: State, who: int) -> int:
    """Where a new start goes on after a crash, by what the journal says and what is on the disk."""
    return LOOK if world.states(state)[f"j{who}"] not in TAKEN and who in state.copies else SAY


def explore(given: Estate) -> tuple[int, State | None]:
    """How many states can be reached, and a bad one, at which the search ends."""
    world = World(given)
    found, waiting = {world.start}, [world.start]
    while waiting:
        state = waiting.pop()
        if given.independent(state.copies) < given.floor:
            world.close()
            return len(found), state
        for who in given.droppers:
            for after in _next(world, state, who):
                if after not in found:
                    found.add(after)
                    waiting.append(after)
    world.close()
    return len(found), None


APART = [Estate(tuple("abcde"[:copies]), floor) for copies, floor in ((2, 1), (3, 1), (3, 2), (4, 2), (4, 3))]
SHARED = [Estate(("a", "a", "b", "c"), 1), Estate(("a", "a", "b", "c"), 2)]
MIRRORED = [Estate(("a", "b", "c", "m"), 2, mirror_of=0), Estate(("a", "b", "c", "m"), 1, mirror_of=0)]
ESTATES = [*APART, *SHARED, *MIRRORED, *(replace(one, undo=True) for one in [*APART[:3], Estate(("a", "a", "b"), 1), MIRRORED[0]])]


def _named(given: Estate) -> str:
    return f"{''.join(given.systems)}-floor-{given.floor}{'-mirror' if given.mirror_of is not None else ''}{'-undo' if given.undo else ''}"


@pytest.mark.parametrize("given", ESTATES, ids=_named)
def test_no_order_of_droppers_and_crashes_goes_below_the_floor(given: Estate) -> None:
    states, bad = explore(given)
    assert bad is None
    assert states > 50  # the search went somewhere


@pytest.mark.parametrize("given", [*APART, *SHARED, *MIRRORED], ids=_named)
def test_counting_and_then_dropping_is_found_to_go_below_it(given: Estate) -> None:
    assert explore(replace(given, broken="check then drop"))[1]


def test_a_guard_that_ignores_the_ledger_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_entries", lambda _connection, _sha256s: {})
    assert all(explore(given)[1] for given in APART)


def test_a_guard_that_forgets_who_follows_what_is_being_taken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "followers", lambda _config, _volumes: frozenset())
    monkeypatch.setattr(guard, "mirrors", lambda _config: {})  # that its volume lacks the content forbids it too
    assert explore(MIRRORED[0])[1]


def test_a_guard_that_asks_only_who_follows_its_own_volume_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = guard.followers
    own = {f"v{at}" for at in range(4)}
    monkeypatch.setattr(guard, "followers", lambda config, volumes: real(config, [max(own & set(volumes))]))
    monkeypatch.setattr(guard, "mirrors", lambda _config: {})
    assert explore(MIRRORED[0])[1]
