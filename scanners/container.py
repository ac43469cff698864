"""Archives: tar (plain, gzip, bzip2, xz, Zstandard), zip and 7z, one file or all of a folder. Members are entries; nothing is ever extracted to a name."""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import pyarrow as pa

from catalog import glob, hashes, names
from catalog.errors import UnreachableError
from catalog.schema import ENTRIES
from scanners import Capabilities, Facts, Shard, ShardRecord, Sink, _kernel, _omissions, _place
from scanners._archive import DamagedError, is_named_as_one
from scanners._members import Members
from scanners._root import Rooted
from scanners._unpacking import told
from scanners.reading import Problem, Reply

_NONE = {"accessed_at", "changed_at", "changed_ns", "created_at", "allocated_bytes", "media_type", "tags", "storage_class", "digest"}
_OF_OTHERS = {
    "version_id",
    "is_latest",
    "etag",
    "lock_mode",
    "retain_until",
    "legal_hold",
    "lock_seen_at",
    "restore_state",
    "first_recovery_point",
    "last_recovery_point",
}
CAPABILITIES = Capabilities(columns=frozenset(ENTRIES.names) - _NONE - _OF_OTHERS, read_through=True)

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_Content = tuple[str | None, str | None, str | None]  # digest and sample in hex, and what was wrong
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True)
class _Walk:
    """What a folder of archives holds: folders and archives, escaped, with a trailing slash."""

    folders: list[str]
    archives: list[str]


