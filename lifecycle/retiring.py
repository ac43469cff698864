"""The stages that take a source away, and the one that brings it back: the guard, the last look, the move into quarantine, the move back."""

from collections.abc import Callable, Sequence

from catalog import names
from catalog.errors import ConfigError, UnreachableError
from lifecycle import folder_times, owners, pointers
from lifecycle import guard as floor
from lifecycle.ahead import Ahead
from lifecycle.chunk import Run, Work
from lifecycle.copying import content, expected
from lifecycle.ends import EndError
from lifecycle.holds import Owners
from lifecycle.manifest import Copy
from lifecycle.records import Counted, Record, Retirement
from lifecycle.stores import Fingerprint, Store
from lifecycle.stores import Move as Taking

_NO_CONTENT = b""  # two readings that found different ones: it is not known to be any
Judge = Callable[[Run, Copy], tuple[floor.Look, bytes | None]]  # what is found of a copy, and its content where that is known anew


def guard(run: Run, works: Sequence[Work]) -> None:
    """Ask whether each source may go: copies are looked at, then one transaction marks it RETIRING, then they are looked at again."""
    first = run.ahead((copy.volume, copy.path) for work in works if work.live for copy in work.copies(run.clock()))
    judge = _informed(run, works, first)
    run.each(works, lambda work: _weigh(run, work, judge))
    first.drop()
    live = [work for work in works if work.live]
    requests = [_retirement(run, work, owner) for work, owner in zip(live, owners_of(run, live), strict=True)]
    if not requests:
        run.advance(works, None)
        return
    refused = run.journal.retire(requests, run.job_id, run.clock(), run.actor)
    for work in works:
        if work.live:
            work.end = _told(work, refused.get(work.step.step))
            work.state = "RETIRING" if work.end is None else work.state
    again = run.ahead((copy.volume, copy.path) for work in works if work.live for copy in _counted(run, work))
    run.each(works, lambda work: _still_stands(run, work, judge, again))
    again.drop()
    run.advance([work for work in works if not work.live], None)


def check(run: Run, works: Sequence[Work]) -> None:
    """The last look at each source: unchanged under its lease, and read again where it was not read under this one. Only reads."""

    def act(work: Work) -> None:
        assert work.source is not None  # noqa: S101  # opened by the first stage
        wanted = expected(work)
        work.source.check()
        if work.reread and wanted.inode is not None:  # else it is read once it was moved, for nothing tells that it is the one which was read
            if run.store(work.step.volume).digest(work.step.path, wanted) != work.sha256:
                raise EndError("SOURCE_CHANGED", f"{work.shown}: its content changed, though nothing else of it did; it stays where it is")
            work.source.check()
        found = run.store(work.step.volume).look(work.step.path)
        wrong = "it is gone" if found is None else wanted.differs(found)
        if wrong:
            raise EndError("SOURCE_CHANGED", f"{work.shown}: {wrong}; it stays where it is", retry=False)

    run.overlapped(works, act)
    run.advance(works, "GUARDED")


def retire(run: Run, works: Sequence[Work]) -> None:
    """Move each source into quarantine, durably; what is not what was expected goes back at once."""
    going = [work for work in works if work.live and work.moved is None]
    before = folder_times.seen(run, going)
    run.at_once(going, "source", lambda store, here: store.announce([_taking(run, work) for work in here]))
    run.overlapped(going, lambda work: _take(run, work))
    run.each(going, lambda work: unheard(run, work))
    run.each(going, lambda work: is_the_one(run, work))
    run.at_once(works, "source", settle_taken)
    left = folder_times.left(run, going, before)
    run.advance(works, "QUARANTINED", lambda work: {"quarantine_fingerprint": work.moved, "sha256": work.sha256}, left)
    for work in works:
        work.let_go()


def put_back(run: Run, works: Sequence[Work]) -> None:
    """Move files from quarantine to their old names, durably, over nothing but a pointer that we left there.

    A folder in which nothing else happened since has the time again when it was modified before.
    """
    originals = {id(work): original(run, work) for work in works if work.live}

    def act(work: Work) -> None:
        before = originals[id(work)]
        if before.quarantine_fingerprint is None or before.key is None:
            raise EndError("FAILED", f"{work.shown}: the journal does not say what was put into quarantine")
        try:
            run.store(work.step.volume).put_back(before.key, work.step.path, before.quarantine_fingerprint)
        except EndError as end:  # a name that is taken, a folder that is gone: a person can mend it
            end.reason, end.retry = f"{end.reason}; mend that, then undo again", True
            raise

    before = folder_times.seen(run, works)
    run.overlapped(works, act)
    folder_times.give_back(run, works, before)
    run.at_once(works, "source", _settle)
    run.advance(works, "DONE")  # and the step of the job that is undone counts again, in the same transaction


