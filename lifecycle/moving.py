"""Moves of steps within the journal's transactions: what may move, the rows, the counts, and what it means for other steps."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from catalog import names
from catalog.errors import RefusedError
from lifecycle import _rows, ledger
from lifecycle.records import Move
from lifecycle.states import BAD_ENDS, LIVE, TAKEN, State, may_follow

_AT_ONCE = 500  # values of one query
_VALUES = frozenset(_rows.VALUES)
_LEFT_THERE: frozenset[State] = frozenset({"REFUSED", "SOURCE_BUSY", "SOURCE_CHANGED", "STALE"})  # ends of a purge that has removed nothing


class Alike(NamedTuple):
    """Steps of a chunk that are in one state, by their count and the sum of their sizes: the steps of a chunk mostly move together."""

    state: State
    retry: bool
    chunk: int
    steps: int
    size_bytes: int


def states_of(connection: sqlite3.Connection, number: int, steps: Sequence[int]) -> dict[int, State]:
    """The states of steps; those that are not there are left out."""
    found: dict[int, State] = {}
    for part in _parts(steps):
        among, given = _among(part)
        found.update(connection.execute(f"SELECT step, state FROM progress WHERE job = ? AND {among}", (number, *given)))
    return found


def before(connection: sqlite3.Connection, number: int, moves: Sequence[Move]) -> list[tuple[Alike, State]]:
    """What the steps of moves are, and what they come to."""
    going: dict[State, list[int]] = {}
    for move in moves:
        going.setdefault(move.state, []).append(move.step)
    found: list[tuple[Alike, State]] = []
    for then, steps in going.items():
        for part in _parts(steps):
            among, given = _among(part)
            query = f"SELECT state, retry, chunk, count(*), sum(size_bytes) FROM progress WHERE job = ? AND {among} GROUP BY state, retry, chunk"
            rows = connection.execute(query, (number, *given))
            found += [(Alike(state, bool(retry), chunk, count, size), then) for state, retry, chunk, count, size in rows]
    return found


def check(connection: sqlite3.Connection, number: int, job_id: str, moves: Sequence[Move], was: Sequence[tuple[Alike, State]]) -> None:
    """Raises RefusedError for a move of a step that is not there, and for one that is not drawn in docs/lifecycle.md."""
    wrong = {(alike.state, then) for alike, then in was if not may_follow(alike.state, then, retry=alike.retry)}
    if not wrong and sum(alike.steps for alike, _ in was) == len(moves):
        return
    states = states_of(connection, number, [move.step for move in moves])
    for move in moves:
        if move.step not in states:
            raise RefusedError(f"job {job_id} has no step {move.step}")
        if (states[move.step], move.state) in wrong:
            raise RefusedError(f"job {job_id}: step {move.step} is {states[move.step]} and cannot become {move.state}")
    raise RefusedError(f"job {job_id}: a step cannot be moved twice at once")


def _parts(steps: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(steps), _AT_ONCE):
        yield steps[at : at + _AT_ONCE]


def _among(part: Sequence[int]) -> tuple[str, Sequence[int]]:
    """The condition that a step is one of some, and its values: of a whole chunk they follow each other, and a range takes half the time."""
    first, last = min(part), max(part)
    if last - first + 1 == len(part) == len(set(part)):
        return "step BETWEEN ? AND ?", (first, last)
    return f"step IN ({', '.join('?' * len(part))})", part


def write(connection: sqlite3.Connection, number: int, moves: Sequence[Move], at_us: int, was: Sequence[tuple[Alike, State]]) -> None:
    """Write the rows of moves, as they are, and bring the counts up to them; `was` is what the steps were. Writes."""
    alike: dict[tuple[State, str | None], list[int]] = {}
    single: dict[tuple[State, tuple[str, ...]], list[tuple[object, ...]]] = {}
    for move in moves:
        if not move.values.keys() <= _VALUES:
            raise ValueError(f"a step has no {', '.join(sorted(move.values.keys() - _VALUES))}")
        if move.values:
            row = (move.state, at_us, move.reason, *map(_rows.stored, move.values, move.values.values()), number, move.step)
            single.setdefault((move.state, tuple(move.values)), []).append(row)
        else:
            alike.setdefault((move.state, move.reason), []).append(move.step)
    for (state, reason), steps in alike.items():
        for part in _parts(steps):  # one statement for all of them takes a third of the time
            among, given = _among(part)
            connection.execute(f"{_update(state)} WHERE job = ? AND {among}", (state, at_us, reason, number, *given))
    for (state, columns), rows in single.items():
        connection.executemany(f"{_update(state, columns)} WHERE job = ? AND step = ?", rows)
    _recount(connection, number, was)


def _update(state: State, columns: tuple[str, ...] = ()) -> str:
    """The beginning of a statement that writes moves: a step that goes on is not to be tried again."""
    sets = "".join(f", {name} = ?" for name in columns) + (", retry = 0" if state not in BAD_ENDS and "retry" not in columns else "")
    return f"UPDATE progress SET state = ?, since_us = ?, reason = ?{sets}"


def _recount(connection: sqlite3.Connection, number: int, moved: Iterable[tuple[Alike, State]]) -> None:
    """Bring the counts, and what is left of each chunk, up to what was moved. Writes."""
    change: dict[State, list[int]] = {}
    left: dict[int, int] = {}
    for before, then in moved:
        for name, sign in ((before.state, -1), (then, 1)):
            total = change.setdefault(name, [0, 0])
            total[0] += sign * before.steps
            total[1] += sign * before.size_bytes
        left[before.chunk] = left.get(before.chunk, 0) + ((then in LIVE) - (before.state in LIVE)) * before.steps
    connection.executemany(
        "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT (job, state) DO UPDATE SET steps = steps + excluded.steps, bytes = bytes + excluded.bytes",
        [(number, state, steps, size) for state, (steps, size) in change.items() if steps or size],
    )
    changed = [(more, number, chunk) for chunk, more in left.items() if more]
    connection.executemany("UPDATE chunks SET live = live + ? WHERE job = ? AND chunk = ?", changed)


def _move_origin(connection: sqlite3.Connection, at: tuple[int, int], move: Move, at_us: int) -> None:
    number, step = at
    if move.state in TAKEN:  # its grace time is counted from when it came into quarantine, whatever a purge came to
        (at_us,) = connection.execute("SELECT since_us FROM progress WHERE job = ? AND step = ?", (number, step)).fetchone()
    write(connection, number, [move], at_us, before(connection, number, [move]))


def before_guard(connection: sqlite3.Connection, number: int, step: int) -> State:
    """Where a step was before it was guarded."""
    (published,) = connection.execute("SELECT target_fingerprint FROM progress WHERE job = ? AND step = ?", (number, step)).fetchone()
    return "PUBLISHED" if published else "CLAIMED"


def told(moves: Sequence[Move]) -> dict[str, object]:
    """Moves as the audit trail keeps them: the steps by state, and what was found of each."""
    by_state: dict[str, list[int]] = {}
    for move in moves:
        by_state.setdefault(move.state, []).append(move.step)
    kept = {move.step: _rows.facts(move.values) | ({"reason": move.reason} if move.reason else {}) for move in moves if move.values or move.reason}
    facts = {str(step): found for step, found in kept.items() if found}
    return {"states": {state: _rows.ranges(steps) for state, steps in by_state.items()}, **({"facts": facts} if facts else {})}


def told_answers(answers: Mapping[int, ledger.Answer]) -> dict[str, object]:
    """Answers of the guard as the audit trail keeps them: what each removal rests on, why others were refused."""
    refused = {str(step): answer.end.reason for step, answer in answers.items() if answer.end}
    rests_on = {
        str(step): [f"{copy.volume}:{names.escape(copy.path)}" for copy in answer.proof.counted]
        for step, answer in answers.items()
        if answer.end is None and answer.proof
    }
    return {"rests_on": rests_on, "refused": refused}


def carry_over(connection: sqlite3.Connection, number: int, job_id: str, moves: Sequence[Move], at_us: int) -> None:
    """What moves mean for other steps: the ones that are undone or purged, and the ledger's entries of places that have their content again. Writes."""
    ledger.release(connection, [(number, move.step) for move in moves if move.values.get("undone_by")])
    published = [move.step for move in moves if move.state == "PUBLISHED"]
    if published:
        ledger.release_published(connection, number, min(published), max(published))
    origins = ledger.origins(connection, number, [move.step for move in moves if move.state in {"CLAIMED", "PURGING", "DONE"} | _LEFT_THERE])
    if not origins:
        return
    (kind,) = connection.execute("SELECT kind FROM jobs WHERE job = ?", (number,)).fetchone()
    for move in moves:
        at = origins.get(move.step)
        if at is None:
            continue
        if move.state == "CLAIMED":
            if kind == "undo" and (other := ledger.rival(connection, number, at)):
                raise RefusedError(f"job {other} is at work on the file of step {move.step}; resume that first")
        elif move.state in _LEFT_THERE:
            if kind == "purge" and states_of(connection, at[0], [at[1]])[at[1]] == "PURGING":
                _move_origin(connection, at, Move(at[1], "QUARANTINED"), at_us)
        elif kind == "undo":
            ledger.release(connection, [at])
            _move_origin(connection, at, Move(at[1], "DONE", values={"undone_by": job_id}), at_us)
        else:
            _move_origin(connection, at, Move(at[1], move.state), at_us)
