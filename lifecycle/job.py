"""Jobs: an approved plan is run, resumed, undone."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from catalog import names, snapshot
from catalog.config import Config
from catalog.errors import NotFoundError, RefusedError
from lifecycle import actions, awaiting, crew, folders, numbering, plan, stores
from lifecycle.chunk import Clock
from lifecycle.crew import Came, Errand
from lifecycle.journal import Journal
from lifecycle.manifest import Step
from lifecycle.plan import Header, Plan, Ranges
from lifecycle.records import Job, JobRow, Kind, Move, Record
from lifecycle.states import BAD_ENDS, LIVE, State

Ending = Literal["done", "waiting", "suspended", "stopped", "interrupted", "outside_hours", "running"]
UNDO_CHUNK_STEPS = 128
_STAYS = {
    "copy": "were copied, and their copies stay",
    "recall": "were recalled, and stay",
    "restore": "were restored, and stay",
    "dedupe": "share blocks, and stay so",
}
_RETRIED_AT_ONCE = 500


@dataclass(frozen=True)
class Progress:
    """How far a job is in this run."""

    steps: int
    steps_wanted: int
    bytes: int
    bytes_wanted: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What came of a run: `done` means that no step is left to do, of whatever kind its end is."""

    job_id: str
    state: Ending
    counts: Mapping[State, int]
    bytes: Mapping[State, int]
    reasons: tuple[str, ...]  # why it went no further
    not_undone: int = 0  # steps of the job that an undo is about which nothing can undo

    @property
    def complete(self) -> bool:
        """Whether every step came to what was intended."""
        return self.state == "done" and not self.not_undone and not any(self.counts.get(state) for state in BAD_ENDS)


Listener = Callable[[Progress], None]


def run(root: Path, config: Config, plan_id: str, *, clock: Clock, actor: str, workers: int = 1, progress: Listener | None = None) -> Outcome:
    """Carry out the approved steps of a plan, or go on with its job. Writes to storages.

    Raises RefusedError where the plan was altered, is not approved, expired or cancelled, a volume was never prepared, or this is not the
    journal's host; NotFoundError where there is no such plan.
    """
    wanted = plan.load(root, plan_id)
    with _opened(root, config, wanted) as journal:
        wanted.refuse_if_ended(journal, clock())
        _make_ready(journal, wanted, config, root, clock(), actor)
        _refuse_other_volumes(journal, wanted.header)
        job = _job_of(wanted, clock(), actor)
        job_id = journal.create_job(job, _approved(wanted, journal, journal.step_ranges(job.job_id)))
    return resume(root, config, job_id, clock=clock, actor=actor, workers=workers, progress=progress)


def resume(
    root: Path,
    config: Config,
    job_id: str,
    *,
    clock: Clock,
    actor: str,
    workers: int = 1,
    progress: Listener | None = None,
    ask_again: bool = False,
) -> Outcome:
    """Go on with a job: what ended so that it may succeed now is tried again, what was under way is looked at on the disk. Writes to storages.

    `ask_again`: what was asked back from an archive of its storage once, and was given up there again, is asked for once more.
    """
    with Journal.open(config, root, create=False) as journal:
        row = journal.job(job_id)
        _refuse_undone(journal, row)
        header = _header(root, row)
        if header is not None:
            _refuse_other_volumes(journal, header)
        if ask_again:
            awaiting.allow(journal, job_id, clock(), actor)
        _try_again(journal, job_id, clock(), actor)
        if row.state != "open":
            journal.finish(job_id, "open", clock(), actor)
        left = journal.job(job_id)
        chunks = len(journal.chunks(job_id))
        fs_ids = {volume: found.get("fs_id") for volume, found in header.volumes.items()} if header else {}
    expires_us = header.expires_us if header else None
    errand = Errand(root, config, job_id, actor, clock, expires_us, max(1, min(workers, chunks)), fs_ids, _digests_version(root, header))
    came = crew.work(errand, _listening(left, progress))
    with Journal.open(config, root, create=False) as journal:
        return _finish(journal, job_id, came, clock(), actor)


