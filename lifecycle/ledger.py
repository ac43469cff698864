"""The transaction that lets a copy be taken: clock, holds, retention, rivals and the floor are asked, and the copy is marked, at one instant.

What is marked counts for nobody, until it is released: because the source stayed, was put back, or was published anew.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catalog.config import Config
from catalog.errors import RefusedError
from lifecycle import guard, holds
from lifecycle.ends import EndError
from lifecycle.records import Retirement
from lifecycle.states import GUARDING, TAKEN, State

CLOCK_TOLERANCE_US = 120 * 1_000_000  # a caller's time may be as old as its wait for the journal
_MAY_RETIRE: frozenset[State] = frozenset[State]({"CLAIMED", "PUBLISHED"}) | GUARDING | TAKEN


@dataclass(frozen=True)
class Answer:
    """What became of a wish: the end that it means (None = the copy may be taken), the proof, and whether the step is to be moved to RETIRING."""

    end: EndError | None
    proof: guard.Verdict | None
    moves: bool


@dataclass(frozen=True)
class _Entry:
    """A copy in the ledger."""

    origin: tuple[int, int]  # job, step
    volume: str
    path: bytes
    state: State


def retire(connection: sqlite3.Connection, config: Config, job: int, states: dict[int, State], requests: Sequence[Retirement], at_us: int) -> dict[int, Answer]:
    """Ask for each wish in order, and enter what is allowed into the ledger, within the caller's transaction. Writes."""
    wrong = [request.step for request in requests if states.get(request.step) not in _MAY_RETIRE]
    if wrong:
        raise RefusedError(f"step {wrong[0]} is {states.get(wrong[0], 'not of this job')}: nothing can be taken away in that state")
    late, standing = clock(connection, at_us), holds.read(connection)
    return {request.step: late or _ask(connection, config, standing, (job, request.step), states[request.step], request, at_us) for request in requests}


def clock(connection: sqlite3.Connection, at_us: int) -> Answer | None:
    """A refusal if the clock stands before what the journal has seen."""
    (latest,) = connection.execute("SELECT value FROM meta WHERE key = 'latest_us'").fetchone()
    if at_us >= int(latest) - CLOCK_TOLERANCE_US:
        return None
    behind = (int(latest) - at_us) // 1_000_000
    return _refused(f"the clock stands {behind} s before the last audit event: set it right, or say with 'lastcopy audit clock' that it is")


def release(connection: sqlite3.Connection, entries: Iterable[tuple[int, int]]) -> None:
    """Let the copies of these (job, step) count again: their sources were looked at and are there. Writes."""
    connection.executemany("DELETE FROM ledger WHERE job = ? AND step = ?", entries)


def release_published(connection: sqlite3.Connection, sha256: bytes, volume: str, path: bytes) -> None:
    """Let a place count again that was removed for good, and to which a job has brought the content back. Writes."""
    gone = [entry.origin for entry in _entries(connection, sha256) if entry.state == "DONE" and (entry.volume, entry.path) == (volume, path)]
    release(connection, gone)


def origin(connection: sqlite3.Connection, job: int, step: int) -> tuple[int, int]:
    """The (job, step) that a step purges or undoes; else itself."""
    found = connection.execute(
        "SELECT jobs.job, steps.of_step FROM steps INNER JOIN jobs ON jobs.job_id = steps.of_job WHERE steps.job = ? AND steps.step = ?", (job, step)
    ).fetchone()
    return (found[0], found[1]) if found else (job, step)


def rival(connection: sqlite3.Connection, job: int, of: tuple[int, int]) -> str | None:
    """The job whose undo or purge of the same step is under way, None if there is none."""
    found = connection.execute(
        """
        SELECT jobs.job_id
        FROM steps
        INNER JOIN progress ON progress.job = steps.job AND progress.step = steps.step
        INNER JOIN jobs ON jobs.job = steps.job
        WHERE
            steps.of_job = (SELECT job_id FROM jobs WHERE job = ?)
            AND steps.of_step = ?
            AND steps.job <> ?
            AND (
                progress.state IN ('RETIRING', 'GUARDED', 'PURGING')
                OR (jobs.kind = 'undo' AND progress.state IN ('CLAIMED', 'COPYING', 'VERIFIED', 'PUBLISHED'))
            )
        """,
        (*of, job),
    ).fetchone()
    return found[0] if found else None


def _ask(connection: sqlite3.Connection, config: Config, standing: holds.Holds, at: tuple[int, int], state: State, request: Retirement, at_us: int) -> Answer:
    own = origin(connection, *at)
    others = [entry for entry in _entries(connection, request.sha256) if entry.origin != own]
    held = _held(standing, request, others, at_us)
    if held:
        return _refused(held)
    if any((entry.volume, entry.path) == (request.volume, request.path) and entry.state in GUARDING for entry in others):
        return _refused("another step is taking the same copy away")
    if own != at and (job_id := rival(connection, at[0], own)):
        return _refused(f"job {job_id} is at work on the same file")
    if request.sha256 == guard.EMPTY:
        return _refused("it is empty: no copy can be told from any other empty file")
    proof = guard.allowed(request.floor, request.copies, _gone(config, request, others))
    if not proof.allowed:
        return Answer(EndError("REFUSED", f"the floor: {proof.reason}", retry=True), proof, moves=False)
    connection.execute(
        "INSERT OR REPLACE INTO ledger (job, step, sha256, volume, path) VALUES (?, ?, ?, ?, ?)", (*own, request.sha256, request.volume, request.path)
    )
    return Answer(None, proof, moves=state not in TAKEN)


def _held(standing: holds.Holds, request: Retirement, others: list[_Entry], at_us: int) -> str | None:
    """By a hold on the file itself, or on the place that its content was taken from."""
    places = [(request.volume, request.path), *((entry.volume, entry.path) for entry in others)]
    return next((why for volume, path in places if (why := standing.blocking(request.sha256, volume, path, request.owner, at_us))), None)


def _gone(config: Config, request: Retirement, others: list[_Entry]) -> guard.Gone:
    ledger = frozenset((entry.volume, entry.path) for entry in others)
    lost_with = guard.followers(config, {request.volume, *(volume for volume, _ in ledger)})
    return guard.Gone(request.volume, request.path, request.systems, request.devices, lost_with, ledger)


def _entries(connection: sqlite3.Connection, sha256: bytes) -> list[_Entry]:
    rows = connection.execute(
        """
        SELECT ledger.job, ledger.step, ledger.volume, ledger.path, progress.state
        FROM ledger INNER JOIN progress ON progress.job = ledger.job AND progress.step = ledger.step
        WHERE ledger.sha256 = ?
        """,
        (sha256,),
    )
    return [_Entry((job, step), volume, path, state) for job, step, volume, path, state in rows]


def _refused(why: str) -> Answer:
    return Answer(EndError("REFUSED", why, retry=True), None, moves=False)
