"""The stage that lets content go for ever: a quarantined file past its grace, if it and the copies that stay are read once more and are what they were."""

from collections.abc import Mapping, Sequence

from catalog import names
from catalog.config import Policy
from catalog.errors import ConfigError, UnreachableError
from lifecycle import guard as floor
from lifecycle.chunk import Run, Work
from lifecycle.copying import SMALL_BYTES, content
from lifecycle.ends import EndError
from lifecycle.holds import Owners
from lifecycle.manifest import Copy
from lifecycle.records import Record, Retirement
from lifecycle.retiring import original, owners_of, weighed

_IN_QUARANTINE = ("QUARANTINED", "PURGING")


def purge(run: Run, works: Sequence[Work]) -> None:
    """Remove quarantined files, each after the guards, a full digest of it and of the copies that stay. A copy that is away makes the step wait."""
    before = {id(work): original(run, work) for work in works if work.live}
    _weigh_all(run, [work for work in works if work.live], before)  # also what a killed run was about to remove: that may be long ago
    _ask(run, [work for work in works if work.live and not work.gone])
    run.advance([work for work in works if not work.gone], "PURGING")  # and so is the step of the earlier job, in the same transaction
    removed: set[int | None] = set()
    run.each([work for work in works if not work.gone], lambda work: _remove(run, work, before[id(work)], removed))
    run.at_once(works, "source", lambda store, here: store.settle_quarantine())
    run.advance(works, "DONE")


def _weigh_all(run: Run, works: Sequence[Work], before: Mapping[int, Record]) -> None:
    def volumes(work: Work) -> set[str]:
        return {work.step.volume, *(copy.volume for copy in (*_known(before[id(work)]), *work.step.evidence))}

    def act(work: Work) -> None:
        _weigh(run, work, before[id(work)])

    for work in works:  # what threads cannot ask
        run.see(volumes(work))
        _policy_of(run, work)
    small = [work for work in works if work.step.fingerprint.size_bytes <= SMALL_BYTES]
    run.overlapped(small, act, on=volumes)
    run.each([work for work in works if work.step.fingerprint.size_bytes > SMALL_BYTES], act)


def _weigh(run: Run, work: Work, before: Record) -> None:
    """The quarantined file, read once more, and every copy that may count for it, read now."""
    _due(run, work, before)
    store = run.store(work.step.volume)
    assert before.key is not None  # noqa: S101  # _due has looked
    assert before.quarantine_fingerprint is not None  # noqa: S101  # likewise
    if store.quarantined(before.key) is None:
        if before.state == "PURGING":  # an earlier try removed it, and could not say so
            store.remove(before.key, before.quarantine_fingerprint)  # what tells of it, which may have stayed
            work.gone = True
            return
        raise EndError("STALE", f"{work.shown}: is not in quarantine any more; nothing was removed")
    work.source = store.open_quarantined(before.key, before.quarantine_fingerprint)
    found = content(run, work, work.source, before.quarantine_fingerprint.size_bytes)
    if found != before.sha256:
        raise EndError("SOURCE_CHANGED", f"{work.shown}: somebody wrote to it after it was put into quarantine; it stays there, 'job undo' puts it back")
    work.sha256, work.known = found, _known(before)
    work.stays = _stays(run, work, found)
    work.counted = () if work.stays else weighed(run, work, found, lambda run, copy: _read_now(run, copy, work), purging=True)


def _due(run: Run, work: Work, before: Record) -> None:
    if before.state not in _IN_QUARANTINE or before.undone_by is not None or before.key is None or before.quarantine_fingerprint is None:
        raise EndError("STALE", f"{work.shown}: is not in quarantine any more; nothing was removed")
    grace_us = 0 if before.state == "PURGING" else int(_policy_of(run, work).grace * 1_000_000)  # then it was over already
    if run.clock() < before.since_us + grace_us:
        raise EndError("REFUSED", f"{work.shown}: its grace time is not over", retry=True)


def _policy_of(run: Run, work: Work) -> Policy:
    assert work.step.of_job is not None  # noqa: S101  # purge steps name it
    return run.policy_of(work.step.of_job)


def _stays(run: Run, work: Work, sha256: bytes) -> bool:
    """Whether dedupe replaced the file, and what took its place, or the file that keeps the blocks, has its content, read now: then no copy goes."""
    if work.step.kept_path is None:
        return False
    store = run.store(work.step.volume)
    for path in (work.step.path, work.step.kept_path):
        try:
            found = store.look(path)
            if found is not None and found.type == "file" and store.digest(path, found) == sha256:
                work.read[work.step.volume, path] = found
        except EndError:
            continue
    return bool(work.read)


