"""Keeps a folder of this host like the catalog on an object store: logs as they grow, files when they are read, and what is new goes there.

Files and commits never change once they are there, so what the folder has is what the store has. Readers of the folder are those of every catalog.
"""

import math
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from catalog import log, place
from catalog.durable import sync
from catalog.errors import CatalogError, RefusedError, SpoiledError, UnreachableError
from catalog.schema import TABLES

if TYPE_CHECKING:
    from catalog.bucket import Bucket, Listed

_SECONDS = 1.0  # what was seen of the store so long ago is what holds
_USED_SECONDS, _KEPT_SECONDS = 3600.0, 7 * 86400.0  # a file is said to be used so often, and stays so long after that
_LEFT_SECONDS = 86400.0  # a file that was begun so long ago is nobody's any more
_TEMPORARY = re.compile(r"\..+~[0-9a-f]{16}")
_OVERLAP = 5  # of versions that are listed again: a checkpoint comes later than the commit after it
_AT_ONCE = 16  # requests
# Looked at before all others, and put into the mirror after them: what publishes is written last, so that what it rests on is there when that is looked at.
_PUBLISHING = ("snapshots", "scans")
_OPEN = ("digests", "history", "verifications")  # of which a snapshot has more than files of its own

_locks: dict[Path, threading.RLock] = {}
_buckets: "dict[tuple[Path, int], Bucket]" = {}
_safe: set[tuple[Path, int]] = set()
_tidied: set[tuple[Path, int]] = set()
_looked: dict[tuple[Path, int], float] = {}


def catch_up(root: Path, written: str | None = None) -> None:
    """Bring the logs of all tables of a mirror to what the store had a second ago, and that of one that was just `written` to what it has now.

    Of a folder that is no mirror nothing. Raises CatalogError, UnreachableError.
    """
    if place.of(root) is None:
        return
    with _lock(root):
        now, key = time.monotonic(), (root, os.getpid())
        found = bucket(root)
        if written is not None and written not in _PUBLISHING:
            _catch_up(root, found, written)
        elif _missing(root, found, written) if written is not None else now - _looked.get(key, -_SECONDS) >= _SECONDS:
            with ExitStack() as last:
                for name in _PUBLISHING:
                    last.enter_context(_brought(root, found, name))
                _each(lambda name: _catch_up(root, found, name), [name for name in TABLES if name not in _PUBLISHING])
            _looked[key] = now


def fetch(root: Path, table: str, sizes: Mapping[str, int]) -> None:
    """Have files of a table, by their paths in its folder and their sizes, lie there. Raises CatalogError where one is gone.

    Of a folder that is no mirror nothing.
    """
    if place.of(root) is None:
        return
    missing = [path for path, size_bytes in sizes.items() if not _is_there(root / table / path, size_bytes)]
    if missing:
        found = bucket(root)
        _forget_once(root)
        _each(lambda path: _fetch(root, found, f"{table}/{path}", sizes[path]), missing)


def publish(root: Path, table: str, paths: Iterable[str]) -> None:
    """Store files of a mirror where all can read them, before a commit names them. Writes. Raises RefusedError where that is not safe, UnreachableError."""
    found = bucket(root)
    refuse_unsafe(root)
    _each(lambda path: found.upload(f"{table}/{path}", root / table / path), paths)


def refuse_unsafe(root: Path) -> None:
    """Raises RefusedError where the bucket of a mirror lets one commit overwrite another. Asks it once a process; writes a canary."""
    key = (root, os.getpid())
    with _lock(root):
        if key not in _safe:
            bucket(root).refuse_unsafe()
            _safe.add(key)
            _tidy(root)  # who only scans may never fetch anything


@contextmanager
def staged(root: Path, table: str, version: int) -> Iterator[Path]:
    """A folder for a while, with as much of a table's log as tells a version of it: there delta-rs writes the commit that is to be the next one.

    It never speaks with the store itself: it would heed whatever variables of the environment begin with AWS_, and not see what became of its commit.
    """
    staging = root / ".tmp" / f"commit-{os.urandom(8).hex()}"
    folder = staging / table
    (folder / log.FOLDER).mkdir(parents=True)
    try:
        for name in log.needed(root / table, version):
            _link_or_copy(root / table / log.FOLDER / name, folder / log.FOLDER / name)
        yield folder
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def put_commit(root: Path, table: str, version: int, folder: Path) -> bool:
    """Store a commit that was written in a `staged` folder, over nothing, and the checkpoint that goes with it; gives whether it is that version now.

    Writes. Raises UnreachableError, CatalogError, and RefusedError where the store keeps it otherwise than it was sent.
    """
    found, into, commit = bucket(root), f"{table}/{log.FOLDER}/", log.commit_file(folder, version)
    try:
        if not found.commit(into + commit.name, commit.read_bytes()):
            return False
    except SpoiledError as error:
        kept = _keep(commit, root / "kept" / f"{table}-{os.urandom(4).hex()}-{commit.name}")
        text = f"mend what changes it, then put {kept} there, as {found.url}{into}{commit.name}; until then the table {table} is damaged"
        raise RefusedError(f"{error}; {text}") from error
    with suppress(CatalogError, UnreachableError, OSError):  # the commit is done; a checkpoint makes reading faster: the next one will do
        for name in log.checkpoint_names(folder, version):
            found.upload(into + name, folder / log.FOLDER / name)
    return True


