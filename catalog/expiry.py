"""Drops what is derived of old snapshots, which can be derived again, and removes files that nothing can need any more. What scans saw stays."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from catalog import compaction, inventory, lock, log, mirror, place, retention, snapshot, table
from catalog.durable import sync
from catalog.errors import CatalogError, ConfigError
from catalog.retention import Wish
from catalog.schema import DERIVED, READ_NOW, TABLES

KEPT_FOR_EVER = "history"  # sums of every snapshot, a row a volume and class
DROPPED = tuple(name for name in DERIVED if name != KEPT_FOR_EVER)
LEAST_GRACE_SECONDS = 3600.0
# Of files on an object store that no log names: another host may be about to commit them, and its locks are not seen here.
_LEASE_SECONDS = 2 * table.LONGEST_SECONDS
_SCANS, _READERS = "volume-", "digest-"  # locks of who may have written a file that is not in a log yet


@dataclass(frozen=True)
class Dropped:
    """What is derived of one snapshot and leaves the tables; its files are removed after the grace time."""

    snapshot_id: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Removed:
    """Files of one table, by its name, that nothing can need any more."""

    name: str
    paths: tuple[str, ...] = ()  # relative to the table's folder
    bytes: int = 0
    commits: frozenset[int] = frozenset()  # that took them out


@dataclass(frozen=True)
class Expiry:
    """What is kept, and why; what is dropped; what is removed."""

    kept: Mapping[str, Sequence[str]]  # snapshot id -> reasons, oldest first
    dropped: Sequence[Dropped]
    removed: Sequence[Removed]


def plan(root: Path, wish: Wish, now_s: float, grace_seconds: float) -> Expiry:
    """What `expire` would do now. Reads only. Raises CatalogError, OSError."""
    known = snapshot.snapshots(root)
    reasons = retention.kept(known, snapshot.newest(known), wish) if known else {}
    kept = {one.snapshot_id: reasons[one.snapshot_id] for one in known if one.snapshot_id in reasons}
    # A snapshot that is not published is one that is being derived, or whose derivation was killed: what is derived of it is not old.
    old = {one.snapshot_id for one in known} - set(kept)
    dropped = [_of_snapshot(root, snapshot_id) for snapshot_id in sorted(old)]
    removed = [_of_table(root, name, known, now_s - grace_seconds) for name in TABLES]
    return Expiry(kept, [one for one in dropped if one.files], [one for one in removed if one.paths])


def expire(root: Path, wish: Wish, now_s: float, grace_seconds: float) -> Expiry:
    """Drop what is derived of snapshots that are not kept, then remove files that nothing needed during the grace time; gives what was done.

    Writes to the catalog only. The removal is in the log, on disk, before the first file goes: killed at any moment the catalog is whole. Safe beside scans
    and readers that began within the grace time. Raises LockedError where another run derives or is at it, CatalogError where a table is damaged,
    ConfigError for a grace time that is too short.
    """
    if grace_seconds < LEAST_GRACE_SECONDS:
        raise ConfigError("a grace time of less than an hour: readers that began before could lose their files")
    with ExitStack() as held:
        for name in (compaction.LOCK, "derive"):
            held.enter_context(lock.hold(root, name))
        found = plan(root, wish, now_s, grace_seconds)
        _drop(root, {one.snapshot_id for one in found.dropped})
        for removed in found.removed:
            _remove(root, removed)
        return found


def _of_snapshot(root: Path, snapshot_id: str) -> Dropped:
    files = [file for name in DROPPED for file in table.named(root, name, snapshot_id=[snapshot_id]).values()]
    return Dropped(snapshot_id, len(files), sum(file.size_bytes for file in files))


def _drop(root: Path, old: set[str]) -> None:
    """Take what is derived of snapshots out of the tables, each in one commit. `files` go before their `verdicts`, and so never stand without them."""
    for name in sorted(DROPPED, key=lambda name: name == "verdicts"):
        if old and (files := table.named(root, name, snapshot_id=old)):
            table.commit(root, name, [], f"expire-{uuid.uuid4().hex}", [str((root / name / path).absolute()) for path in files])


def _of_table(root: Path, name: str, known: Iterable[snapshot.Snapshot], before_s: float) -> Removed:
    """The files in a table's folder that no version that is read names, and nobody who began after `before_s` can know of."""
    folder = root / name
    if not table.exists(root, name):
        return Removed(name)
    # In this order: a scan that is published and forgotten meanwhile is in what is read of the log after that. The other way round its files would be nobody's.
    lying = inventory.lying(root, name)
    unfinished = _unfinished(root)
    lease = _LEASE_SECONDS if place.of(root) else 0.0
    is_listed = name in ("digests", *READ_NOW) and _is_any_held(
        root, _READERS
    )  # a run that reads contents holds the list of files that it began with, however long
    now = table.state(root, name)
    pinned = {one.versions[name] for one in known if name in one.versions and name not in READ_NOW}
    lives = _lives(folder, pinned, now.version)
    found, commits = dict[str, int](), set[int]()
    for path, file in sorted(lying.items()):
        if not file.is_regular or not table.is_own(name, path) or path in now.files:
            continue
        of = lives.get(path, [])
        if (
            (of and is_listed)
            or any(life.holds(version) for life in of for version in pinned)
            or (not of and (unfinished is None or not unfinished.isdisjoint(path.split("/"))))
        ):
            continue
        if max([file.modified_at, *(_ended_s(folder, life) for life in of)]) < before_s - (0.0 if of else lease):
            found[path] = file.size_bytes
            commits.update(life.until for life in of if life.until is not None)
    return Removed(name, tuple(found), sum(found.values()), frozenset(commits))