def original(run: Run, work: Work) -> Record:
    """The step of an earlier job that an undo or a purge is about. Raises EndError."""
    assert work.step.of_job is not None  # noqa: S101  # undo and purge steps name both
    assert work.step.of_step is not None  # noqa: S101  # likewise
    return run.journal.record(work.step.of_job, work.step.of_step)


def weighed(run: Run, work: Work, sha256: bytes, judge: Judge, *, purging: bool = False) -> tuple[Counted, ...]:
    """Every copy that may count for a step, as the floor sees it now."""
    found = []
    source = work.step.fingerprint
    limit_us = int(floor.evidence_age(run.config, run.policy) * 1_000_000)
    copies = work.copies(run.clock())
    run.see([work.step.volume, *(copy.volume for copy in copies)])
    for copy in copies:
        if (copy.fingerprint.fs_id, copy.fingerprint.inode) == (source.fs_id, source.inode) and source.inode is not None and source.fs_id is not None:
            continue  # one file that was seen twice
        look, read = judge(run, copy)
        offline = copy.volume in run.config.volumes and run.config.volumes[copy.volume].access == "offline"
        domain = run.domain(copy.volume)
        known = sha256 if read is None else read
        counted = floor.weigh(sha256, copy, look, domain, sha256=known, offline=offline, now_us=run.clock(), max_age_us=limit_us, purging=purging)
        found.append(_with_itself(counted, copy))
    return tuple(found)


def _with_itself(counted: Counted, copy: Copy) -> Counted:
    """A copy with the very file as one more device of its domain: a file that two volumes show is one copy, whatever is declared of them."""
    found = copy.fingerprint
    if not counted.devices or found.fs_id is None or found.inode is None:
        return counted
    return counted._replace(devices=counted.devices | {f"{found.fs_id} inode {found.inode}"})


def _informed(run: Run, works: Sequence[Work], ahead: Ahead) -> Judge:
    """What storages show of copies now, without reading them, and what was read of them since the plan was made."""
    later = run.readings.of(copy for work in works if work.live for copy in work.copies(run.clock()))

    def judge(run: Run, copy: Copy) -> tuple[floor.Look, bytes | None]:
        look = _looked_at(run, copy, ahead)
        if look in ("changed", "gone") or copy not in later:
            return look, None
        if None in later[copy]:
            return "unreadable", None
        return look, (next(iter(later[copy])) if len(later[copy]) == 1 else _NO_CONTENT)

    return judge


def _looked_at(run: Run, copy: Copy, ahead: Ahead) -> floor.Look:
    try:
        found = ahead.look(run.store(copy.volume), copy.path)
    except ConfigError:
        return "no store"
    except EndError:  # its volume is here
        return "unreadable"
    except (UnreachableError, OSError):
        return "unreachable"
    if found is None:
        return "gone"
    return "changed" if copy.fingerprint.differs(found) else "unchanged"


def _weigh(run: Run, work: Work, judge: Judge) -> None:
    if work.sha256 is None:
        raise EndError("REFUSED", f"{work.shown}: its content was never read, so nothing can be known to be a copy of it")
    work.counted = weighed(run, work, work.sha256, judge)


def _told(work: Work, end: EndError | None) -> EndError | None:
    if end is not None and work.target is not None:
        end.reason += "; the source stays, and the new copy too"
    return end


def owners_of(run: Run, works: Sequence[Work]) -> list[Owners]:
    """Whose the sources of steps are, as holds ask it."""
    return owners.of(run.config, [owners.File(work.step.volume, work.step.path, work.step.fingerprint, _uid(work)) for work in works])


def _uid(work: Work) -> int | None:
    try:
        return None if work.source is None else work.source.metadata().uid
    except (EndError, OSError):
        return None  # not known: every hold on an owner holds it


def _retirement(run: Run, work: Work, owner: Owners) -> Retirement:
    assert work.sha256 is not None  # noqa: S101  # weighed
    domain = run.domain(work.step.volume)
    least = max(run.config.lifecycle.min_copies, run.policy.min_copies or 1)
    return Retirement(work.step.step, work.sha256, work.step.volume, work.step.path, owner, work.counted, least, domain.systems, domain.devices)


