"""The transaction that lets a copy be taken: clock, holds, retention, rivals and the floor are asked, and the copy is marked, at one instant.

What is marked counts for nobody, until it is released: because the source stayed, was put back, or was published anew.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from catalog.config import Config
from catalog.errors import RefusedError
from lifecycle import guard, holds
from lifecycle.ends import EndError
from lifecycle.records import Retirement
from lifecycle.states import GUARDING, TAKEN, State

CLOCK_TOLERANCE_US = 120 * 1_000_000  # a caller's time may be as old as its wait for the journal
_AT_ONCE = 500  # values of one query
_Place = tuple[int, int]  # job, step
_MAY_RETIRE: frozenset[State] = frozenset[State]({"CLAIMED", "PUBLISHED"}) | GUARDING | TAKEN


class Answer(NamedTuple):
    """What became of a wish: the end that it means (None = the copy may be taken), and the proof where the floor was asked."""

    end: EndError | None
    proof: guard.Verdict | None

    @property
    def enters(self) -> bool:
        """Whether a copy goes: it counts for nobody from now on."""
        return self.end is None and self.proof is not None


class _Entry(NamedTuple):
    """A copy in the ledger."""

    origin: _Place
    volume: str
    path: bytes
    state: State


@dataclass(frozen=True)
class _Asked:
    """What all wishes of one transaction are judged by."""

    connection: sqlite3.Connection
    config: Config
    holds: holds.Holds
    roots: Mapping[str, bytes | None]
    mirrors: Mapping[str, frozenset[str]]
    entries: dict[bytes, list[_Entry]]  # by content; what is allowed is added
    at_us: int
    followers: dict[frozenset[str], frozenset[str]] = field(default_factory=dict)  # by the volumes that they follow, as they were found


def retire(
    connection: sqlite3.Connection, config: Config, job: int, states: Mapping[int, State], requests: Sequence[Retirement], at_us: int
) -> dict[int, Answer]:
    """Ask for each wish in order, and enter what is allowed into the ledger, within the caller's transaction. Writes."""
    wrong = [request.step for request in requests if states.get(request.step) not in _MAY_RETIRE]
    if wrong:
        raise RefusedError(f"step {wrong[0]} is {states.get(wrong[0], 'not of this job')}: nothing can be taken away in that state")
    late, standing = clock(connection, at_us), holds.read(connection, config)
    own = origins(connection, job, [request.step for request in requests])
    asked = _Asked(
        connection, config, standing, holds.roots(config), guard.mirrors(config), _entries(connection, {request.sha256 for request in requests}), at_us
    )
    answers = {}
    for request in requests:
        at = (job, request.step)
        answers[request.step] = late or _ask(asked, at, own.get(request.step, at), states[request.step], request)
    entered = [
        (*own.get(request.step, (job, request.step)), request.sha256, request.volume, request.path) for request in requests if answers[request.step].enters
    ]
    connection.executemany("INSERT OR REPLACE INTO ledger (job, step, sha256, volume, path) VALUES (?, ?, ?, ?, ?)", entered)
    return answers


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


def release_published(connection: sqlite3.Connection, job: int, first: int, last: int) -> None:
    """Let places count again that were removed for good, and to which steps of a range have brought the content back. Writes."""
    rows = connection.execute(
        """
        SELECT ledger.job, ledger.step
        FROM steps
        INNER JOIN progress ON progress.job = steps.job AND progress.step = steps.step
        INNER JOIN ledger ON ledger.sha256 = coalesce(progress.sha256, steps.sha256)
        INNER JOIN progress AS removed ON removed.job = ledger.job AND removed.step = ledger.step
        WHERE
            steps.job = ?
            AND steps.step BETWEEN ? AND ?
            AND progress.state = 'PUBLISHED'
            AND ledger.volume = steps.target_volume
            AND ledger.path = steps.target_path
            AND removed.state = 'DONE'
        """,
        (job, first, last),
    ).fetchall()
    release(connection, rows)


def places(connection: sqlite3.Connection, sha256: bytes) -> list[tuple[str, bytes]]:
    """The volumes and paths that hold the ledger's copies of a content."""
    return connection.execute("SELECT volume, path FROM ledger WHERE sha256 = ?", (sha256,)).fetchall()


