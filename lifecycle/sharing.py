"""The stage of deduplication: two equal files of one file system share their blocks, compared at the time of the act."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from catalog import names
from lifecycle.chunk import Run, Work
from lifecycle.ends import EndError
from lifecycle.retiring import owners_of
from lifecycle.stores import Fingerprint, Metadata, Source


def share(run: Run, works: Sequence[Work]) -> None:
    """Have each file share the blocks of the one that is kept, where the kernel finds them equal: names, metadata and content stay.

    Where the file system cannot, and the policy asks for it, the file becomes one more name of the one that is kept. Writes.
    """
    run.each(works, lambda work: _share(run, work))
    run.at_once(works, "source", lambda store, here: run.settle(store, [work.step.path for work in here]))
    run.advance(works, "DONE")


def is_one_file(run: Run, work: Work) -> bool:
    """Whether a killed run has made a file one more name of the one that is kept already. Only reads."""
    store = run.store(work.step.volume)
    here, kept = store.look(work.step.path), store.look(_kept_path(work))
    return here is not None and kept is not None and here.inode is not None and (here.fs_id, here.inode) == (kept.fs_id, kept.inode)


def _share(run: Run, work: Work) -> None:
    store = run.store(work.step.volume)
    kept_path = _kept_path(work)
    kept = _kept(work)
    if run.policy.hard_links:  # its links and its changed time are those that this job gave it
        kept = replace(kept, changed_ns=None, link_count=_links(run, work))
    assert work.source is not None  # noqa: S101  # opened by the stage before
    found = store.share(kept_path, kept, work.step.path, work.source.fingerprint)
    if found == "differs":
        raise _differ(work)
    if found == "unsupported":
        if not run.policy.hard_links:
            raise EndError("REFUSED", f"{work.shown}: its file system cannot share blocks, and the policy does not ask for hard links; both files stay")
        _link(run, work, kept_path, kept)


def _link(run: Run, work: Work, kept_path: bytes, kept: Fingerprint) -> None:
    """Let one more name of the kept file change places with the other file, which then goes: it is equal, byte by byte, and nobody writes to it."""
    store = run.store(work.step.volume)
    assert work.source is not None  # noqa: S101  # opened by the stage before
    keeper = store.open(kept_path, kept)
    try:
        _refuse_unlike(work, work.source, keeper)
        _refuse_held(run, work)
        staged = store.clone(work.step.path, work.key, kept_path, replace(kept, link_count=_links(run, work)), "hard_link")
        staged.close()
        work.source.check()
        store.publish(work.step.path, work.key, staged.inode, over=work.step.fingerprint, still=lambda: _unheard(work))
    except EndError:
        store.discard(work.step.path, work.key, kept.inode)
        raise
    finally:
        keeper.close()


def _unheard(work: Work) -> None:
    """Nobody has asked to write to the file while it changed places. Raises EndError SOURCE_BUSY; its changed time is that of the exchange."""
    assert work.source is not None  # noqa: S101  # opened by the stage before
    try:
        work.source.check()
    except EndError as end:
        if end.state == "SOURCE_BUSY":
            raise


def _refuse_unlike(work: Work, other: Source, keeper: Source) -> None:
    """Raises EndError where the two are not equal in every byte and in what one file has once, or somebody may write to them meanwhile."""
    if not (other.leased and keeper.leased):
        raise EndError("REFUSED", f"{work.shown}: nothing keeps others from writing to it meanwhile; both files stay")
    if not _are_equal(other, keeper):
        raise _differ(work)
    lost = other.metadata().dropped or keeper.metadata().dropped
    if lost:
        raise EndError("REFUSED", f"{work.shown}: one name of the file that is kept would not keep all of it: {', '.join(lost)}; both files stay")
    if _as_owned(other.metadata()) != _as_owned(keeper.metadata()):
        raise EndError("REFUSED", f"{work.shown}: has another owner, mode or attribute than the file that is kept; both files stay")


def _refuse_held(run: Run, work: Work) -> None:
    held = run.journal.holds().blocking(work.step.sha256, work.step.volume, work.step.path, owners_of(run, [work])[0], run.clock())
    if held:
        raise EndError("REFUSED", f"{work.shown}: {held}", retry=True)


def _are_equal(one: Source, two: Source) -> bool:
    return all(first == second for first, second in zip_longest(one.blocks(), two.blocks()))


def _as_owned(metadata: Metadata) -> tuple[object, ...]:
    return metadata.mode, metadata.uid, metadata.gid, metadata.xattrs


def kept_inode(work: Work) -> int | None:
    """The inode of the file that is kept, as it was planned. Raises EndError."""
    return _kept(work).inode


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
