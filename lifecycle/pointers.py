"""What stays at the name of a file that was archived, and how it is known again when the file comes back."""

import hashlib

from catalog import names, stubs
from lifecycle.chunk import Run, Work
from lifecycle.stores import Fingerprint, Pointer, Source, Store

MOST_BYTES = stubs.MOST_BYTES


def left_by(run: Run, work: Work) -> Pointer | None:
    """What a step leaves in the place of its source, as the policy says: a stub that tells the copy, or a symbolic link to it. None = nothing."""
    step = work.step
    if run.policy.leave == "nothing" or step.target_volume is None or step.target_path is None or step.fingerprint.type != "file":
        return None
    assert work.sha256 is not None  # noqa: S101  # guarded
    if run.policy.leave == "symlink":
        return Pointer("symlink", _link(run, step.target_volume, step.target_path))
    return Pointer("stub", stub(step.target_volume, step.target_path, work.sha256, step.fingerprint.size_bytes))


def found_at(run: Run, work: Work, store: Store, path: bytes, found: Fingerprint) -> bool:
    """Whether a path holds exactly the pointer that would lead to the source of this step: the file then may take its place. Only reads."""
    if found.type not in ("file", "symlink") or found.size_bytes > MOST_BYTES or work.sha256 is None:
        return False
    source = store.open(path, found)
    try:
        return _text(source) == _wanted(run, work, found)
    finally:
        source.close()


def lies_under_temporary_name(run: Run, work: Work, store: Store) -> bool:
    """Whether a killed run had let a pointer and the copy change places: the temporary name holds the pointer then. Only reads."""
    left = store.staged(work.target_path, work.key, None)
    if left is None or work.sha256 is None:
        return False
    try:
        wanted = [stub(work.step.volume, work.step.path, work.sha256, work.step.fingerprint.size_bytes), _link(run, work.step.volume, work.step.path)]
        return left.digest()[0] in {hashlib.sha256(text).digest() for text in wanted}
    finally:
        left.close()


def _wanted(run: Run, work: Work, found: Fingerprint) -> bytes:
    assert work.sha256 is not None  # noqa: S101  # the caller has looked
    if found.type == "symlink":
        return _link(run, work.step.volume, work.step.path)
    return stub(work.step.volume, work.step.path, work.sha256, work.step.fingerprint.size_bytes)


def _text(source: Source) -> bytes:
    return b"".join(bytes(block) for block in source.blocks())


def _link(run: Run, volume: str, path: bytes) -> bytes:
    return run.folder(volume) + b"/" + path


def stub(volume: str, path: bytes, sha256: bytes, size_bytes: int) -> bytes:
    """The text of a stub: where the content is, and what it is."""
    return stubs.write(stubs.Stub(volume, names.escape(path), sha256, size_bytes))