def origins(connection: sqlite3.Connection, job: int, steps: Sequence[int]) -> dict[int, tuple[int, int]]:
    """The (job, step) that each of these steps purges or undoes; those that are about themselves are left out."""
    if not steps:
        return {}
    wanted = set(steps)
    rows = connection.execute(
        """
        SELECT steps.step, jobs.job, steps.of_step
        FROM steps INNER JOIN jobs ON jobs.job_id = steps.of_job
        WHERE steps.job = ? AND steps.step BETWEEN ? AND ? AND steps.of_job IS NOT NULL
        """,
        (job, min(wanted), max(wanted)),
    )
    return {step: (of_job, of_step) for step, of_job, of_step in rows if step in wanted}


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


def _ask(asked: _Asked, at: _Place, own: _Place, state: State, request: Retirement) -> Answer:
    """`own` is the step by which the copy is in the ledger: `at` itself, or the one whose quarantine `at` purges."""
    known = asked.entries.setdefault(request.sha256, [])
    others = [entry for entry in known if entry.origin != own]
    refusal = _held(asked, request, others) or _rivalry(asked.connection, at, own, request, others)
    if refusal:
        return _refused(refusal)
    if request.stays:
        return Answer(None, None)
    if request.sha256 == guard.EMPTY:
        return _refused("it is empty: no copy can be told from any other empty file")
    proof = guard.allowed(request.floor, request.copies, _gone(asked, request, others))
    if not proof.allowed:
        return Answer(EndError("REFUSED", f"the floor: {proof.reason}", retry=True), proof)
    known[:] = [*others, _Entry(own, request.volume, request.path, state if own == at else "QUARANTINED")]  # what follows sees it going
    return Answer(None, proof)


def _rivalry(connection: sqlite3.Connection, at: tuple[int, int], own: tuple[int, int], request: Retirement, others: list[_Entry]) -> str | None:
    """Whether another step is at work on the same copy, or the quarantined file is not there to be purged."""
    if any((entry.volume, entry.path) == (request.volume, request.path) and entry.state in GUARDING for entry in others):
        return "another step is taking the same copy away"
    if own == at:
        return None
    found = connection.execute("SELECT state FROM progress WHERE job = ? AND step = ?", own).fetchone()
    if found is None or found[0] not in TAKEN:
        return f"its file is not in quarantine: that step is {found[0] if found else 'not in the journal'}"
    job_id = rival(connection, at[0], own)
    return f"job {job_id} is at work on the same file" if job_id else None


def _held(asked: _Asked, request: Retirement, others: list[_Entry]) -> str | None:
    """By a hold on the file itself, or on the place that its content was taken from."""
    places = [(request.volume, request.path), *((entry.volume, entry.path) for entry in others)]
    return next((why for volume, path in places if (why := asked.holds.blocking(request.sha256, volume, path, request.owner, asked.at_us))), None)


def _gone(asked: _Asked, request: Retirement, others: list[_Entry]) -> guard.Gone:
    ledger = frozenset((entry.volume, entry.path) for entry in others)
    ledger |= _by_other_names(asked.roots, request, ledger)
    taken_from = frozenset((request.volume, *(volume for volume, _ in ledger)))
    if taken_from not in asked.followers:
        asked.followers[taken_from] = guard.followers(asked.config, taken_from)
    return guard.Gone(request.volume, request.path, request.systems, request.devices, asked.followers[taken_from], ledger, asked.mirrors)


def _by_other_names(roots: Mapping[str, bytes | None], request: Retirement, ledger: frozenset[guard.Place]) -> frozenset[guard.Place]:
    """The copies of a wish that are the very places of the ledger, or the one to be taken, as another volume shows them."""
    gone = {holds.lies_at(roots, *place) for place in (*ledger, (request.volume, request.path))} - {None}
    return frozenset((copy.volume, copy.path) for copy in request.copies if holds.lies_at(roots, copy.volume, copy.path) in gone)


def _entries(connection: sqlite3.Connection, sha256s: Collection[bytes]) -> dict[bytes, list[_Entry]]:
    """The ledger's copies of contents."""
    found: dict[bytes, list[_Entry]] = {}
    wanted = list(sha256s)
    for at in range(0, len(wanted), _AT_ONCE):
        part = wanted[at : at + _AT_ONCE]
        rows = connection.execute(
            f"""
            SELECT ledger.sha256, ledger.job, ledger.step, ledger.volume, ledger.path, progress.state
            FROM ledger INNER JOIN progress ON progress.job = ledger.job AND progress.step = ledger.step
            WHERE ledger.sha256 IN ({", ".join("?" * len(part))})
            """,
            part,
        )
        for sha256, job, step, volume, path, state in rows:
            found.setdefault(sha256, []).append(_Entry((job, step), volume, path, state))
    return found


def _refused(why: str) -> Answer:
    return Answer(EndError("REFUSED", why, retry=True), None)