def _link_or_copy(file: Path, into: Path) -> None:
    try:
        os.link(file, into)
    except OSError:  # one of another user, which Linux lets nobody link who may not write it; or a file system without links
        shutil.copyfile(file, into)


def _keep(file: Path, into: Path) -> Path:
    """Keep a file that nobody else has, durably; gives where."""
    into.parent.mkdir(exist_ok=True)
    shutil.copyfile(file, into)
    sync(into)
    sync(into.parent)
    return into


def remove(root: Path, table: str, paths: Iterable[str]) -> None:
    """Remove files of a table from the store; what the mirror has of them stays until nobody has used it for long. Writes. Raises UnreachableError."""
    found = bucket(root)
    _each(lambda path: found.remove(f"{table}/{path}"), paths)


def lying(root: Path, table: str) -> "list[Listed]":
    """The files of a table on the store, whatever its log says, by their paths in its folder; without its log. Raises UnreachableError."""
    return [one for one in bucket(root).list(f"{table}/") if not one.path.startswith(f"{table}/{log.FOLDER}/")]


@contextmanager
def as_stored(root: Path, table: str, path: str) -> Iterator[Path]:
    """A file of a table as it is stored: of a mirror a copy that is fetched for this. Raises FileNotFoundError, UnreachableError."""
    if place.of(root) is None:
        yield root / table / path
        return
    copy = root / ".tmp" / f"stored-{os.urandom(8).hex()}"
    copy.parent.mkdir(exist_ok=True)
    try:
        bucket(root).download(f"{table}/{path}", copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def log_differences(root: Path, table: str) -> list[tuple[str, str]]:
    """What of a table's log lies in a mirror, by its name, and on the store not as it does here, and how. Raises UnreachableError."""
    if place.of(root) is None:
        return []
    folder = f"{table}/{log.FOLDER}/"
    found, here = bucket(root), log.names(root / table)  # before what the store has: another process may bring what comes there meanwhile
    listed = {one.path.removeprefix(folder): one for one in found.list(folder)}
    wrong: list[tuple[str, str]] = []
    for name in here:
        if not log.order(name):
            continue
        content, there = (root / folder / name).read_bytes(), listed.get(name)
        if there is None:
            wrong.append((name, "this part of the log is not there any more"))
        elif there.size_bytes != len(content):
            wrong.append((name, f"it has {there.size_bytes} bytes, and had {len(content)}"))
        elif not found.holds(there, content):
            wrong.append((name, "it holds something else than it did when this host read it"))
    return wrong


def bucket(root: Path) -> "Bucket":
    """The bucket of a mirror, as this process speaks to it: a fork must not use the connections of its parent."""
    from catalog.bucket import Bucket

    key, found = (root, os.getpid()), place.of(root)
    assert found is not None  # noqa: S101  # who asks has looked
    with _lock(root):
        if key not in _buckets:
            _buckets[key] = Bucket(found)
        return _buckets[key]


def _lock(root: Path) -> threading.RLock:
    """What the threads of this process take before they look at a mirror, or bring something there."""
    return _locks.setdefault(root, threading.RLock())


def _catch_up(root: Path, found: "Bucket", table: str) -> None:
    """Have the log of a table in the mirror be what it is on the store."""
    with _brought(root, found, table):
        pass


@contextmanager
def _brought(root: Path, found: "Bucket", table: str) -> Iterator[None]:
    """Fetch the commits and checkpoints of a table that the mirror lacks; they are put there in the end, if all went well.

    In their order: at every moment the log that lies there is one that was.
    """
    wanted, folder = _missing(root, found, table), root / table / log.FOLDER
    temporary = {name: folder / f".{name}~{os.urandom(8).hex()}" for name in wanted}
    if wanted:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        _each(lambda name: found.download(wanted[name].path, temporary[name]), temporary)
        yield
        for name, listed in wanted.items():
            if math.isfinite(listed.stored_at):
                os.utime(temporary[name], (listed.stored_at, listed.stored_at))
            temporary[name].replace(folder / name)
    finally:
        for file in temporary.values():
            file.unlink(missing_ok=True)


def _missing(root: Path, found: "Bucket", table: str) -> "dict[str, Listed]":
    """The commits and checkpoints of a table that the mirror lacks, by their names, in their order. Raises CatalogError for what is another table."""
    newest, folder = log.newest(root / table), f"{table}/{log.FOLDER}/"
    here = log.names(root / table)
    listed = {one.path.removeprefix(folder): one for one in found.list(folder, f"{folder}{max(0, newest - _OVERLAP):020d}" if newest >= 0 else "")}
    if newest >= 0:
        last = log.commit_file(root / table, newest)
        known = listed.get(last.name)
        if known is None or not found.holds(known, last.read_bytes()):
            raise CatalogError(
                f"{found.url}{table}: is not the table that this host knew, which had a version {newest}: another catalog was put there,"
                f" or an older state of it; if that is meant, remove {root}"
            )
    wanted = sorted((order, name) for name in listed if name not in here and (order := log.order(name)))
    return {name: listed[name] for _, name in wanted}


def _fetch(root: Path, found: "Bucket", path: str, size_bytes: int) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}~{os.urandom(8).hex()}")
    try:
        found.download(path, temporary)
        if temporary.stat().st_size != size_bytes:
            raise CatalogError(f"{found.url}{path}: has {temporary.stat().st_size} bytes; {size_bytes} were written; 'lastcopy catalog verify' says more")
        temporary.replace(file)
    except FileNotFoundError as error:
        raise CatalogError(f"{found.url}{path}: is not there any more; 'lastcopy catalog expire' removes what is read by nobody for long; ask again") from error
    finally:
        temporary.unlink(missing_ok=True)