class Scanner(Rooted):
    """Reads one archive, or every archive of a folder: each is a folder there, whose content is that of the archive."""

    def probe(self) -> Facts:
        """Look at the root. Raises UnreachableError."""
        status, space = os.fstat(self._root), os.fstatvfs(self._root)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise UnreachableError(f"volume {self._settings.volume}: {self._settings.location}: neither a file nor a folder")
        return Facts(
            fs_id=_place.fs_id(self._root),
            device=_place.devices(self._root, cross_mounts=self._settings.cross_mounts),
            clock="modified",
            capacity_bytes=space.f_blocks * space.f_frsize,
            free_bytes=space.f_bavail * space.f_frsize,
            empty=not os.listdir(self._root) if stat.S_ISDIR(status.st_mode) else status.st_size == 0,
        )

    def root_shard(self) -> Shard:
        """The root."""
        return Shard(0, ("",))

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """Read archives until none is left or the sink has had enough; of a folder, first find them."""
        waiting = sorted(shard.places)
        if waiting == [""] and stat.S_ISDIR(os.fstat(self._root).st_mode):
            waiting = self._find(sink)
            sink.leave(waiting)  # rows are sorted in a file: those of archives begin another
            return sink.finish()
        for number, place in enumerate(waiting):
            if number and sink.spent(0):
                sink.leave(waiting[number:])
                break
            self._list(place, sink)
        return sink.finish()

    def digests(self, rows: pa.RecordBatch) -> Reply:
        """Digests of members of one archive, in one pass over it. `rows` have the columns of `schema.DIGESTS` that entries give; all have one `fs_id`."""
        started, count = time.monotonic_ns(), rows.num_rows
        numbers, sizes = rows["inode"].to_pylist(), rows["size_bytes"].to_pylist()
        found, unread = self._contents(rows["dir"][0].as_py(), rows["fs_id"][0].as_py(), set(numbers))
        digests: list[bytes | None] = [None] * count
        samples: list[bytes | None] = [None] * count
        problems: list[Problem] = []
        for row, number in enumerate(numbers):
            digest, sample, error = found.get(number, (None, None, None))
            if digest is None:
                problems.append((row, "read", error, None) if error else (row, *unread))
            else:
                digests[row], samples[row] = bytes.fromhex(digest), bytes.fromhex(sample) if sample else None
        total = sum(size for size, digest in zip(sizes, digests, strict=True) if digest)
        return Reply(started, [time.monotonic_ns()] * count, digests, samples, total, problems)

    def _contents(self, directory: str, state: str, wanted: set[int]) -> tuple[dict[int, _Content], tuple[str, str, int | None]]:
        """What some members of the archive that holds a directory contain, by their numbers; and stage, error and errno for those that are not among them."""
        found: dict[int, _Content] = {}
        damage = "it ended before this member"
        try:
            descriptor = self._open_archive(directory)
        except OSError as error:
            return found, ("open", error.strerror or str(error), error.errno)
        try:
            if _state(descriptor) == state:
                for message in told(descriptor, {"wanted": sorted(wanted)}):
                    damage = message.get("damaged", damage)
                    found |= {number: (digest, sample, error) for number, digest, sample, error in message.get("contents", ())}
            if _state(descriptor) != state:
                return {}, ("changed", "the archive is not, or no longer, what was scanned", None)
        finally:
            os.close(descriptor)
        return found, ("read", f"the archive: {damage}", None)

    def _find(self, sink: Sink) -> list[str]:
        """Walk through a folder: its folders and archives become entries of type `dir`. Gives the places of the archives."""
        found, waiting = _Walk([], []), [b""]
        while waiting:
            self._look(waiting.pop(), found, waiting, sink)
        rows = sorted((f"{head}{slash}", name) for path in (*found.folders, *found.archives) for head, slash, name in [path[:-1].rpartition("/")])
        if rows:
            dirs, last = zip(*rows, strict=True)
            columns = {
                "dir": pa.array(dirs).dictionary_encode(),
                "name": pa.array(last),
                "path_hash": pa.array([hashes.of_path(names.unescape(head + name)) for head, name in rows], pa.int64()),
                "type": pa.array(["dir"] * len(rows)).dictionary_encode(),
                "size_bytes": pa.array([0] * len(rows), pa.int64()),
                "time_flags": pa.array([0] * len(rows), pa.int32()),
            }
            sink.write(columns)
        return sorted(found.archives)

    def _look(self, folder: bytes, found: _Walk, waiting: list[bytes], sink: Sink) -> None:
        """What one folder holds; links are not followed, file systems are not left unless the volume says so."""
        try:
            descriptor = _kernel.open_beneath(self._root, folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK, self._settings.cross_mounts)
        except OSError as error:
            if error.errno != errno.EXDEV:
                sink.problem(names.escape(folder.rstrip(b"/")), "list", error.strerror or str(error), error.errno, hides_below=error.errno not in _GONE)
            return
        try:
            with os.scandir(descriptor) as entries:
                seen = sorted(((names.escape(folder + os.fsencode(entry.name)), _shape(entry)) for entry in entries), key=itemgetter(0))
        except OSError as error:
            sink.problem(names.escape(folder.rstrip(b"/")), "list", error.strerror or str(error), error.errno, hides_below=True)
            return
        finally:
            os.close(descriptor)
        seen = [(path, shape) for path, shape in seen if f"{path}/" not in self._settings.skip]
        told_of = pa.array([f"{path}/" if shape == "dir" else path for path, shape in seen], pa.string())
        out = glob.excluded(self._settings.exclude, told_of).to_pylist() if self._settings.exclude is not None else [False] * len(seen)
        for (path, shape), is_out in zip(seen, out, strict=True):
            if is_out or shape == "other" or (shape == "dir" and self._is_of_jobs(path)):
                sink.exclude(1)
            elif shape == "dir":
                found.folders.append(f"{path}/")
                waiting.append(names.unescape(path) + b"/")
            else:
                found.archives.append(f"{path}/")

    def _list(self, place: str, sink: Sink) -> None:
        """The members of one archive."""
        path = place[:-1]
        try:
            descriptor = self._open_archive(place)
        except OSError as error:
            sink.problem(path, "open", error.strerror or str(error), error.errno, hides_below=error.errno not in _GONE)
            return
        try:
            members = Members(place, _state(descriptor), self._settings.started_us, self._settings.exclude)
            refused: list[tuple[str, str]] = []
            damage: str | None = None
            for message in told(descriptor, {"place": place}):
                members.last_wins = message.get("last_wins", members.last_wins)
                if message.get("members"):
                    members.add(message["members"])
                refused += message.get("refused", ())
                damage = message.get("damaged", damage)
            if _state(descriptor) != members.state:
                sink.problem(path, "changed", "the archive was changed while it was read", None, hides_below=True)
                return
        finally:
            os.close(descriptor)
        self._write(members, refused, damage, path, sink)
        sink.exclude(members.left_out)

    def _write(self, members: Members, refused: list[tuple[str, str]], damage: str | None, path: str, sink: Sink) -> None:
        try:
            batches, unclear = members.settle()
        except DamagedError as error:
            batches, unclear, damage = [], [], str(error)
        for batch in batches:
            sink.write(batch)
        for name, why in (*refused, *unclear):
            sink.problem(name, "name", why, None, hides_below=False)
        if damage:
            sink.problem(path, "list", f"the archive: {damage}", None, hides_below=True)

    def _open_beneath(self, path: bytes, flags: int) -> int:
        return _kernel.open_beneath(self._root, path, flags, self._settings.cross_mounts)

    def _is_of_jobs(self, path: str) -> bool:
        above, _, name = os.fsdecode(names.unescape(path)).rpartition("/")
        return name == _omissions.HOME and _omissions.is_ours_alone(self._root, f"{above}/" if above else "", self._settings.cross_mounts)

    def _open_archive(self, place: str) -> int:
        """A descriptor of the archive that holds a directory. Raises OSError."""
        if not stat.S_ISDIR(os.fstat(self._root).st_mode):
            return _regular(_quietly(lambda flags: os.open(f"/proc/self/fd/{self._root}", flags), os.O_RDONLY | os.O_NONBLOCK), place)
        for above in _prefixes(names.unescape(place)):
            descriptor = _quietly(partial(self._open_beneath, above), _OPEN)
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                return _regular(descriptor, place)
            os.close(descriptor)
        raise OSError(errno.ENOENT, "no archive is there any more", place)


def _shape(entry: "os.DirEntry[str]") -> str:
    """What an entry of a folder of archives is: dir | archive | other."""
    if entry.is_dir(follow_symlinks=False):
        return "dir"
    return "archive" if entry.is_file(follow_symlinks=False) and is_named_as_one(entry.name) else "other"


def _prefixes(path: bytes) -> Iterator[bytes]:
    """A directory's path and those above it, the shortest first, without trailing slashes."""
    at = path.find(b"/")
    while at >= 0:
        yield path[:at]
        at = path.find(b"/", at + 1)


def _quietly(opening: Callable[[int], int], flags: int) -> int:
    """A descriptor that leaves the access time alone where the kernel lets us. Raises OSError."""
    try:
        return opening(flags | os.O_NOATIME)
    except PermissionError:  # O_NOATIME is the owner's right, see open(2)
        return opening(flags)


def _regular(descriptor: int, place: str) -> int:
    """The descriptor, if it is that of a regular file. Raises OSError."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", place)
    return descriptor


def _state(descriptor: int) -> str:
    """What changes whenever the archive file does: the file system of its members, so that nothing that was read of them outlives a change."""
    status = os.fstat(descriptor)
    told_of: tuple[Any, ...] = (_place.fs_id(descriptor), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return f"archive-{hashlib.sha256(repr(told_of).encode()).hexdigest()[:32]}"
