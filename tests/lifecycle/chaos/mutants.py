"""Engines with one safety measure taken out, for the length of one child process. Each must be caught by a sweep."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Body = Callable[[], int | None]


def _put(place: object, name: str, value: object) -> None:
    """Replace something of the engine; it must be there, or the mutant would be none."""
    getattr(place, name)
    setattr(place, name, value)


def applied(name: str | None, body: Body) -> Body:
    """The body of a child in which that measure, or that ability of the kernel, is missing."""
    if name is None:
        return body

    def bad() -> int | None:
        {**MUTANTS, **LACKS}[name]()
        return body()

    return bad


def _no_fsync() -> None:
    """Nothing is made durable."""
    _put(os, "fsync", lambda _descriptor: None)


def _no_directory_fsync() -> None:
    """Names are not made durable, contents are."""
    real = os.fsync

    def only_files(descriptor: Any) -> None:  # noqa: ANN401  as os.fsync has it
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            real(descriptor)

    _put(os, "fsync", only_files)


def _no_reading_back() -> None:
    """A copy is taken for good because it was written."""
    from lifecycle import copying

    _put(copying, "_reads_back", lambda _work: None)


def _reading_back_from_memory() -> None:
    """What is read back is what the kernel remembers, not what the storage has."""
    from scanners import _stored

    _put(_stored, "drop_cache", lambda _descriptor: None)
    _put(_stored, "past_memory", lambda _descriptor, *, wanted: not wanted)


def _unlink_in_place_of_quarantine() -> None:
    """The source is removed, not moved."""
    from lifecycle.stores._quarantine import Quarantine

    def remove(self: Any, move: Any) -> Any:  # noqa: ANN401  as the method that it replaces
        with self._tree.directory(move.path, "remove") as (directory, name):
            os.unlink(name, dir_fd=directory)
        return move.expected

    _put(Quarantine, "move_in", remove)


def _clobbering_moves() -> None:
    """Files get their names by a rename that overwrites."""
    from lifecycle.stores import _calls

    def over(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
        os.rename(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)

    _put(_calls, "rename_new", over)


def _source_gone_before_publish() -> None:
    """The source is removed as soon as its copy is written, under whatever name."""
    from lifecycle import copying

    real = copying.publish

    def greedy(run: Any, works: Sequence[Any]) -> None:  # noqa: ANN401  as the stage that it replaces
        for work in works:
            if work.live:
                os.unlink(os.path.join(run.folder(work.step.volume), work.step.path))
        real(run, works)

    _replace_stage("publish", greedy)


def _says_before_it_acts() -> None:
    """The journal says QUARANTINED before anything was moved."""
    from lifecycle import retiring

    real = retiring.retire

    def hasty(run: Any, works: Sequence[Any]) -> None:  # noqa: ANN401  as the stage that it replaces
        going = [work for work in works if work.live and work.moved is None]
        run.advance(going, "QUARANTINED", lambda work: {"quarantine_fingerprint": work.step.fingerprint, "sha256": work.sha256})
        real(run, works)

    _replace_stage("retire", hasty)


def _no_last_look() -> None:
    """No lease, no look at the source before it is moved, nor at what was moved."""
    from lifecycle.stores import Fingerprint, _calls

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EINVAL, "no leases")

    _put(_calls, "lease", refuse)
    _put(Fingerprint, "differs", lambda _self, _found, **_how: None)
    _replace_stage("check", lambda run, works: run.advance(works, "GUARDED"))


def _discard_takes_the_target() -> None:
    """Cleaning up after a failure removes what is at the final name."""
    from lifecycle.stores import _staging

    real = _staging.discard

    def greedy(tree: Any, path: bytes, key: str, inode: int | None) -> None:  # noqa: ANN401  as the function that it replaces
        real(tree, path, key, inode)
        with contextlib.suppress(Exception), tree.directory(path, "discard") as (directory, name):
            os.unlink(name, dir_fd=directory)

    _put(_staging, "discard", greedy)


def _keeps_temporary_names() -> None:
    """Nothing is cleaned up."""
    from lifecycle.stores import _staging

    _put(_staging, "discard", lambda _tree, _path, _key, _inode: None)


def _undo_overwrites() -> None:
    """A file comes back over whatever has its name by now."""
    from lifecycle.stores import _quarantine

    def over(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
        os.rename(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)

    _put(_quarantine, "move_new", over)


def _floor_ignores_the_ledger() -> None:
    """Copies that are being taken away by others still count."""
    from lifecycle import ledger

    _put(ledger, "_entries", lambda _connection, _sha256s: {})


def _check_then_drop() -> None:
    """The floor is asked, and nothing is marked: two that ask at once are both told yes."""
    from lifecycle import ledger

    real = ledger.retire

    def forgetful(connection: Any, *rest: Any) -> Any:  # noqa: ANN401  as the function that it replaces
        answers = real(connection, *rest)
        connection.execute("DELETE FROM ledger")
        return answers

    _put(ledger, "retire", forgetful)


def _purge_without_reading() -> None:
    """What is purged, and what justifies it, is believed to be what the journal says."""
    from lifecycle import purging, retiring

    _put(purging, "content", lambda run, work, _source, _size: retiring.original(run, work).sha256)

    def believed(run: Any, copy: Any, work: Any) -> tuple[str, bytes | None]:  # noqa: ANN401  as the function that it stands for
        found = run.store(copy.volume).look(copy.path)
        if found is None:
            return "gone", None
        work.read[copy.volume, copy.path] = found
        return "read", work.sha256

    _put(purging, "_read_now", believed)


def _no_floor() -> None:
    """Anything may be taken away."""
    from lifecycle import guard

    _put(guard, "allowed", lambda floor, copies, _gone: guard.Verdict(allowed=True, floor=floor, counted=tuple(copies), others=()))


def _no_claims() -> None:
    """Engines do not keep each other from a chunk."""
    from lifecycle.journal import Journal

    @contextlib.contextmanager
    def always(_self: Any, _job: str, _chunk: int) -> Iterator[bool]:  # noqa: ANN401  as the method that it replaces
        yield True

    _put(Journal, "claim", always)


def _follows_links() -> None:
    """Paths are opened by name, through whatever link stands in them."""
    from scanners import _kernel

    def followed(directory: int, path: bytes, flags: int, _cross: bool = False) -> int:
        return os.open(path or b".", flags & ~os.O_NOFOLLOW if flags & os.O_DIRECTORY else flags, dir_fd=directory)

    _put(_kernel, "open_beneath", followed)


def _duplicates_are_believed() -> None:
    """What the catalog calls equal is not compared, nor kept from being written to meanwhile."""
    from lifecycle import sharing
    from lifecycle.stores import Fingerprint, _calls

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EINVAL, "no leases")

    def alike(_run: Any, work: Any, staged: Any, metadata: Any, _how: Any) -> None:  # noqa: ANN401  as the function that it replaces
        staged.finish(metadata)
        staged.sync()
        staged.digest()  # and what it gives is not looked at
        work.sha256 = work.step.sha256

    _put(_calls, "lease", refuse)
    _put(Fingerprint, "differs", lambda _self, _found, **_how: None)
    _put(sharing, "_refuse_unleased", lambda *_: None)
    _put(sharing, "_made_alike", alike)


def _stand_ins_go_unread() -> None:
    """An undo takes away whatever is at the name now, if its inode is that of what was left there."""
    from lifecycle.stores import _reading, _standins

    def opened(tree: Any, directory: int, name: bytes, path: bytes, _text: bytes) -> Any:  # noqa: ANN401  as the function that it replaces
        found = tree.fingerprint_in(directory, name, path)
        return _reading.open_expected(tree, (directory, name), path, found, lease=False)

    _put(_standins, "opened", opened)
    _put(_standins, "is_it", lambda text, found: found is not None and f'"inode": {found.inode},'.encode() in text)


def _kernel_shares_nothing() -> None:
    """The kernel compares and shares no blocks (FIDEDUPERANGE), as on a network file system."""
    from lifecycle.stores import _calls

    _put(_calls, "dedupe", lambda _kept, _other, _size_bytes: "unsupported")


def _replace_stage(name: str, stage: Callable[[Any, Sequence[Any]], None]) -> None:
    from lifecycle import engine

    _put(engine, "STAGES", {**engine.STAGES, name: stage})


MUTANTS: dict[str, Callable[[], None]] = {
    "no fsync": _no_fsync,
    "no fsync of directories": _no_directory_fsync,
    "no reading back": _no_reading_back,
    "reading back from memory": _reading_back_from_memory,
    "unlink in place of quarantine": _unlink_in_place_of_quarantine,
    "clobbering publish": _clobbering_moves,
    "source gone before publish": _source_gone_before_publish,
    "the journal says before the act": _says_before_it_acts,
    "no lease, no last look": _no_last_look,
    "discard takes the target": _discard_takes_the_target,
    "temporary names are kept": _keeps_temporary_names,
    "undo overwrites": _undo_overwrites,
    "the floor ignores the ledger": _floor_ignores_the_ledger,
    "check, then drop": _check_then_drop,
    "purge without reading": _purge_without_reading,
    "no floor": _no_floor,
    "no claims": _no_claims,
    "links are followed": _follows_links,
    "duplicates are believed": _duplicates_are_believed,
    "stand-ins go unread": _stand_ins_go_unread,
}
LACKS: dict[str, Callable[[], None]] = {"FIDEDUPERANGE": _kernel_shares_nothing}  # what no engine has
