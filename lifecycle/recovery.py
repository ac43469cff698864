"""Where a step goes on: what each state found at the start of a run means, judged by what is on the disk.

Only the disk is believed. A temporary copy is read again, a published one is digested again, a source is opened as it was
planned and read again before it is taken away.
"""

from collections.abc import Callable, Sequence

from catalog import names
from catalog.errors import UnreachableError
from lifecycle import copying, pointers, retiring, sharing
from lifecycle.chunk import Run, Work
from lifecycle.ends import EndError, failed
from lifecycle.records import Record
from lifecycle.states import BAD_ENDS, ENDS, GUARDING, RESTING
from lifecycle.stores import Fingerprint

_COPY = ("copy", "verify", "publish")
_NOTHING = Fingerprint("special", -1, -1)
StagesOf = Callable[[str], tuple[str, ...]]


def enter(run: Run, records: Sequence[Record], stages_of: StagesOf) -> list[Work]:
    """The steps of a claimed chunk with the stages that each still has to go through. Discards temporary names that nothing can be made of."""
    works = [_work(run, record, stages_of(record.step.action)) for record in records]
    groups: dict[int, list[Work]] = {}
    for work in works:
        if work.step.link_group is not None:
            groups.setdefault(work.step.link_group, []).append(work)
    for names_of_one in groups.values():
        for work in names_of_one:
            work.group = tuple(names_of_one)
    return works


def resume_at(run: Run, works: Sequence[Work]) -> None:
    """Look at the disk for every step that an earlier run had begun, and leave out the stages that are behind it. Writes only to temporary names of ours."""
    for work in works:
        if work.live:
            try:
                _resume(run, work)
            except EndError as end:
                work.end = end
            except UnreachableError as error:
                work.paused = str(error)
            except OSError as error:
                work.end = failed(error, work.shown)


def _work(run: Run, record: Record, stages: tuple[str, ...]) -> Work:
    work = Work(record, record.state, record.key or _key(run, record.step.step, record.attempt or 1), record.attempt or 1, stages)
    work.sha256, work.temp_inode, work.losses = record.sha256, record.temp_inode, list(record.losses)
    work.rests = record.state in ENDS | RESTING or (record.state == "PURGING" and "purge" not in stages)  # a purge job has it
    if record.state not in BAD_ENDS and record.target_fingerprint is not None:
        work.target = record.target_fingerprint
    return work


def _key(run: Run, step: int, attempt: int) -> str:
    return f"{run.job_id}-{step}-{attempt}"


def _resume(run: Run, work: Work) -> None:
    if work.state in ("PLANNED", "CLAIMED", "COPYING"):
        if work.record.key is not None:
            if work.temp_inode is not None and "copy" in work.stages:  # it ended after its copy was whole
                _named(run, work, work.temp_inode)
            _begin_again(run, work)
    elif work.state == "VERIFIED":
        _verified(run, work)
    elif work.state == "PUBLISHED":
        _published(run, work)
    elif work.state in GUARDING and "retire" in work.stages:
        _guarded(run, work)


def _begin_again(run: Run, work: Work) -> None:
    """Away with the temporary name of the earlier try; the next one has a key of its own."""
    ours, work.target, work.temp_inode, work.sha256 = work.temp_inode, None, None, work.step.sha256
    if "share" in work.stages:
        _shared(run, work)
        return
    if "copy" not in work.stages:
        return
    run.store(work.volume("target")).discard(work.target_path, work.key, ours)
    work.attempt += 1
    work.key = _key(run, work.step.step, work.attempt)
    work.state = "PLANNED" if work.state == "PLANNED" else "CLAIMED"  # so that the new key is written before it is used


def _shared(run: Run, work: Work) -> None:
    """In quarantine already, and an equal file in its place: make that durable and say so. Else away with what was made to take its place."""
    store = run.store(work.step.volume)
    try:
        found = store.quarantined(work.key)
    except (EndError, OSError) as error:
        work.paused = _untold(work, error)
        return
    if found is not None:
        _moved(run, work, found)
        return
    store.discard(work.step.path, work.key, sharing.inode_of_stand_in(run, work))


def _untold(work: Work, error: Exception) -> str:
    return f"{work.shown}: whether it was moved cannot be told: {error}"