def undo(root: Path, config: Config, job_id: str, *, clock: Clock, actor: str, workers: int = 1, progress: Listener | None = None) -> Outcome:
    """Bring back what a job took away: out of quarantine, or, once that was purged, from the copy. Copies that it made stay. Writes to storages.

    What the job had not begun ends; what was under way is settled first. Raises RefusedError for a job that is itself an undo or a purge,
    and for one of which nothing can be undone.
    """
    with Journal.open(config, root, create=False) as journal:
        row = journal.job(job_id)
        if row.kind != "plan":
            raise RefusedError(
                f"job {job_id} is {'an undo' if row.kind == 'undo' else 'a purge'}; undo the job that it is about" + (f", {row.of_job}" if row.of_job else "")
            )
        crew.abandon(Errand(root, config, job_id, actor, clock, None))
        lasting = _lasting(journal, job_id)
        if lasting and set(row.counts) <= {"DONE", *BAD_ENDS} and next(_inverse(journal, job_id), None) is None and not _undos(journal, job_id):
            raise RefusedError(f"job {job_id}: nothing of it can be undone: {'; '.join(lasting)}")
        undo_id = _undo_of(journal, row, clock(), actor)
    came = resume(root, config, undo_id, clock=clock, actor=actor, workers=workers, progress=progress)
    return replace(came, reasons=(*came.reasons, *lasting), not_undone=sum(lasting.values()))


def _refuse_undone(journal: Journal, row: JobRow) -> None:
    """Raises RefusedError for a job that somebody undid: what it has not done is not wanted any more."""
    undone = _undos(journal, row.job_id)
    if undone:
        raise RefusedError(f"job {row.job_id} was undone by job {undone[-1].job_id}; resume that one, or make a new plan")


def _undos(journal: Journal, job_id: str) -> list[JobRow]:
    """The jobs that undo a job, in order."""
    return [one for one in journal.jobs() if one.kind == "undo" and one.of_job == job_id]


def _lasting(journal: Journal, job_id: str) -> dict[str, int]:
    """What no undo of a job brings back, a phrase each, with the number of its steps."""
    found: dict[str, list[Record]] = {}
    for record in journal.records(job_id, {"DONE"}):
        if record.undone_by is None and _brought_back(record) is None:
            why = _purged(record.step) if record.quarantine_fingerprint is not None else _STAYS.get(record.step.action, "stay as they are")
            found.setdefault(why, []).append(record)
    shown = {why: f"{records[0].step.volume}:{names.escape(records[0].step.path)}" for why, records in found.items()}
    return {f"{len(records):,} files {why}; the first is {shown[why]}": len(records) for why, records in found.items()}


def _purged(step: Step) -> str:
    if step.kept_path is not None:
        return "were replaced by an equal file, and purged: what took their place stays"
    return "purged, and the job made no copy of them: restore them from others"


def _undo_of(journal: Journal, row: JobRow, at_us: int, actor: str) -> str:
    """The job that undoes another one: the last if it is under way, or if nothing is left to bring back; else a new one, of all that is."""
    made = _undos(journal, row.job_id)
    if made and (any(made[-1].counts.get(state) for state in LIVE) or next(_inverse(journal, row.job_id), None) is None):
        return made[-1].job_id
    which = f"{row.job_id} {len(made) + 1}" if made else row.job_id
    wanted = Job(_id(f"undo:{which}"), "undo", row.plan_id, f"undo of {which}", "undo", row.policy, at_us, actor, row.job_id)
    return journal.create_job(wanted, _inverse(journal, row.job_id))


def _opened(root: Path, config: Config, wanted: Plan) -> Journal:
    """The journal. Raises RefusedError where there is none: then nothing was prepared or approved."""
    try:
        return Journal.open(config, root, create=False)
    except NotFoundError as error:
        raise RefusedError(f"plan {wanted.id} cannot be carried out: no volume was ever prepared ('lastcopy volume prepare')") from error