def _lives(folder: Path, pinned: Iterable[int], newest: int) -> Mapping[str, Sequence[log.Life]]:
    """How long each file was part of a table. Raises CatalogError where the log does not tell that of all versions that are read."""
    try:
        since, lives = log.lives(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CatalogError(f"{folder}: its log is damaged ({error}), so nothing is removed; 'lastcopy catalog verify' says more") from error
    if any(0 <= version < since or version > newest for version in pinned):
        raise CatalogError(f"{folder}: a snapshot reads a version that the log does not have, so nothing is removed; 'lastcopy catalog verify' says more")
    return lives


def _ended_s(folder: Path, life: log.Life) -> float:
    """When a file was taken out of a table; never, where the log does not tell. The clock of who did it may be behind: its commit is no older than its file."""
    if life.until is None or life.removed_ms is None:
        return float("inf")
    return max(life.removed_ms / 1000, log.commit_file(folder, life.until).stat().st_mtime)


def _unfinished(root: Path) -> set[str] | None:
    """The folders of files of scans that are interrupted, and can be gone on with. None: something is writing now, so that no file is known to be nobody's."""
    if _is_any_held(root, _SCANS, _READERS):
        return None
    folder = root / ".scans"
    return {f"scan_id={entry.name}" for entry in folder.iterdir()} if folder.is_dir() else set()


def _is_any_held(root: Path, *beginnings: str) -> bool:
    locks = [entry.name for entry in (root / ".locks").iterdir()] if (root / ".locks").is_dir() else []
    return any(name.startswith(beginnings) and lock.is_held(root, name) for name in locks)


def _remove(root: Path, removed: Removed) -> None:
    """Remove files whose leaving is in the log, and on disk; and the folders that are empty then."""
    folder = root / removed.name
    if place.of(root):
        mirror.remove(root, removed.name, removed.paths)
        return
    for commit in sorted(removed.commits):
        sync(log.commit_file(folder, commit))
    sync(folder / log.FOLDER)
    for path in removed.paths:
        (folder / path).unlink(missing_ok=True)
    for parent in _parents(removed.paths):
        try:
            (folder / parent).rmdir()
        except OSError:  # not empty: something of it is kept
            continue


def _parents(paths: Iterable[str]) -> Iterator[str]:
    """The folders of paths, the deepest first."""
    found = {str(parent) for path in paths for parent in Path(path).parents if str(parent) != "."}
    yield from sorted(found, key=len, reverse=True)