def _verified(run: Run, work: Work) -> None:
    """The temporary copy is there: read it again and go on. Published already: digest it and go on. Neither: begin again."""
    store = run.store(work.volume("target"))
    if first := copying.leader(run, work):  # a further name, made of the first one when that is published
        copied = store.look(first.target_path) if first.temp_inode is None else None
        ours = first.temp_inode if copied is None else copied.inode
        work.sha256 = first.sha256
        if ours is not None:
            _named(run, work, ours)
        store.discard(work.target_path, work.key, ours)
        work.stages = _without(work.stages, ("copy", "verify"))
        return
    work.staged = store.staged(work.target_path, work.key, work.temp_inode)
    if work.staged is not None:
        found = store.look(work.target_path)
        work.stages = _without(work.stages, ("copy",))
        work.tries = 1
        work.over = found if found is not None and pointers.found_at(run, work, store, work.target_path, found) else None
        return
    work.target = None if work.temp_inode is None else _named(run, work, work.temp_inode)
    if work.target is not None:
        work.stages = _without(work.stages, ("copy", "verify"))
    else:
        _begin_again(run, work)


def _named(run: Run, work: Work, ours: int) -> Fingerprint | None:
    """Our copy of that inode, if a killed run gave it its name. Writes. Raises EndError CONFLICT where somebody wrote to it since.

    What it changed places with goes if it is a pointer of ours. Anything else was saved by somebody at that instant: it has its name again.
    """
    store = run.store(work.volume("target"))
    shown = f"{work.volume('target')}:{names.escape(work.target_path)}"
    if pointers.lies_under_temporary_name(run, work, store):
        store.discard(work.target_path, work.key)
    found = store.look(work.target_path)
    if found is not None and found.inode == ours and work.sha256 not in (None, store.digest(work.target_path, found)):
        raise EndError("CONFLICT", f"{shown}: somebody wrote to the copy as soon as it had its name; it was not touched")
    store.give_back(work.target_path, work.key, ours)
    found = store.look(work.target_path)
    return found if found is not None and found.inode == ours else None


def _published(run: Run, work: Work) -> None:
    work.target = _stands(run, work)
    work.stages = _without(work.stages, _COPY) if "retire" in work.stages else ()


def _guarded(run: Run, work: Work) -> None:
    """In quarantine already, though the journal had not said so yet: make it durable and say so. Else the guard is asked again, from the beginning."""
    store = run.store(work.step.volume)
    try:
        found = store.quarantined(work.key) if work.state == "GUARDED" else None
    except (EndError, OSError) as error:
        work.paused = _untold(work, error)
        return
    if found is not None:
        _moved(run, work, found)
        return
    if "copy" in work.stages:
        work.target = _stands(run, work)
    if work.state == "GUARDED" and work.step.fingerprint.differs(store.look(work.step.path) or _NOTHING, moved=True):
        work.stages = ("retire",)  # its pointer has its place already: the store knows where the file is
    else:
        work.stages = _without(work.stages, _COPY)


def _moved(run: Run, work: Work, found: Fingerprint) -> None:
    """A file in quarantine goes on to rest there, if it is what was planned and its copy stands; else it goes back. Raises EndError."""
    work.moved, work.stages = found, ("retire",)
    wrong = work.step.fingerprint.differs(found, moved=True)
    if wrong:  # a run was killed before it could put back what it should not have moved
        end = EndError("SOURCE_CHANGED", f"{work.shown}: what was moved was not what was expected ({wrong})", retry=True)
        retiring.bring_back(run, work, end)
    elif work.step.target_path is not None:
        try:
            work.target = _stands(run, work)
        except EndError as end:
            retiring.bring_back(run, work, end)
    if not wrong:
        retiring.is_the_one(run, work)


def _stands(run: Run, work: Work) -> Fingerprint:
    """The published copy, digested again. Raises EndError where it is not what was published."""
    store = run.store(work.volume("target"))
    shown = f"{work.volume('target')}:{names.escape(work.target_path)}"
    found = store.look(work.target_path)
    if found is None:
        raise EndError("FAILED", f"{shown}: the copy that was published is gone", retry=True)
    if store.digest(work.target_path, found) != work.sha256:
        raise EndError("CONFLICT", f"{shown}: is not the copy that was published any more; it was not touched")
    return found


def _without(stages: tuple[str, ...], behind: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(stage for stage in stages if stage not in behind)