def _job_of(wanted: Plan, at_us: int, actor: str) -> Job:
    stages = actions.load(wanted.header.action).STAGES
    kind: Kind = "purge" if "purge" in stages else "plan"
    policy = wanted.header.policy
    approved = {"min_copies": max(policy.min_copies or 1, wanted.header.floor), "max_evidence_age": wanted.header.max_evidence_age}
    kept = policy.model_copy(update=approved)  # the floor that was shown and approved
    return Job(_id(wanted.hash), kind, wanted.id, wanted.hash, wanted.header.action, kept.model_dump_json(), at_us, actor, None)


def _id(seed: str) -> str:
    """The one id of a plan's job: the plan is run by one."""
    return "j" + base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode().lower()[:10]


def _approved(wanted: Plan, journal: Journal, known: Ranges) -> Iterator[Step]:
    """The approved steps that its job has not yet; `known` are those that it has."""
    spans = wanted.approved(journal)
    if wanted.steps_count and not spans:
        raise RefusedError(f"plan {wanted.id} is not approved; 'lastcopy plan approve {wanted.id}' does that, by the hash {wanted.hash[:12]}")
    if _count(spans) == _count(known):
        return  # an approval is never taken back
    for batch in wanted.steps():
        yield from (step for step in batch if _within(spans, step.step) and not _within(known, step.step))


def _count(spans: Ranges) -> int:
    return sum(last - first + 1 for first, last in spans)


def _within(spans: Ranges, step: int) -> bool:
    return any(first <= step <= last for first, last in spans)


def _make_ready(journal: Journal, wanted: Plan, config: Config, root: Path, at_us: int, actor: str) -> None:
    """Find out what a restore's folder can do. Raises RefusedError where a volume that is written to was never prepared, or is declared no more."""
    columns = ["volume", "target_volume"] if actions.load(wanted.header.action).TOUCHES else ["target_volume"]
    batches = pq.ParquetFile(wanted.folder / numbering.STEPS_FILE, pre_buffer=False).iter_batches(columns=columns, use_threads=False)
    needed = {volume for batch in batches for column in columns for volume in batch[column].to_pylist() if volume is not None}
    for volume in sorted(needed):
        if stores.is_folder(volume):
            folders.refuse_unfit(config, root, volume)
            folders.prepare(journal, volume, wanted.header.volumes.get(volume, {}), at_us=at_us, actor=actor)
        elif volume not in config.volumes:
            raise RefusedError(f"plan {wanted.id}: there is no volume {volume!r} any more")
        elif journal.prepared(volume) is None:
            raise RefusedError(f"volume {volume} was never prepared; 'lastcopy volume prepare {volume}' does that")


def _refuse_other_volumes(journal: Journal, header: Header) -> None:
    """Raises RefusedError where a volume was prepared on another storage since the plan was made: what was judged then is not what is there."""
    for volume, was in header.volumes.items():
        prepared = journal.prepared(volume)
        if prepared is not None and was.get("marker") is not None and (prepared.marker, prepared.fs_id) != (was["marker"], was.get("fs_id")):
            told = f"volume {volume} is another storage (marker {prepared.marker}) than when plan {header.plan_id} was made (marker {was['marker']})"
            raise RefusedError(f"{told}; create the plan again, and undo its job where it has one")


def _try_again(journal: Journal, job_id: str, at_us: int, actor: str) -> None:
    again = [Move(record.step.step, "PLANNED") for record in journal.records(job_id, BAD_ENDS) if record.retry]
    for at in range(0, len(again), _RETRIED_AT_ONCE):
        journal.advance(again[at : at + _RETRIED_AT_ONCE], job_id, at_us, actor)


def _header(root: Path, row: JobRow) -> Header | None:
    """What the plan of a job says; None for an undo. Raises RefusedError where the plan was altered, or is gone."""
    if row.kind == "undo":
        return None
    try:
        wanted = plan.load(root, row.plan_id)
    except NotFoundError as error:
        raise RefusedError(f"job {row.job_id}: {error}") from error
    if wanted.hash != row.plan_hash:
        raise RefusedError(f"plan {row.plan_id} is not the one that job {row.job_id} was made of")
    return wanted.header


