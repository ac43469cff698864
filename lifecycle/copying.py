"""The stages that make a copy: open the source, copy it to a temporary name, read it back, give it its name."""

import hashlib
import os
from collections.abc import Callable, Sequence
from threading import Lock

from catalog import names
from lifecycle import actions, awaiting, pointers
from lifecycle.chunk import Run, Work
from lifecycle.ends import ColdError, EndError
from lifecycle.stores import BLOCK_BYTES, Fingerprint, Metadata, Source, Staged

_CHECK_EVERY_BYTES = 32 << 20
_HASHED_BESIDE_BYTES = 256 << 10  # a block of this size is digested while it is written
SMALL_BYTES = 1 << 20  # of a file of which several may be read at once
_MOST_TRIES = 2
_ZEROS = bytes(BLOCK_BYTES)


def open_sources(run: Run, works: Sequence[Work]) -> None:
    """Open every source as it was planned, past its quiet time, under a lease where the kernel gives one; the intent to copy is written. Only reads.

    What lies in an archive of its storage is asked back, and its step waits for a later run.
    """
    youngest_ns: dict[str, int] = {}
    asking = Lock()
    cold: dict[Work, ColdError] = {}

    def act(work: Work) -> None:
        store = run.store(work.step.volume)
        if run.policy.quiet and actions.load(work.step.action).QUIET:
            with asking:  # a host's clock is a file that is made anew for each question
                if work.step.volume not in youngest_ns:
                    youngest_ns[work.step.volume] = store.clock_ns() - int(run.policy.quiet * 1e9)
            _refuse_young(work, youngest_ns[work.step.volume])
        try:
            work.source = store.open(work.step.path, expected(work))
        except ColdError as error:
            if "copy" not in work.stages:
                raise
            cold[work] = error

    run.overlapped(works, act)
    awaiting.wait(run, cold)
    run.advance([work for work in works if "copy" in work.stages], "COPYING", intent)
    run.advance([work for work in works if not work.live], None)


def _refuse_young(work: Work, youngest_ns: int) -> None:
    """Raises EndError SOURCE_BUSY for what was modified or changed since a time of its own storage's clock: the plan could only ask the host's."""
    planned = work.step.fingerprint
    if max(planned.modified_ns, planned.changed_ns or 0) > youngest_ns:
        told = "by the clock of its own storage it was modified or changed within the quiet time; resume the job later"
        raise EndError("SOURCE_BUSY", f"{work.shown}: {told}", retry=True)


def expected(work: Work) -> Fingerprint:
    """What a source must be. The changed time of a name whose hard link we have already moved is not what was planned: it is let go."""
    if not work.group:
        return work.step.fingerprint
    touched = any(other.state in {"GUARDED", "QUARANTINED", "PURGING", "DONE"} for other in work.group if other is not work)
    return work.step.fingerprint._replace(changed_ns=None) if touched else work.step.fingerprint


def copy(run: Run, works: Sequence[Work]) -> None:
    """Copy each source to its temporary name beside the target, digested, with its metadata, durable. The names of one inode after the first wait for it."""
    leaders = [work for work in works if work.live and leader(run, work) is None]
    small = [work for work in leaders if work.step.fingerprint.size_bytes <= SMALL_BYTES]
    run.overlapped(small, lambda work: _make(run, work), "target", lambda work: [work.volume("target"), work.step.volume])
    run.each([work for work in leaders if work.step.fingerprint.size_bytes > SMALL_BYTES], lambda work: _make(run, work), "target")
    _settle_content(run, leaders)
    _once_more(run, [work for work in leaders if _tainted(work)])
    run.advance([work for work in works if not work.live], None)