def _still_stands(run: Run, work: Work, judge: Judge, ahead: Ahead) -> None:
    """The copies that were counted are still what they were when they were counted, or enough others are."""
    assert work.sha256 is not None  # noqa: S101  # weighed
    places = _counted(run, work)
    if all(_looked_at(run, copy, ahead) == "unchanged" for copy in places):
        return
    lost = {(copy.volume, copy.path) for copy in places} - {(copy.volume, copy.path) for copy in weighed(run, work, work.sha256, judge) if copy.verified}
    if not lost:
        return
    named = ", ".join(f"{volume}:{names.escape(path)}" for volume, path in sorted(lost))
    raise EndError("REFUSED", f"{work.shown}: while it was guarded copies changed or went: {named}; it stays, and so do its copies", retry=True)


def _counted(run: Run, work: Work) -> list[Copy]:
    """The copies that the floor counted."""
    counted = {(copy.volume, copy.path) for copy in work.counted if copy.verified}
    return [copy for copy in work.copies(run.clock()) if (copy.volume, copy.path) in counted]


def _taking(run: Run, work: Work) -> Taking:
    return Taking(work.step.path, work.key, expected(work), pointers.left_by(run, work))


def _take(run: Run, work: Work) -> None:
    store = run.store(work.step.volume)
    try:
        work.moved = store.quarantine(work.step.path, work.key, expected(work), leave=pointers.left_by(run, work))
    except (EndError, OSError) as error:
        work.paused = half_moved(store, work, error)
        if work.paused is None:
            raise


def unheard(run: Run, work: Work) -> None:
    """Nobody has asked to write to the file while it was moved; else it goes back before they get to it."""
    if work.source is not None and work.moved is not None and work.source.is_wanted():
        bring_back(run, work, EndError("SOURCE_BUSY", f"{work.shown}: somebody wants to write to it", retry=True))


def is_the_one(run: Run, work: Work) -> None:
    """What was moved is read, where no number tells it from another file, and the copies that it rests on are still there; else it goes back. Writes.

    Raises why it went back, UnreachableError.
    """
    if work.moved is None or work.moved.inode is not None:
        return
    if work.staged is not None:  # else the content would be written to it
        work.staged.close()
        work.staged = None
    try:
        end = _another(run, work, work.moved)
    except EndError as unread:
        end = unread
    if end is not None:
        bring_back(run, work, end)


def _another(run: Run, work: Work, moved: Fingerprint) -> EndError | None:
    """Why what was moved is not what was to be; None if it is. Raises EndError where it cannot be read, UnreachableError."""
    kept = run.store(work.step.volume).open_quarantined(work.key, moved)
    try:
        found = content(run, work, kept, moved.size_bytes)
    finally:
        kept.close()
    if found != work.sha256:
        return EndError("SOURCE_CHANGED", f"{work.shown}: its content changed, though nothing else of it did")
    now = run.ahead(())
    lost = [copy for copy in _counted(run, work) if _looked_at(run, copy, now) in ("gone", "changed")]
    if not lost:
        return None
    named = ", ".join(f"{copy.volume}:{names.escape(copy.path)}" for copy in lost)
    return EndError("CONFLICT", f"{work.shown}: as it was moved a copy of it went or changed, which may be this very file: {named}")


def bring_back(run: Run, work: Work, end: EndError) -> None:
    """Put back a file that should not have been moved: its step ends so then. Where that cannot be it rests in quarantine, where an undo finds it.

    Writes. Raises that end.
    """
    assert work.moved is not None  # noqa: S101  # the caller has looked
    store = run.store(work.step.volume)
    try:
        store.put_back(work.key, work.step.path, work.moved)
        _settle(store, [work])
    except EndError:
        return
    work.moved = None
    end.reason += "; it was put back"
    raise end


def half_moved(store: Store, work: Work, error: Exception) -> str | None:
    """Why a step whose move went wrong is left as it is, for the next run to look at: its file lies in quarantine, or nobody can tell."""
    try:
        if store.quarantined(work.key) is not None:
            return f"{work.shown}: {error}; it was moved, and the next run makes that durable"
        _settle(store, [work])  # it may have been moved, and put back
    except (EndError, OSError) as unknown:
        return f"{work.shown}: {error}; whether it was moved cannot be told: {unknown}"
    return None


def settle_taken(store: Store, works: Sequence[Work]) -> None:
    """Make moves into quarantine durable, where they went before where they came from: no power cut leaves a file in neither."""
    store.settle_quarantine()
    Run.settle(store, [work.step.path for work in works])


def _settle(store: Store, works: Sequence[Work]) -> None:
    """Make moves out of quarantine durable, in the same order."""
    Run.settle(store, [work.step.path for work in works])
    store.settle_quarantine()