def _is_there(file: Path, size_bytes: int) -> bool:
    """Whether a file is there, whole; then it is known to be used."""
    try:
        found = file.stat()
        if found.st_mtime < time.time() - _USED_SECONDS:
            with suppress(PermissionError):  # another user's
                os.utime(file)
    except FileNotFoundError:
        return False
    return found.st_size == size_bytes


def _forget_once(root: Path) -> None:
    """Remove files that nobody used for long, once a process: the store has them. Those of scans that are interrupted it has not.

    Those of the newest snapshot stay: `serve` has them open by their names, however seldom it is asked.
    """
    from catalog import snapshot
    from catalog import table as tables

    key, before = (root, os.getpid()), time.time() - _KEPT_SECONDS
    with _lock(root):
        if key in _tidied:
            return
        _tidied.add(key)
    kept = {f"scan_id={entry.name}" for entry in (root / ".scans").iterdir()} if (root / ".scans").is_dir() else set()
    named: set[Path] = set()
    if known := snapshot.snapshots(root):
        newest = snapshot.newest(known)
        kept |= {f"snapshot_id={newest.snapshot_id}", f"snapshot_id={newest.previous_id}", *(f"scan_id={scan_id}" for scan_id in newest.scans.values())}
        named = {root / name / path for name in _OPEN for path in tables.named(root, name, newest.versions.get(name))}
    _tidy(root)
    for name in TABLES:
        for file in (root / name).rglob("*.parquet"):
            if log.FOLDER in file.parts or file in named or not kept.isdisjoint(file.parts):
                continue
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < before:
                    file.unlink()


def _tidy(root: Path) -> None:
    """Remove what processes left that were killed while they fetched or committed something: nobody takes a day for it.

    By when it came there: what is about to become a part of a log has the time of that on the store already.
    """
    before = time.time() - _LEFT_SECONDS
    left = [*(root / ".tmp").glob("commit-*"), *(root / ".tmp").glob("stored-*")]
    left += [file for name in TABLES for file in (root / name).rglob(".*~*") if _TEMPORARY.fullmatch(file.name)]
    for path in left:
        with suppress(FileNotFoundError, PermissionError):  # another process's by now, or another user's
            if path.stat().st_ctime < before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _each(act: Callable[[str], object], names: Iterable[str]) -> None:
    """Do something for each of some names, several at once; raises the first error, after all are done."""
    some = list(names)
    if len(some) == 1:
        act(some[0])
    elif some:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_AT_ONCE, len(some))) as threads:
            list(threads.map(act, some))
