"""The engine: takes the chunks of a job one by one, and each chunk through the stages of its action."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence

from catalog.errors import LockedError, UnreachableError
from lifecycle import actions, copying, purging, recovery, retiring, sharing
from lifecycle.chunk import Run, Work
from lifecycle.ends import EndError
from lifecycle.pace import Halt
from lifecycle.records import Record
from lifecycle.states import ENDS, RESTING

Stage = Callable[[Run, Sequence[Work]], None]

# In the order of a chunk; an action names those that it has.
STAGES: Mapping[str, Stage] = {
    "open": copying.open_sources,
    "copy": copying.copy,
    "verify": copying.verify,
    "publish": copying.publish,
    "share": sharing.share,
    "guard": retiring.guard,
    "check": retiring.check,
    "retire": retiring.retire,
    "purge": purging.purge,
    "put_back": retiring.put_back,
}
_OWN = {"undo": ("put_back",)}  # steps that no policy can ask for
REMOVING = frozenset({"share", "guard", "retire", "purge", "put_back"})
_FEWEST_FOR_ANOMALY = 20
_OTHERS_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 0.05


@functools.cache
def stages_of(action: str) -> tuple[str, ...]:
    """The stages that the steps of an action go through. Raises NotFoundError."""
    return _OWN.get(action) or actions.load(action).STAGES


def work_off(run: Run, place: int = 0, of: int = 1, *, wait: bool = True) -> bool:
    """Carry out every chunk that no other engine has; gives whether others still had some at the end. Raises Halt.

    `place` of `of` engines that begin at once: each begins elsewhere. What another engine held is taken up if that engine dies soon.
    """
    done: set[int] = set()
    patience = time.monotonic() + (_OTHERS_SECONDS if wait else 0)
    while True:
        chunks = [chunk for chunk in run.journal.chunks(run.job_id) if chunk not in done]
        start = len(chunks) * place // of
        before = len(done)
        for chunk in chunks[start:] + chunks[:start]:
            _may_go_on(run)
            with run.journal.claim(run.job_id, chunk) as mine:
                if mine:
                    done.add(chunk)
                    carry_out(run, run.journal.steps(run.job_id, chunk))
        if not chunks or (len(done) == before and time.monotonic() >= patience):
            return bool(chunks)
        if len(done) == before:
            run.pace.nap(_LOOK_AGAIN_SECONDS)


def carry_out(run: Run, records: Sequence[Record]) -> None:
    """Take the steps of one claimed chunk as far as they go. Writes to storages and the journal. Raises Halt between stages; resuming is safe then."""
    works = recovery.enter(run, records, stages_of)
    try:
        _claim(run, works)
        for name, stage in STAGES.items():
            members = [work for work in works if work.live and name in work.stages]
            if members:
                if name in REMOVING:
                    _no_anomaly(run, len(members))
                run.pace.check()
                stage(run, members)
        run.advance([work for work in works if not work.stages or (work.state == "PUBLISHED" and "retire" not in work.stages)], "DONE")
        run.advance([work for work in works if not work.live and not work.rests], None)
        _count(run, works)
    finally:
        run.tidy([work for work in works if work.state == "COPYING"])
        for work in works:
            work.let_go()


def abandon(run: Run) -> None:
    """End every step that has taken nothing away yet; bring what is half moved to its rest. Writes. Raises LockedError where another engine has a chunk."""
    for chunk in run.journal.chunks(run.job_id):
        with run.journal.claim(run.job_id, chunk) as mine:
            if not mine:
                raise LockedError(f"job {run.job_id} is being carried out; stop that first, or wait")
            works = recovery.enter(run, run.journal.steps(run.job_id, chunk), stages_of)
            _identify(run, works)
            recovery.resume_at(run, [work for work in works if work.live])
            half_moved = [work for work in works if work.live and work.stages == ("retire",)]
            if half_moved:
                retiring.retire(run, half_moved)
            for work in works:
                if work.live and work not in half_moved:
                    work.end = EndError("REFUSED", "the job was undone before this step was carried out")
            run.advance([work for work in works if not work.rests], None)
    left = run.journal.chunks(run.job_id)
    if left:
        raise UnreachableError(f"job {run.job_id}: steps of {len(left)} chunks are under way on a volume that cannot be reached; mount it first")


def _claim(run: Run, works: Sequence[Work]) -> None:
    """Rest what lies on a volume that is not there or not itself; the others are CLAIMED, each with the key of what it will put on disk."""
    _identify(run, works)
    live = [work for work in works if work.live]
    for work in live:
        begun_already = "share" in work.stages and work.record.key is not None  # what it has exchanged is settled first
        if run.expires_us is not None and work.state in ("PLANNED", "CLAIMED") and not begun_already and run.clock() >= run.expires_us:
            work.end = EndError("STALE", f"{work.shown}: the plan expired before this step was begun")
    recovery.resume_at(run, live)
    begun = [work for work in live if work.state == "PLANNED"]
    run.advance(begun, "CLAIMED", copying.intent)


def _identify(run: Run, works: Sequence[Work]) -> None:
    """Rest the steps on volumes that are not there, or are not what they were."""
    for volume in {volume for work in works if work.live for volume in (work.step.volume, work.volume("target"))}:
        if volume not in run.blocked and (wrong := wrong_identity(run, volume)):
            run.block(volume, wrong)
    run.each(works, lambda _work: None)


def wrong_identity(run: Run, volume: str) -> str | None:
    """Why a volume is not the one that it was when it was prepared; None if it is."""
    prepared = run.journal.prepared(volume)
    try:
        found = run.store(volume).identify()
    except UnreachableError as error:
        return f"is not there ({error}); mount it" + (f", the medium with marker {prepared.marker}" if prepared else "") + ", then resume the job"
    if prepared is None:  # it is only read
        known = run.fs_ids.get(volume)
        return f"the file system is {found.fs_id}, the plan found {known}; mount that one, then resume the job" if known not in (None, found.fs_id) else None
    if found.marker != prepared.marker:
        return f"another medium is there: its marker is {found.marker or 'missing'}; mount the one with marker {prepared.marker}, then resume the job"
    if prepared.fs_id is not None and found.fs_id != prepared.fs_id:
        return f"the file system is {found.fs_id}, it was prepared as {prepared.fs_id}; if that is meant, prepare the volume again"
    return None


def _may_go_on(run: Run) -> None:
    run.pace.check()
    _no_anomaly(run, 0)
    if run.journal.job(run.job_id).state == "suspended":
        raise Halt("suspended", "another engine of this job suspended it")


def _no_anomaly(run: Run, under_way: int) -> None:
    tally, limit = run.tally, run.config.lifecycle.max_failures_pct
    seen = tally.ended + under_way
    if seen >= _FEWEST_FOR_ANOMALY and tally.ended_badly * 100 > limit * seen:
        told = f"{tally.ended_badly} of {seen} steps ended badly, more than lifecycle.max_failures_pct = {limit:g}"
        raise Halt("suspended", f"{told}; look at 'job show', then resume the job")


def _count(run: Run, works: Sequence[Work]) -> None:
    good = [work for work in works if not work.rests and work.end is None and work.state in ENDS | RESTING]
    run.tally.ended += len(good)
    steps = sum(not work.rests and work.paused is None for work in works)
    run.tell(steps, 0)
    run.pace.spent(steps, sum(work.step.fingerprint.size_bytes for work in good))
