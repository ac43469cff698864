"""The stage of deduplication: two equal files of one file system share their blocks, compared at the time of the act.

Where the kernel compares and shares (FIDEDUPERANGE), names, inodes and metadata stay. Where it cannot, an equal file takes the place of the other one,
which rests in quarantine: a clone of the one that is kept (FICLONE), or, where the policy asks for it, one more name of it.
"""

from collections.abc import Sequence
from typing import Literal

from catalog import names
from lifecycle import folder_times
from lifecycle.chunk import Run, Work
from lifecycle.copying import content, expected
from lifecycle.ends import EndError
from lifecycle.retiring import half_moved, owners_of, settle_taken, unheard
from lifecycle.stores import Fingerprint, Metadata, Source, Staged

How = Literal["reflink", "hard_link"]


def share(run: Run, works: Sequence[Work]) -> None:
    """Have each file share the blocks of the one that is kept, where both are equal. Writes.

    What shares by the kernel is DONE; what an equal file has taken the place of is QUARANTINED: an undo puts it back, a purge gives its space back.
    """
    before = folder_times.seen(run, works)
    run.each(works, lambda work: _share(run, work))
    run.each([work for work in works if work.moved is not None], lambda work: unheard(run, work))
    run.at_once([work for work in works if work.moved is not None], "source", settle_taken)
    left = folder_times.left(run, works, before)
    replaced = [work for work in works if work.moved is not None]
    run.advance(replaced, "QUARANTINED", lambda work: {"quarantine_fingerprint": work.moved, "sha256": work.sha256}, left)
    run.advance([work for work in works if work not in replaced], "DONE")
    for work in replaced:
        work.let_go()


def _share(run: Run, work: Work) -> None:
    store = run.store(work.step.volume)
    kept_path, kept = _kept_path(work), _kept(work)
    if run.policy.hard_links:  # its links and its changed time are those that this job gave it
        kept = kept._replace(changed_ns=None, link_count=_links(run, work))
    assert work.source is not None  # noqa: S101  # opened by the stage before
    found = store.share(kept_path, kept, work.step.path, work.source.fingerprint)
    if found == "differs":
        raise _differ(work)
    if found == "unsupported":
        _replace(run, work, kept_path, kept)


def _replace(run: Run, work: Work, kept_path: bytes, kept: Fingerprint) -> None:
    """Let an equal file change places with the other one, which comes to rest in quarantine: nobody writes to either meanwhile."""
    store = run.store(work.step.volume)
    assert work.source is not None  # noqa: S101  # opened by the stage before
    how = _how(run, work)
    _refuse_unfit(run, work, work.source, how)
    keeper, ours = None, inode_of_stand_in(run, work)
    try:
        staged = store.clone(work.step.path, work.key, kept_path, kept, how)
        ours = staged.inode
        try:
            if how == "hard_link":
                kept = kept._replace(link_count=_links(run, work))
            keeper = store.open(kept_path, kept)
            _refuse_unleased(work, work.source, keeper)
            if how == "hard_link":
                _refuse_unlike(work, work.source.metadata(), keeper.metadata())
            _made_alike(run, work, staged, work.source.metadata(), how)
        finally:
            staged.close()
        assert work.sha256 is not None  # noqa: S101  # made alike
        assert staged.read_back is not None  # noqa: S101  # likewise
        stand_in = store.stand_in(work.step.path, work.key, work.sha256, staged.read_back)
        keeper.check()
        work.source.check()
        work.moved = store.quarantine(work.step.path, work.key, expected(work), leave=stand_in)
    except (EndError, OSError) as error:
        work.paused = half_moved(store, work, error)
        if work.paused is None:
            store.discard(work.step.path, work.key, ours)
            raise
    finally:
        if keeper is not None:
            keeper.close()