def verify(run: Run, works: Sequence[Work]) -> None:
    """Read every copy back from the storage and compare; one that differs is set aside and made once more."""
    leaders = [work for work in works if work.live and work.staged is not None]
    run.together(leaders, _reads_back, "target")
    again = [work for work in leaders if _tainted(work)]
    _once_more(run, again)
    run.each(again, _reads_back, "target")
    run.overlapped(leaders, _unchanged)
    run.advance(works, "VERIFIED", lambda work: {"temp_inode": work.temp_inode, "sha256": work.sha256, "losses": tuple(work.losses)})


def publish(run: Run, works: Sequence[Work]) -> None:
    """Give the copies their final names, over nothing, durably; the further names of an inode are linked to the first one."""
    followers = [work for work in works if work.live and leader(run, work) is not None]
    first = [work for work in works if work.live and work not in followers]
    run.overlapped(first, lambda work: _name(run, work), "target")
    run.each(followers, lambda work: _link(run, work), "target")
    gone: set[bytes] = set()
    run.at_once(works, "target", lambda store, here: gone.update(run.settle(store, [work.target_path for work in here])))
    run.each([work for work in works if work.group or (gone and os.path.dirname(work.target_path) in gone)], lambda work: _stands(run, work), "target")
    run.together([work for work in works if work.live and _locks(run, work)], lambda work: _protect(run, work), "target")
    run.advance(works, "PUBLISHED", lambda work: {"target_fingerprint": work.target, "sha256": work.sha256, "losses": tuple(work.losses)})


def leader(run: Run, work: Work) -> Work | None:
    """The step whose copy a further name of its inode is linked to; None for the first name, and where the target knows no hard links."""
    if not work.group:
        return None
    first = work.group[0]
    capabilities = run.store(work.volume("target")).capabilities
    if first is work or capabilities is None:
        return None
    if not capabilities.hard_links:
        if "hard link" not in work.losses:
            work.losses.append("hard link")
        return None
    return first


def content(run: Run, work: Work, source: Source, size_bytes: int | None) -> bytes:
    """SHA-256 of an open source, written to the step's temporary name on the way if there is one; its length must be what is given."""
    digest, done, checked = hashlib.sha256(), 0, 0
    for block in source.blocks():
        beside = None
        size = block if isinstance(block, int) else len(block)
        if isinstance(block, int):
            _zeros(digest, block)
        elif size >= _HASHED_BESIDE_BYTES:
            beside = run.digesting.submit(digest.update, block)
        else:
            digest.update(block)
        if work.staged is not None:
            work.staged.write(block)
        if beside is not None:
            beside.result()
        done += size
        if done - checked >= _CHECK_EVERY_BYTES:
            source.check()
            run.pace.check()
            run.tell(0, done - checked)
            checked = done
    if size_bytes is not None and done != size_bytes:
        raise EndError("SOURCE_CHANGED", f"{work.shown}: {done} bytes were read where {size_bytes} were planned", retry=True)
    run.tell(0, done - checked)
    return digest.digest()


def _zeros(digest: "hashlib._Hash", run: int) -> None:
    while run > 0:
        digest.update(_ZEROS[: min(run, BLOCK_BYTES)])
        run -= BLOCK_BYTES


def intent(work: Work) -> dict[str, object]:
    """What the journal must say of a step before anything of it is on a disk."""
    return {"key": work.key, "attempt": work.attempt, "temp_inode": None}


def _make(run: Run, work: Work) -> None:
    """The temporary copy of one step, or nothing where the target holds the content already."""
    assert work.source is not None  # noqa: S101  # opened by the stage before
    work.tries += 1
    metadata = work.source.metadata()
    try:
        work.staged = _staged(run, work, metadata)
    except EndError as end:
        if end.state != "CONFLICT":
            raise
        if _adopted(run, work):
            return
        work.staged = _staged(run, work, metadata)
    work.temp_inode = work.staged.inode
    _or_adopted(run, work, lambda: _fill(run, work, metadata))


def _staged(run: Run, work: Work, metadata: Metadata) -> Staged:
    target = run.store(work.volume("target"))
    return target.stage(work.target_path, work.key, metadata.parents, link_target=metadata.link_target, over=work.over, source=work.source)


