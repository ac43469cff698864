"""The journal: what is intended, how far each step came, and which copies count for nobody. SQLite, one per catalog, on one host.

Every method that writes is one durable transaction with one event in the audit trail; see docs/lifecycle.md for the states and `lifecycle.audit`
for the chain. All times are given by the caller, as microseconds since 1970 UTC.
"""

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from catalog.config import Config
from catalog.errors import LastcopyError, NotFoundError, RefusedError
from lifecycle import _rows, audit, database, folder_times, intents, ledger, moving, renewal, resting, takings, witness
from lifecycle import holds as holding
from lifecycle.ends import EndError
from lifecycle.manifest import Step
from lifecycle.records import Approval, Counted, Job, JobRow, Move, PreparedVolume, Record, Retirement
from lifecycle.states import GUARDING, TAKEN, State
from lifecycle.stores import Capabilities

__all__ = ["Approval", "Counted", "Job", "JobRow", "Journal", "Move", "PreparedVolume", "Record", "Retirement"]

_AT_ONCE = 500  # values of one query
_MOST_CHUNKS = 1 << 31  # of a job


class Journal:
    """The open journal of a catalog. Safe for several processes, each with its own, and for several threads of one."""

    def __init__(self, found: database.Database, config: Config, journal_id: str, root: Path | None = None) -> None:
        self._database = found
        self._config = config
        self._numbers: dict[str, int] = {}
        self.id = journal_id
        self._root = root
        self._wrote = False
        self._lacks: str | None = None  # why it may have forgotten something: then it is only read
        self.folder = found.folder

    @classmethod
    def open(cls, config: Config, root: Path, *, create: bool) -> Self:
        """The journal of the catalog in folder `root`; `create` makes it where there is none.

        Raises NotFoundError where there is none; RefusedError on another host, a network file system, for another id, another file than the one
        that was made, or another version.
        """
        if create:
            database.make(config, root)
        journal_id, found = database.open_existing(config, root)
        journal = cls(found, config, journal_id, root)
        with found.reading() as connection:
            journal._lacks = witness.lacking(connection, root, journal_id)
        return journal

    @classmethod
    def renew(cls, config: Config, root: Path, *, at_us: int, actor: str, why: str) -> Self:
        """A new journal in the place of one that is lost or damaged: what is left of that is put aside, and of it only the holds are kept.

        Raises LockedError while it is in use.
        """
        renewal.renew(config, root, at_us=at_us, actor=actor, why=why)
        return cls.open(config, root, create=False)

    def close(self) -> None:
        """Let go of the journal; what it last held is remembered as seen."""
        if self._wrote and self._root is not None:
            with suppress(LastcopyError), self._database.reading() as connection:  # a busy one is remembered by the next who writes
                witness.remember(connection, self._root, self.id)
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # Volumes and plans

    def remember_volume(self, prepared: PreparedVolume, actor: str) -> None:
        """Keep what `prepare` found of a volume. Writes."""
        self._note(prepared.prepared_us, actor, "volume_prepared", prepared.volume, asdict(prepared))

    def prepared(self, volume: str) -> PreparedVolume | None:
        """What the newest `prepare` of a volume found, None if it was never prepared."""
        found = self.events(volume, kinds=("volume_prepared",))
        if not found:
            return None
        detail = dict(found[-1].detail)
        return PreparedVolume(**{**detail, "capabilities": Capabilities(**detail["capabilities"])})

    def approve(self, plan_id: str, plan_hash: str, actor: str, at_us: int, steps: tuple[tuple[int, int], ...] | None) -> None:
        """Keep that somebody agreed to a plan, or to ranges of its steps. Raises RefusedError for a plan that was cancelled. Writes."""
        with self._database.writing() as connection:
            if next(audit.events(connection, plan_id, kinds=("plan_cancelled",)), None):
                raise RefusedError(f"plan {plan_id} was cancelled")
            detail = {"plan_hash": plan_hash, "steps": None if steps is None else [list(pair) for pair in steps]}
            self._append(connection, at_us, actor, "plan_approved", plan_id, detail)

    def approvals(self, plan_id: str) -> list[Approval]:
        """Who agreed to a plan, in order."""
        return [_approval(event) for event in self.events(plan_id, kinds=("plan_approved",))]

    def cancel(self, plan_id: str, actor: str, at_us: int, why: str) -> None:
        """Keep that a plan is not to be carried out. Raises RefusedError once it has a job. Writes."""
        with self._database.writing() as connection:
            found = connection.execute("SELECT job_id FROM jobs WHERE plan_id = ? AND kind <> 'undo'", (plan_id,)).fetchone()
            if found:
                raise RefusedError(f"plan {plan_id} has a job, {found[0]}; undo that instead")
            self._append(connection, at_us, actor, "plan_cancelled", plan_id, {"why": why})

    def cancelled(self, plan_id: str) -> bool:
        """Whether a plan was cancelled."""
        return bool(self.events(plan_id, kinds=("plan_cancelled",)))

    # Jobs

    def create_job(self, job: Job, steps: Iterable[Step]) -> str:
        """Make a job of a plan's steps, or give the job that the plan has those that it has not yet; gives its id. Writes.

        Raises RefusedError where the plan was cancelled, or its job was undone and would get more steps.
        """
        with self._database.writing() as connection:
            found = connection.execute("SELECT job, job_id FROM jobs WHERE kind = ? AND plan_hash = ?", (job.kind, job.plan_hash)).fetchone()
            if found:
                self._add_steps(connection, found[0], replace(job, job_id=found[1]), steps)
                return str(found[1])
            if connection.execute("SELECT 1 FROM jobs WHERE job_id = ?", (job.job_id,)).fetchone():
                raise RefusedError(f"there is a job {job.job_id} of another plan")
            if job.kind == "plan" and next(audit.events(connection, job.plan_id, kinds=("plan_cancelled",)), None):
                raise RefusedError(f"plan {job.plan_id} was cancelled")
            columns = ", ".join(asdict(job))
            number = connection.execute(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", tuple(asdict(job).values())).lastrowid
            count = intents.write(connection, int(number or 0), job.created_us, steps)
            told = {"kind": job.kind, "plan": job.plan_id, "plan_hash": job.plan_hash, "action": job.action, "of_job": job.of_job, "steps": count}
            self._append(connection, job.created_us, job.actor, "job_created", job.job_id, told)
        return job.job_id

    def step_ranges(self, job_id: str) -> tuple[tuple[int, int], ...]:
        """The steps that a job has, as ranges of their numbers; none where there is no such job."""
        with self._database.reading() as connection:
            return intents.ranges(connection, job_id)

    def jobs(self) -> list[JobRow]:
        """Every job, oldest first."""
        with self._database.reading() as connection:
            return _job_rows(connection, "")

    def job(self, job_id: str) -> JobRow:
        """One job with its counts and bytes by state. Raises NotFoundError."""
        with self._database.reading() as connection:
            found = _job_rows(connection, "WHERE job_id = ?", job_id)
        if not found:
            raise NotFoundError(f"there is no job {job_id!r}; 'lastcopy job list' shows them")
        return found[0]

    def resting(self, job_id: str) -> resting.Resting | None:
        """What of a job rests in quarantine; None = nothing."""
        with self._database.reading() as connection:
            return resting.of(connection, job_id)

    def finish(self, job_id: str, state: str, at_us: int, actor: str) -> None:
        """Say in one word how a run of a job ended: done, waiting, suspended. Writes."""
        number = self._number(job_id)
        with self._database.writing() as connection:
            connection.execute("UPDATE jobs SET state = ?, finished_us = ? WHERE job = ?", (state, at_us, number))
            counts = dict(connection.execute("SELECT state, steps FROM counts WHERE job = ? AND steps > 0", (number,)).fetchall())
            self._append(connection, at_us, actor, "job_finished", job_id, {"state": state, "counts": counts})

    def chunks(self, job_id: str) -> list[int]:
        """The chunks that have a step which is neither ended nor resting."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT chunk FROM chunks WHERE job = ? AND live > 0 ORDER BY chunk", (self._number(job_id),)).fetchall()
        return [chunk for (chunk,) in rows]

    def steps(self, job_id: str, chunk: int) -> list[Record]:
        """The steps of a chunk, in the order of the acts."""
        with self._database.reading() as connection:
            query = _rows.RECORD.replace("FROM progress", "FROM progress INDEXED BY progress_of_chunk")
            rows = connection.execute(f"{query} WHERE progress.job = ? AND progress.chunk = ? ORDER BY progress.step", (self._number(job_id), chunk)).fetchall()
        return [_rows.record(row) for row in rows]

    def records(self, job_id: str, states: Collection[State] | None = None) -> Iterator[Record]:
        """The steps of a job, all or those in some states, by number; read in batches, each of one instant."""
        number, after = self._number(job_id), 0
        if states is not None and not any(self.job(job_id).counts.get(state) for state in states):
            return
        wanted = "" if states is None else f"AND progress.state IN ({', '.join('?' * len(states))})"
        while True:
            with self._database.reading() as connection:
                given = (number, after, *(sorted(states) if states is not None else ()), _AT_ONCE)
                rows = connection.execute(
                    f"{_rows.RECORD} WHERE progress.job = ? AND progress.step > ? {wanted} ORDER BY progress.step LIMIT ?", given
                ).fetchall()
            yield from map(_rows.record, rows)
            if len(rows) < _AT_ONCE:
                return
            after = rows[-1][0]

    def record(self, job_id: str, step: int) -> Record:
        """One step. Raises NotFoundError."""
        with self._database.reading() as connection:
            row = connection.execute(f"{_rows.RECORD} WHERE progress.job = ? AND progress.step = ?", (self._number(job_id), step)).fetchone()
        if row is None:
            raise NotFoundError(f"job {job_id} has no step {step}")
        return _rows.record(row)

    def taken_since(self, volume: str, since_us: int) -> int:
        """How many names of a volume jobs took away since a time; see `takings`."""
        with self._database.reading() as connection:
            return takings.names(connection, volume, since_us)

    def volumes_of(self, job_id: str) -> list[str]:
        """The volumes on which a job did something."""
        with self._database.reading() as connection:
            return takings.volumes(connection, job_id)

    def state(self, job_id: str) -> str:
        """The word that the last run of a job ended with; 'open' before."""
        with self._database.reading() as connection:
            (state,) = connection.execute("SELECT state FROM jobs WHERE job = ?", (self._number(job_id),)).fetchone()
        return str(state)

    @contextmanager
    def claim(self, job_id: str, chunk: int) -> Iterator[bool]:
        """Hold a chunk until the block ends or the process dies; False where another engine holds it. Read its steps again under it.

        Raises RefusedError where the journal may have forgotten something.
        """
        if self._lacks:
            raise RefusedError(self._lacks)
        descriptor = database.claim(self.folder, self._number(job_id) * _MOST_CHUNKS + chunk + 1)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    # Moves

    def advance(self, moves: Sequence[Move], job_id: str, at_us: int, actor: str, folders: Sequence[folder_times.Left] = ()) -> None:
        """Move steps to their next states, all of them or none, and keep what is told of folders.

        Raises RefusedError for a move that is not drawn in docs/lifecycle.md. Writes.
        """
        if not moves:
            return
        number = self._number(job_id)
        with self._database.writing() as connection:
            before = moving.before(connection, number, moves)
            moving.check(connection, number, job_id, moves, before)
            moving.write(connection, number, moves, at_us, before)
            moving.carry_over(connection, number, job_id, moves, at_us)
            self._append(connection, at_us, actor, "steps_moved", job_id, moving.told(moves))
            if folders:
                self._append(connection, at_us, actor, folder_times.KIND, job_id, folder_times.told(folders))

    def retire(self, requests: Sequence[Retirement], job_id: str, at_us: int, actor: str) -> dict[int, EndError | None]:
        """Ask whether copies may be taken away, and mark those that may: RETIRING, and in the ledger. None = allowed. Writes.

        One transaction over clock, holds, retention, the ledger and the floor. What is in quarantine already keeps its state.
        """
        number = self._number(job_id)
        with self._database.writing() as connection:
            states = moving.states_of(connection, number, [request.step for request in requests])
            answers = ledger.retire(connection, self._config, number, states, requests, at_us)
            moves = [Move(step, "RETIRING") for step, answer in answers.items() if answer.end is None and states[step] not in TAKEN]
            moving.write(connection, number, moves, at_us, moving.before(connection, number, moves))
            self._append(connection, at_us, actor, "guard_asked", job_id, moving.told_answers(answers))
        return {step: answer.end for step, answer in answers.items()}

    def unretire(self, job_id: str, steps: Sequence[int], at_us: int, actor: str, reason: str) -> None:
        """Let copies count again whose sources were looked at and are there; from RETIRING and GUARDED they go back to where they were.

        Raises RefusedError for a step whose source is in quarantine or gone. Writes.
        """
        number = self._number(job_id)
        with self._database.writing() as connection:
            states = moving.states_of(connection, number, steps)
            taken = [step for step in steps if step not in states or states[step] in TAKEN | {"DONE"}]
            if taken:
                raise RefusedError(f"job {job_id}: step {taken[0]} is {states.get(taken[0], 'not there')}: its source may be gone")
            ledger.release(connection, [(number, step) for step in steps])
            moves = [Move(step, moving.before_guard(connection, number, step)) for step in steps if states[step] in GUARDING]
            moving.write(connection, number, moves, at_us, moving.before(connection, number, moves))
            self._append(connection, at_us, actor, "steps_unretired", job_id, {"steps": _rows.ranges(list(steps)), "reason": reason})

    def note_files(self, kind: str, job_id: str, steps: Sequence[int], at_us: int, actor: str) -> None:
        """Note what is asked back from an archive of its storage, or was not after all, or may be again; see `awaiting`. Writes."""
        self._note(at_us, actor, kind, job_id, {"steps": _rows.ranges(list(steps))})

    # Holds and the audit trail

    def holds(self) -> holding.Holds:
        """Every hold and retention, to be asked for many files."""
        with self._database.reading() as connection:
            return holding.read(connection, self._config)

    def taken_from(self, sha256: bytes) -> list[tuple[str, bytes]]:
        """The volumes and paths from which a content was taken, or is being taken now."""
        with self._database.reading() as connection:
            return ledger.places(connection, sha256)

    def place_hold(self, scope: holding.Scope, *, reason: str, until_us: int | None, at_us: int, actor: str) -> holding.Hold:
        """Place a hold, or with a date a retention. Writes."""
        with self._database.writing() as connection:
            found = holding.place(connection, self._config, scope, reason=reason, until_us=until_us, at_us=at_us, actor=actor)
            self._saw(connection, at_us)
        return found

    def release_hold(self, number: int, *, reason: str, at_us: int, actor: str) -> holding.Hold:
        """End a hold that another person placed. Writes."""
        with self._database.writing() as connection:
            found = holding.release(connection, number, reason=reason, at_us=at_us, actor=actor)
            self._saw(connection, at_us)
        return found

    def trust_clock(self, at_us: int, actor: str, why: str) -> None:
        """Say that the clock is right now, after it once stood ahead: removals go on. Writes."""
        with self._database.writing() as connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'latest_us'", (str(at_us),))
            self._append(connection, at_us, actor, "clock_trusted", self.id, {"why": why})

    def events(self, subject: str | None = None, since_us: int | None = None, kinds: tuple[str, ...] = (), last: int | None = None) -> list[audit.Event]:
        """The audit trail: of a subject, since a time, of some kinds, only the `last` of these."""
        with self._database.reading() as connection:
            return list(audit.events(connection, subject, since_us, kinds, last))

    def head(self) -> bytes:
        """The hash of the last event."""
        with self._database.reading() as connection:
            return audit.head(connection)

    def verify(self, against: bytes | None = None) -> audit.Verdict:
        """The whole chain computed anew, against a head that was written down, and against what was last seen. Only reads."""
        with self._database.reading() as connection:
            found = audit.verify(connection, against)
        return replace(found, bad_seq=found.events + 1, wrong=self._lacks) if self._lacks and found.bad_seq is None else found

    def _note(self, at_us: int, actor: str, kind: str, subject: str, detail: Mapping[str, Any]) -> None:
        with self._database.writing() as connection:
            self._append(connection, at_us, actor, kind, subject, detail)

    def _append(self, connection: sqlite3.Connection, at_us: int, actor: str, kind: str, subject: str, detail: Mapping[str, Any]) -> None:
        audit.append(connection, at_us, actor, kind, subject, detail)
        self._saw(connection, at_us)

    def _saw(self, connection: sqlite3.Connection, at_us: int) -> None:
        """Keep the latest time that was ever seen: a clock before it refuses removals. Raises RefusedError where the journal may have forgotten something."""
        if self._lacks:
            raise RefusedError(self._lacks)
        self._wrote = True
        connection.execute("UPDATE meta SET value = ? WHERE key = 'latest_us' AND CAST(value AS INTEGER) < ?", (str(at_us), at_us))

    def _add_steps(self, connection: sqlite3.Connection, number: int, job: Job, steps: Iterable[Step]) -> None:
        """Give a job what was approved since it was made. An undo is of one instant: it gets nothing more."""
        added = intents.write(connection, number, job.created_us, steps) if job.kind != "undo" else 0
        if not added:
            return
        if undone := connection.execute("SELECT job_id FROM jobs WHERE kind = 'undo' AND of_job = ?", (job.job_id,)).fetchone():
            raise RefusedError(f"job {job.job_id} was undone by job {undone[0]}: it gets no more steps; make a new plan")
        self._append(connection, job.created_us, job.actor, "steps_added", job.job_id, {"steps": added})

    def _number(self, job_id: str) -> int:
        if job_id not in self._numbers:
            with self._database.reading() as connection:
                found = connection.execute("SELECT job FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
            if found is None:
                raise NotFoundError(f"there is no job {job_id!r}; 'lastcopy job list' shows them")
            self._numbers[job_id] = found[0]
        return self._numbers[job_id]


def _approval(event: audit.Event) -> Approval:
    steps = event.detail["steps"]
    return Approval(
        event.subject, event.detail["plan_hash"], event.actor, event.at_us, None if steps is None else tuple((first, last) for first, last in steps)
    )


def _job_rows(connection: sqlite3.Connection, where: str, *given: object) -> list[JobRow]:
    columns = ("job_id", "kind", "plan_id", "plan_hash", "action", "policy", "created_us", "actor", "of_job", "state", "finished_us")
    found = connection.execute(f"SELECT job, {', '.join(columns)} FROM jobs {where} ORDER BY job", given).fetchall()
    rows = []
    for number, *values in found:
        counted = connection.execute("SELECT state, steps, bytes FROM counts WHERE job = ? AND steps > 0", (number,)).fetchall()
        counts, sizes = ({state: row[at] for state, *row in counted} for at in (0, 1))
        rows.append(JobRow(**dict(zip(columns, values, strict=True)), counts=counts, bytes=sizes))
    return rows