def _made_alike(run: Run, work: Work, staged: Staged, metadata: Metadata, how: How) -> None:
    """The stand-in has the content and the metadata of the file that it takes the place of, and is durable. Raises EndError where it has not."""
    assert work.source is not None  # noqa: S101  # opened by the stage before
    lost = staged.finish(metadata)
    if how == "hard_link":
        lost = [loss for loss in lost if " time " not in loss]  # one file has one time: the policy asks for that
    if lost:
        told = f"a {how.replace('_', ' ')} would not keep all of it: {', '.join(lost)}"
        raise EndError("REFUSED", f"{work.shown}: {told}; both files stay")
    staged.sync()
    size_bytes = work.step.fingerprint.size_bytes
    work.sha256 = content(run, work, work.source, size_bytes)
    if staged.digest() != (work.sha256, size_bytes):
        raise _differ(work)


def _clones(run: Run, work: Work) -> bool:
    able = run.store(work.step.volume).capabilities
    return able is not None and able.reflink


def _how(run: Run, work: Work) -> How:
    if _clones(run, work):
        return "reflink"
    if not run.policy.hard_links:
        raise EndError("REFUSED", f"{work.shown}: its file system cannot share blocks, and the policy does not ask for hard links; both files stay")
    return "hard_link"


def _refuse_unfit(run: Run, work: Work, other: Source, how: How) -> None:
    """Raises EndError for a file that is held, or whose other names would not come along."""
    if how == "reflink" and other.fingerprint.link_count > 1:
        raise EndError("REFUSED", f"{work.shown}: has other names, which would lead to another file afterwards; both files stay")
    held = run.journal.holds().blocking(work.step.sha256, work.step.volume, work.step.path, owners_of(run, [work])[0], run.clock())
    if held:
        raise EndError("REFUSED", f"{work.shown}: {held}", retry=True)


def _refuse_unlike(work: Work, other: Metadata, kept: Metadata) -> None:
    """Raises EndError where one name of the file that is kept would not have all that the other file has, or would have more."""
    lost = other.dropped or kept.dropped
    if lost:
        raise EndError("REFUSED", f"{work.shown}: one name of the file that is kept would not keep all of it: {', '.join(lost)}; both files stay")
    if _as_owned(other) != _as_owned(kept):
        raise EndError("REFUSED", f"{work.shown}: has another owner, mode or attribute than the file that is kept; both files stay")


def _as_owned(metadata: Metadata) -> tuple[object, ...]:
    return metadata.mode, metadata.uid, metadata.gid, metadata.xattrs


def _refuse_unleased(work: Work, *both: Source) -> None:
    """Raises EndError where nothing tells that somebody writes to one of the two meanwhile."""
    if not all(one.leased for one in both):
        raise EndError("REFUSED", f"{work.shown}: nothing keeps others from writing to it meanwhile; both files stay")


def inode_of_stand_in(run: Run, work: Work) -> int | None:
    """The inode that a temporary name of an earlier try must have: where it is one more name of the kept file, that one; None = a new one. Raises EndError."""
    return _kept(work).inode if run.policy.hard_links and not _clones(run, work) else None


def _kept_path(work: Work) -> bytes:
    if work.step.kept_path is None:
        raise EndError("FAILED", f"{work.shown}: the plan does not say which file keeps the blocks")
    return work.step.kept_path


def _kept(work: Work) -> Fingerprint:
    """What the file that is kept was when it was planned."""
    found = [copy.fingerprint for copy in work.step.evidence if (copy.volume, copy.path) == (work.step.volume, work.step.kept_path)]
    if not found:
        raise EndError("FAILED", f"{work.shown}: the plan does not say what the file that keeps the blocks was")
    return found[0]


def _links(run: Run, work: Work) -> int:
    found = run.store(work.step.volume).look(_kept_path(work))
    return 0 if found is None else found.link_count


def _differ(work: Work) -> EndError:
    kept = f"{work.step.volume}:{names.escape(_kept_path(work))}"
    return EndError("SOURCE_CHANGED", f"{work.shown}: is not equal to {kept}, byte by byte; both stay as they are")