def _fill(run: Run, work: Work, metadata: Metadata) -> None:
    assert work.source is not None  # noqa: S101  # opened by the stage before
    assert work.staged is not None  # noqa: S101  # made by the caller
    found = content(run, work, work.source, work.step.fingerprint.size_bytes if work.step.fingerprint.type == "file" else None)
    _as_planned(work, found)
    work.sha256, work.reread = found, not work.source.leased
    work.losses = [loss for loss in work.losses if loss == "hard link"] + work.staged.finish(metadata)


def _as_planned(work: Work, found: bytes) -> None:
    """The content is what the catalog's digest says. Raises EndError: a file whose times are as they were and whose content is not is no file to act on."""
    known = work.step.sha256
    if known is not None and found != known:
        raise EndError("SOURCE_CHANGED", f"{work.shown}: its content is not what the catalog's digest says, though nothing else of it changed; look at it")


def _adopted(run: Run, work: Work) -> bool:
    """Whether the target holds the content already, read now. Raises EndError CONFLICT if it holds anything else, but a pointer to the source."""
    target = run.store(work.volume("target"))
    found = target.look(work.target_path)
    if found is None:
        return False
    alike = _alike(work, found)
    if not alike and found.size_bytes > pointers.MOST_BYTES:
        raise _conflict(work)
    assert work.source is not None  # noqa: S101  # opened by the stage before
    if work.sha256 is None:
        work.sha256 = content(run, work, work.source, work.step.fingerprint.size_bytes)
        _as_planned(work, work.sha256)
        work.reread = not work.source.leased
    if pointers.found_at(run, work, target, work.target_path, found):
        work.over = found
        return False
    if not alike:
        raise _conflict(work)
    return _adopt(run, work, found)


def _alike(work: Work, found: Fingerprint) -> bool:
    return (found.type, found.size_bytes) == (work.step.fingerprint.type, work.step.fingerprint.size_bytes)


def _adopt(run: Run, work: Work, found: Fingerprint) -> bool:
    source = work.step.fingerprint
    if found.inode is not None and found.fs_id is not None and (found.fs_id, found.inode) == (source.fs_id, source.inode):
        raise EndError("CONFLICT", f"{work.volume('target')}:{names.escape(work.target_path)}: is the source itself, shown by another volume; it is no copy")
    if run.store(work.volume("target")).digest(work.target_path, found) != work.sha256:
        raise _conflict(work)
    work.target, work.temp_inode = found, None
    return True


def _conflict(work: Work) -> EndError:
    return EndError("CONFLICT", f"{work.volume('target')}:{names.escape(work.target_path)}: something else is there; it was not touched")


def _settle_content(run: Run, works: Sequence[Work]) -> None:
    def act(work: Work) -> None:
        if work.staged is not None:
            _or_adopted(run, work, work.staged.sync)

    run.together(works, act, "target")


def _or_adopted(run: Run, work: Work, act: Callable[[], object]) -> None:
    """Do what may give a copy its name; where something has it, that is the copy if it has the content."""
    try:
        act()
    except EndError as end:
        if end.state != "CONFLICT" or not _adopted(run, work):
            raise
        assert work.staged is not None  # noqa: S101  # staged by the caller
        work.staged.close()
        work.staged = None


def _tainted(work: Work) -> bool:
    """Whether a copy went bad on the target's side and may be made once more, on a new inode. One of which nobody knows whether it is there may not."""
    if work.end is None or work.staged is None or work.end.state == "UNKNOWN":
        return False
    return work.end.retry and work.tries < _MOST_TRIES and not work.end.stops_volume