def _digests_version(root: Path, header: Header | None) -> int:
    """The version of the table of digests that a plan knew; -1 where that is not known any more."""
    try:
        return snapshot.find(root, header.snapshot_id).versions.get("digests", -1) if header else -1
    except NotFoundError:
        return -1


def _inverse(journal: Journal, job_id: str) -> Iterator[Step]:
    """The steps that bring back what a job took away, in the order of the acts; names of one inode stay in one chunk."""
    place, chunk, last, held = 0, 0, -1, 0
    for record in journal.records(job_id):
        step = _brought_back(record)
        if step is None:
            continue
        if record.step.chunk != last or held >= UNDO_CHUNK_STEPS:
            chunk, held, last = chunk + 1, 0, record.step.chunk
        place, held = place + 1, held + 1
        yield replace(step, step=place, chunk=chunk, of_job=job_id, of_step=record.step.step)


def _brought_back(record: Record) -> Step | None:
    """The step that undoes another one; None where nothing was taken away."""
    step = replace(record.step, sha256=record.sha256, reason="undo", evidence=())
    if record.undone_by is not None or record.quarantine_fingerprint is None:
        return None
    if record.state in ("QUARANTINED", "PURGING"):
        return replace(step, action="undo", target_volume=None, target_path=None, link_group=None)
    if record.target_fingerprint is None or step.target_volume is None or step.target_path is None:
        return None  # purged, and this job made no copy: a restore finds another
    return replace(
        step,
        action="recall",
        volume=step.target_volume,
        path=step.target_path,
        fingerprint=record.target_fingerprint._replace(changed_ns=None),
        target_volume=step.volume,
        target_path=step.path,
    )


def _listening(row: JobRow, progress: Listener | None) -> Callable[[int, int], None]:
    wanted, wanted_bytes = (sum(counts.get(state, 0) for state in LIVE) for counts in (row.counts, row.bytes))
    begun, done = time.monotonic(), [0, 0]

    def heard(steps: int, size_bytes: int) -> None:
        done[0], done[1] = done[0] + steps, done[1] + size_bytes
        if progress is not None:
            progress(Progress(done[0], wanted, done[1], wanted_bytes, time.monotonic() - begun))

    return heard


def _finish(journal: Journal, job_id: str, came: Came, at_us: int, actor: str) -> Outcome:
    """Say in the journal how the run ended."""
    row = journal.job(job_id)
    reasons = [came.halt.reason] if came.halt else []
    reasons += [f"{volume}: {why}" for volume, why in came.blocked.items()]
    left = any(row.counts.get(state) for state in LIVE)
    state: Ending = "done"
    if came.halt is not None:
        state = came.halt.state
    elif left:
        state = "running" if came.others else "waiting"
    if state != "running":
        journal.finish(job_id, state, at_us, actor)
    return Outcome(job_id, state, row.counts, row.bytes, tuple(reasons or _resting(journal, job_id, left)))


def _resting(journal: Journal, job_id: str, left: bool) -> Sequence[str]:
    """Why a run that nothing stopped brought not all to what was intended."""
    if left:
        return [f"job {job_id}: steps are left; another engine has them, or their volume is not there"]
    row = journal.job(job_id)
    if not row.counts:
        return [] if row.kind == "undo" else [f"plan {row.plan_id} has no steps, so nothing was done; 'lastcopy plan show {row.plan_id}' says what it left out"]
    if row.kind == "undo":
        return []
    lasting: dict[State, int] = {}
    for record in journal.records(job_id, BAD_ENDS):
        if not record.retry:
            lasting[record.state] = lasting.get(record.state, 0) + 1
    told = ", ".join(f"{steps:,} {state}" for state, steps in sorted(lasting.items()))
    return [f"{told}: not tried again; mend what 'lastcopy job show {job_id}' says of them, then create a new plan"] if told else []
