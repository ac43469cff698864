"""The stage of deduplication: two equal files of one file system share their blocks, compared at the time of the act."""

from collections.abc import Sequence

from catalog import names
from lifecycle.chunk import Run, Work
from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint


def share(run: Run, works: Sequence[Work]) -> None:
    """Have each file share the blocks of the one that is kept, where the kernel finds them equal. Names, metadata and content stay."""

    def act(work: Work) -> None:
        if work.step.kept_path is None:
            raise EndError("FAILED", f"{work.shown}: the plan does not say which file keeps the blocks")
        found = run.store(work.step.volume).share(work.step.kept_path, _kept(work), work.step.path, work.step.fingerprint)
        kept = f"{work.step.volume}:{names.escape(work.step.kept_path)}"
        if found == "differs":
            raise EndError("SOURCE_CHANGED", f"{work.shown}: is not equal to {kept}, byte by byte; both stay as they are")
        if found == "unsupported":
            raise EndError("REFUSED", f"{work.shown}: its file system cannot share blocks; both files stay as they are")

    run.each(works, act)
    run.advance(works, ["DONE"])


def _kept(work: Work) -> Fingerprint:
    """What the file that is kept was when it was planned."""
    found = [copy.fingerprint for copy in work.step.evidence if (copy.volume, copy.path) == (work.step.volume, work.step.kept_path)]
    if not found:
        raise EndError("FAILED", f"{work.shown}: the plan does not say what the file that keeps the blocks was")
    return found[0]