def _once_more(run: Run, works: Sequence[Work]) -> None:
    """Copy again under a new key: what failed to become durable, or read back as something else, is never trusted again."""

    def clear(work: Work) -> None:
        if work.staged is not None:
            work.staged.close()
        run.store(work.volume("target")).discard(work.target_path, work.key, work.temp_inode)
        work.staged, work.temp_inode = None, None
        work.attempt += 1
        work.key = f"{run.job_id}-{work.step.step}-{work.attempt}"
        work.state = "CLAIMED"  # on disk it is so again: the key of the new one is written first

    for work in works:
        work.end = None
    run.each(works, clear, "target")
    run.advance(works, "COPYING", intent)
    run.each(works, lambda work: _make(run, work), "target")
    _settle_content(run, works)


def _reads_back(work: Work) -> None:
    if work.staged is None:
        return
    found, size_bytes = work.staged.digest()
    wanted = work.step.fingerprint.size_bytes
    if found != work.sha256 or (work.step.fingerprint.type == "file" and size_bytes != wanted):
        work.staged.taint()
        last = work.tries >= _MOST_TRIES
        told = f"{work.volume('target')}:{names.escape(work.target_path)}: the storage gave back other content than was written"
        raise EndError("FAILED", told + ("; twice: look at that storage" if last else ""), retry=True, stops_volume=last)


def _unchanged(work: Work) -> None:
    if work.source is not None:
        work.source.check()


def _name(run: Run, work: Work) -> None:
    if work.target is not None:
        return
    store = run.store(work.volume("target"))
    try:
        seen = None if work.staged is None else work.staged.read_back
        work.target = store.publish(work.target_path, work.key, work.temp_inode, over=work.over, read_back=seen)
    except EndError as end:
        found = store.look(work.target_path) if end.state == "CONFLICT" else None
        if found is None or not _alike(work, found):
            raise
        ours = work.temp_inode
        _adopt(run, work, found)
        store.discard(work.target_path, work.key, ours)


def _locks(run: Run, work: Work) -> bool:
    """Whether the target keeps locks: on all others there is nothing to lock, or to see."""
    able = run.store(work.volume("target")).capabilities
    return able is not None and bool(able.locks)


def _protect(run: Run, work: Work) -> None:
    assert work.target is not None  # noqa: S101  # published by the caller
    work.target = run.store(work.volume("target")).protect(work.target_path, work.key, work.target) or work.target


def _link(run: Run, work: Work) -> None:
    first = leader(run, work)
    if first is None or first.target is None:
        raise EndError("FAILED", f"{work.shown}: the first name of its hard links was not copied", retry=True)
    store = run.store(work.volume("target"))
    work.sha256, work.temp_inode = first.sha256, first.target.inode
    found = store.look(work.target_path)
    if found is not None and (found.fs_id, found.inode) == (first.target.fs_id, first.target.inode):
        work.target = found
        return
    if found is not None and pointers.found_at(run, work, store, work.target_path, found):
        work.over = found
    elif found is not None:
        _adopt(run, work, found)
        return
    parents = () if work.source is None else work.source.metadata().parents
    expected_first = first.target._replace(changed_ns=None, link_count=_links(run, first))
    work.losses += store.link(work.target_path, work.key, first.target_path, expected_first, parents)
    work.target = store.publish(work.target_path, work.key, first.target.inode, over=work.over)


def _links(run: Run, work: Work) -> int:
    """How many names a published file has now: more than when it was published, once others were linked to it."""
    found = run.store(work.volume("target")).look(work.target_path)
    return 0 if found is None else found.link_count


def _stands(run: Run, work: Work) -> None:
    """The published name still leads to the file that was published; its fingerprint is taken after all names of it are made."""
    found = run.store(work.volume("target")).look(work.target_path)
    assert work.target is not None  # noqa: S101  # published by the caller
    if found is None or work.target.differs(found, moved=True):
        raise EndError("CONFLICT", f"{work.volume('target')}:{names.escape(work.target_path)}: was replaced by somebody as soon as it had its name")
    work.target = found