def _known(before: Record) -> tuple[Copy, ...]:
    """The copies that the earlier step knew: its evidence, and the one that it made."""
    made = before.target_fingerprint
    if made is None or before.step.target_volume is None or before.step.target_path is None:
        return before.step.evidence
    return (Copy(before.step.target_volume, before.step.target_path, made, None), *before.step.evidence)


def _read_now(run: Run, copy: Copy, work: Work) -> tuple[floor.Look, bytes | None]:  # noqa: PLR0911  one answer a look
    """What a copy holds now, all of it read from its storage; what it was then is kept with the step. One file that two volumes show is read once."""
    try:
        store = run.store(copy.volume)
        found = store.look(copy.path)
        if found is None:
            return "gone", None
        if copy.fingerprint.fs_id not in (None, found.fs_id):
            return "changed", None  # what is mounted there is not the storage that was known, or nothing is
        assert work.source is not None  # noqa: S101  # opened by the caller
        others = (work.source.fingerprint, *work.read.values())
        if None not in (found.fs_id, found.inode) and (found.fs_id, found.inode) in {(other.fs_id, other.inode) for other in others}:
            return "changed", None  # since it was known it became another name of the file itself, or of a copy that is counted already
        digest = store.digest(copy.path, found)
    except ConfigError:
        return "no store", None
    except EndError:  # its volume is here
        return "unreadable", None
    except (UnreachableError, OSError):
        return "unreachable", None
    work.read[copy.volume, copy.path] = found
    return "read", digest


def _copies_stand(run: Run, work: Work) -> None:
    """The copies that were counted are what they were when they were read: that may be long ago where many or large files were read since. Raises EndError."""
    if work.stays and not any(found == run.store(volume).look(path) for (volume, path), found in work.read.items()):
        raise EndError("REFUSED", f"{work.shown}: what took its place changed or went after it was read; nothing was removed", retry=True)
    for copy in work.counted:
        if not copy.verified:
            continue
        try:
            found = run.store(copy.volume).look(copy.path)
        except (UnreachableError, ConfigError, EndError, OSError):
            found = None
        if found is None or work.read[copy.volume, copy.path].differs(found):
            told = f"{work.shown}: {copy.volume}:{names.escape(copy.path)} changed or went after it was read; nothing was removed"
            raise EndError("REFUSED", told, retry=True)


def _ask(run: Run, works: Sequence[Work]) -> None:
    """The guard's transaction. What is refused only because a medium is away waits for it."""
    requests = [_retirement(run, work, owner) for work, owner in zip(works, owners_of(run, works), strict=True)]
    refused = run.journal.retire(requests, run.job_id, run.clock(), run.actor) if requests else {}
    for work in works:
        end = refused.get(work.step.step)
        away = [copy.volume for copy in work.counted if copy.offline and not copy.verified and copy.why.startswith("its medium")]
        if end is None:
            work.state = "RETIRING"
        elif away:
            prepared = run.journal.prepared(away[0])
            work.paused = "mount its medium" + (f", the one with marker {prepared.marker}" if prepared else "") + ", then resume the job"
            run.waits[away[0]] = work.paused
        else:
            work.end = end


def _retirement(run: Run, work: Work, owner: Owners) -> Retirement:
    assert work.sha256 is not None  # noqa: S101  # weighed
    domain = run.domain(work.step.volume)
    least = max(run.config.lifecycle.min_copies, run.policy.min_copies or 1, _policy_of(run, work).min_copies or 1)
    return Retirement(work.step.step, work.sha256, work.step.volume, work.step.path, owner, work.counted, least, domain.systems, domain.devices, work.stays)


def _remove(run: Run, work: Work, before: Record, removed: set[int | None]) -> None:
    """Remove one file; `removed` are the inodes of which another name went just now, and whose changed time is ours."""
    assert before.key is not None  # noqa: S101  # nothing comes to PURGING without
    assert before.quarantine_fingerprint is not None  # noqa: S101  # likewise
    inode = before.quarantine_fingerprint.inode
    if work.source is not None:
        try:
            work.source.check()
        except EndError as end:
            if end.state == "SOURCE_BUSY" or inode not in removed:
                raise
    store = run.store(work.step.volume)
    if store.quarantined(before.key) is not None:
        _copies_stand(run, work)
        store.remove(before.key, before.quarantine_fingerprint)
    removed.add(inode)
