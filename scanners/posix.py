"""File trees: a walk by descriptors that follows no link and leaves no file system, with every column that statx(2) has."""

import errno
import gc
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, islice, repeat
from operator import attrgetter
from typing import Any

import numpy as np

from catalog import names
from catalog.errors import UnreachableError
from catalog.schema import ENTRIES
from catalog.stubs import Stub
from scanners import CHANGED, Capabilities, Facts, Settings, Shard, ShardRecord, Sink, Spot, _columns, _kernel, _omissions, _once, _place, _spots, _stubs
from scanners._root import Rooted

_OF_OBJECTS = {"version_id", "is_latest", "etag", "lock_mode", "retain_until", "legal_hold", "lock_seen_at", "restore_state", "digest"}
_OF_BACKUPS = {"first_recovery_point", "last_recovery_point"}
CAPABILITIES = Capabilities(columns=frozenset(ENTRIES.names) - _OF_OBJECTS - _OF_BACKUPS, local_files=True, elsewhere=True, looks=True)

_OPEN_DIRECTORIES = 128  # listed and stat'ed together
_GROUP = 8192  # names that are stat'ed together
_CALLS = 1024  # statx calls without letting another thread run
_LISTED_AT_ONCE_BYTES = 512 * 1024  # size of a directory above which it is listed piece by piece
_AGAIN = 3  # times that a directory is listed again which changed meanwhile
_WAITING = 20_000  # directories kept in memory; the others wait in the journal
_LARGE = 4 * _GROUP
_LONGEST_PATH = 16 * 1024  # bytes of a directory's path that is entered: four times what one call can name; sums by folder hold every one above it
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

Slots = np.ndarray[Any, Any]


@dataclass
class _Listing:
    """One open directory, or a piece of a very large one."""

    directory: str
    descriptor: int
    changed_ns: int  # before it was listed
    names: list[str]
    whole: bool = True
    repeated: bool = False  # whether it gave a name twice: it changed while it was listed
    again: bool = True  # whether `changed_ns` is of the time of opening, not of its entry in the directory above


@dataclass
class _Walk:
    """One shard on its way."""

    sink: Sink
    batch: _columns.Batch
    waiting: list[str] = field(default_factory=list)
    changed_ns: dict[str, int] = field(default_factory=dict)  # of waiting directories that are not large, when their entries were read
    listed_again: dict[str, int] = field(default_factory=dict)


class Scanner(Rooted):
    """Reads one file tree."""

    _FLAGS = os.O_RDONLY | os.O_DIRECTORY

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet."""
        super().__init__(settings)
        self._fs_ids: dict[tuple[int, int], str | None] = {}
        self._skipped = {os.fsdecode(names.unescape(directory)) for directory in settings.skip}
        self._statx = _kernel.statx_function()
        self._batch: _columns.Batch | None = None
        self._times = _kernel.ChangeTimes(_OPEN_DIRECTORIES)
        self._root_device = (0, 0)

    def probe(self) -> Facts:
        """Look at the root. Raises UnreachableError."""
        try:
            with os.scandir(self._root) as entries:
                leave = {f"{_omissions.HOME}/", *self._skipped}
                empty = all(f"{entry.name}/" in leave for entry in islice(entries, len(leave) + 1))
            space = os.statvfs(self._root)
        except OSError as error:
            raise UnreachableError(f"volume {self._settings.volume}: {self._settings.location}: {error.strerror}") from error
        return Facts(
            fs_id=self._root_fs_id(),
            device=_place.devices(self._root, cross_mounts=self._settings.cross_mounts),
            clock=_place.clock(_place.mount(self._root)),
            capacity_bytes=space.f_blocks * space.f_frsize,
            free_bytes=space.f_bavail * space.f_frsize,
            empty=empty and not _omissions.is_prepared(self._root, self._settings.cross_mounts),
            inode=os.fstat(self._root).st_ino,
        )

    def root_shard(self) -> Shard:
        """The root."""
        return Shard(0, ("",))

    def open_file(self, directory: str, name: str) -> int:
        """A descriptor for reading a regular file, that leaves its access time alone where the kernel lets us. Raises OSError.

        No link is followed; mounts are crossed. A FIFO does not block, a device or a directory gives EINVAL.
        """
        path = names.unescape(directory) + names.unescape(name)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        try:
            descriptor = _kernel.open_beneath(self._root, path, flags | os.O_NOATIME)
        except PermissionError:  # O_NOATIME is the owner's right, see open(2)
            descriptor = _kernel.open_beneath(self._root, path, flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", f"{directory}{name}")
        return descriptor

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """Walk from the shard's directories downwards until nothing is left or the sink has had enough."""
        walk = self._begun(sink, [os.fsdecode(names.unescape(place)) for place in reversed(shard.places)])
        collecting = gc.isenabled()
        gc.disable()  # a walk makes no cycles, and looking for them takes a tenth of its time
        try:
            while walk.waiting and not sink.spent(walk.batch.used):
                self._step(walk)
            self._flush(walk)
        finally:
            if collecting:
                gc.enable()
        sink.leave(_place_of(directory) for directory in reversed(walk.waiting))
        return sink.finish()

    def look(self, spots: Sequence[Spot], sink: Sink) -> tuple[ShardRecord, list[Spot]]:
        """Read names again, what lies below them is left; gives also those that are not what they were, or are not there, to be read as a whole."""
        walk, seen = self._begun(sink, []), _spots.Seen([], set())
        for directory, descriptor, here in _spots.Visitor(self._root, self._fs_ids, cross_mounts=self._settings.cross_mounts).visits(spots, seen):
            self._visit(walk, [_Listing(directory, descriptor, 0, here, whole=False)])
        self._flush(walk)
        sink.leave(_place_of(directory) for directory in walk.waiting if directory not in seen.alone)
        return sink.finish(), seen.again

    def _begun(self, sink: Sink, waiting: list[str]) -> _Walk:
        if not self._fs_ids:
            self._root_fs_id()
        self._batch = self._batch or _columns.Batch(self._settings.started_us)
        return _Walk(sink, self._batch, waiting)

    def _step(self, walk: _Walk) -> None:
        """Visit the next few directories together."""
        group: list[_Listing] = []
        count = 0
        try:
            while walk.waiting and len(group) < _OPEN_DIRECTORIES and count < _GROUP:
                listing = self._open(walk, walk.waiting.pop())
                if listing is None:
                    continue
                group.append(listing)
                if not listing.whole:
                    break
                count += len(listing.names)
            self._visit(walk, [listing for listing in group if listing.whole])
            if group and not group[-1].whole:
                self._visit_large(walk, group[-1])
        finally:
            for listing in group:
                os.close(listing.descriptor)
        if len(walk.waiting) > _WAITING:
            half = len(walk.waiting) // 2
            walk.sink.leave(_place_of(directory) for directory in reversed(walk.waiting[:half]))
            for directory in walk.waiting[:half]:
                walk.changed_ns.pop(directory, None)
            del walk.waiting[:half]

    def _open(self, walk: _Walk, directory: str) -> _Listing | None:
        """Open and list a directory; a very large one is opened only. None after a problem, and for a mount that is not crossed."""
        descriptor = -1
        known_ns = walk.changed_ns.pop(directory, None)
        try:
            descriptor = _kernel.open_beneath(self._root, os.fsencode(directory), _OPEN_DIRECTORY, self._settings.cross_mounts)
            if known_ns is not None:
                found, changed_ns = os.listdir(descriptor), known_ns
            if known_ns is None or len(found) > _LARGE:
                status = os.fstat(descriptor)
                changed_ns = _kernel.wrapped(status.st_ctime_ns)
            if known_ns is None:
                found = os.listdir(descriptor) if status.st_size <= _LISTED_AT_ONCE_BYTES else []
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            if error.errno != errno.EXDEV:  # an automounter's directory shows itself as a mount only when it is opened
                _problem(walk, directory, "list", error.errno, hides_below=error.errno not in _GONE)
            return None
        if len(found) > _LARGE or (known_ns is None and status.st_size > _LISTED_AT_ONCE_BYTES):
            return _Listing(directory, descriptor, changed_ns, [], whole=False)
        return _Listing(directory, descriptor, changed_ns, sorted(found), again=known_ns is None)

    def _visit_large(self, walk: _Walk, listing: _Listing) -> None:
        """List and stat a very large directory piece by piece, in bounded memory."""
        directory, descriptor, given = listing.directory, listing.descriptor, _once.Given()
        try:
            with os.scandir(descriptor) as entries:
                while piece := list(map(attrgetter("name"), islice(entries, _GROUP))):
                    self._visit(walk, [_Listing(directory, descriptor, listing.changed_ns, given.new(piece), whole=False)])
            changed = given.repeated or _kernel.wrapped(os.fstat(descriptor).st_ctime_ns) != listing.changed_ns
        except OSError as error:
            _problem(walk, directory, "list", error.errno, hides_below=True)
            return
        if changed:
            _problem(walk, directory, "changed", None, hides_below=False)

    def _visit(self, walk: _Walk, group: list[_Listing]) -> None:
        """Stat all names of some open directories, keep the rows, and put the directories among them on the list of those to visit."""
        flat = list(chain.from_iterable(listing.names for listing in group))
        if _once.has_repeated(flat):  # or one directory ends with the name that the next one begins with
            for listing in group:
                known = len(listing.names)
                listing.names = list(dict.fromkeys(listing.names))
                listing.repeated = len(listing.names) < known
            flat = list(chain.from_iterable(listing.names for listing in group))
        count = len(flat)
        batch = walk.batch
        if not batch.fits(count):
            self._flush(walk)
        slots = batch.slots[batch.used : batch.used + count]
        counts = [len(listing.names) for listing in group]
        owners = list(chain.from_iterable(map(repeat, group, counts)))
        joined = "\0".join(flat)
        raw = os.fsencode(joined).split(b"\0") if flat else []
        descriptors = list(chain.from_iterable(map(repeat, [listing.descriptor for listing in group], counts)))
        failed = self._stat(batch, raw, descriptors)
        for row in failed:
            slots[row] = np.zeros(1, _kernel.STATX)[0]

        unstable = self._unstable(walk, group)
        keep = np.ones(count, bool)
        if unstable:
            keep[[id(listing) in unstable for listing in owners]] = False
        for row, number in failed.items():
            if keep[row]:
                _problem(walk, f"{owners[row].directory}{flat[row]}/", "stat", number, hides_below=number not in _GONE)
                keep[row] = False
        homes = [listing for listing in group if listing.directory.endswith(_omissions.PLACES)]
        if homes or _omissions.HOME in joined:
            self._leave_out_of_jobs(walk, homes, slots, flat, owners, keep)
        self._leave_out(walk, slots, flat, owners, keep)
        kinds = slots["mode"] & 0xF000
        links = self._links(walk, np.flatnonzero(keep & (kinds == stat.S_IFLNK)).tolist(), flat, owners, keep)
        below = self._directories_below(walk, np.flatnonzero(keep & (kinds == stat.S_IFDIR)), slots, flat, owners)
        self._learn_file_systems(slots, flat, owners, keep)
        self._keep(batch, group, raw, slots, keep, links, _stubs.find(slots, raw, descriptors, keep))
        walk.waiting.extend(reversed(below))

    def _stat(self, batch: _columns.Batch, raw: list[bytes], descriptors: list[int]) -> dict[int, int]:
        """Have the kernel fill the next slots; gives errno by row for those that failed, also at the second try."""
        places = batch.places[batch.used : batch.used + len(raw)]
        failed: dict[int, int] = {}
        for at in range(0, len(raw), _CALLS):
            part = slice(at, at + _CALLS)
            results = list(map(self._statx, descriptors[part], raw[part], repeat(_kernel.STAT_FLAGS), repeat(_kernel.STAT_MASK), places[part]))
            if any(results):
                for row in (at + i for i, result in enumerate(results) if result):
                    number = _kernel.statx_error(descriptors[row], raw[row], places[row])
                    if number:
                        failed[row] = number
        return failed

    def _unstable(self, walk: _Walk, group: list[_Listing]) -> set[int]:
        """The ids of listings whose directory changed while it was read and is to be read again; after the last time its rows stay, with a problem."""
        found = set()
        whole = [listing for listing in group if listing.whole]
        for listing, changed_ns in zip(whole, self._times.of([listing.descriptor for listing in whole]), strict=True):
            if changed_ns == listing.changed_ns and not listing.repeated:
                continue
            times = walk.listed_again.get(listing.directory, 0)
            if times == _AGAIN:
                _problem(walk, listing.directory, "changed", None, hides_below=False)
                continue
            walk.listed_again[listing.directory] = times + listing.again
            walk.waiting.append(listing.directory)
            found.add(id(listing))
        return found

    def _leave_out(self, walk: _Walk, slots: Slots, flat: list[str], owners: list[_Listing], keep: Slots) -> None:
        """Drop what the configuration excludes, and what is never looked at."""
        directories = (slots["mode"] & 0xF000) == stat.S_IFDIR
        out = [row for row in np.flatnonzero(keep & directories).tolist() if f"{owners[row].directory}{flat[row]}/" in self._skipped]
        keep[out] = False
        walk.sink.exclude(len(out))
        if self._settings.exclude is None:
            return
        rows = np.flatnonzero(keep)
        found = _omissions.excluded(
            self._settings.exclude, [owners[row].directory for row in rows.tolist()], [flat[row] for row in rows.tolist()], directories[rows].tolist()
        )
        keep[rows[found]] = False
        walk.sink.exclude(int(found.sum()))

    def _leave_out_of_jobs(self, walk: _Walk, homes: list[_Listing], slots: Slots, flat: list[str], owners: list[_Listing], keep: Slots) -> None:
        """Drop what jobs put on a volume, also on one that lies inside. `homes` are the directories whose names may be theirs."""
        cross = self._settings.cross_mounts
        asked = {id(listing): _omissions.of_jobs(self._root, listing.directory, cross) for listing in homes}
        elsewhere, out = _omissions.of_jobs(self._root, "", cross), list[int]()
        for row, name in enumerate(flat):
            if (not name.startswith(_omissions.HOME) and id(owners[row]) not in asked) or not keep[row]:
                continue
            kind = int(slots["mode"][row] & 0xF000)
            if name == _omissions.HOME and kind == stat.S_IFDIR:
                left = _omissions.is_ours_alone(self._root, owners[row].directory, cross)
            else:
                left = asked.get(id(owners[row]), elsewhere)(os.fsencode(name), kind)
            if left:
                out.append(row)
        keep[out] = False
        walk.sink.exclude(len(out))

    def _links(self, walk: _Walk, rows: list[int], flat: list[str], owners: list[_Listing], keep: Slots) -> dict[int, str]:
        """Where links lead, by row."""
        found = {}
        for row in rows:
            try:
                found[row] = os.readlink(flat[row], dir_fd=owners[row].descriptor)
            except OSError as error:
                keep[row] = False
                _problem(walk, f"{owners[row].directory}{flat[row]}/", "stat", error.errno, hides_below=error.errno not in (*_GONE, errno.EINVAL))
        return found

    def _directories_below(self, walk: _Walk, rows: Slots, slots: Slots, flat: list[str], owners: list[_Listing]) -> list[str]:
        """The directories among rows that are to be visited; when they changed is kept for those that are not large."""
        if not self._settings.cross_mounts and len(rows):
            seen = slots[["attributes", "known_attributes", "device"]][rows]
            told = (seen["known_attributes"] & _kernel.MOUNT_ROOT) != 0
            mounts = np.where(told, (seen["attributes"] & _kernel.MOUNT_ROOT) != 0, seen["device"] != self._root_device[0])
            rows = rows[~mounts]
        found = [f"{owners[row].directory}{flat[row]}/" for row in rows.tolist()]
        small = (slots["size_bytes"][rows] <= _LISTED_AT_ONCE_BYTES).tolist()
        walk.changed_ns.update(compress(zip(found, _kernel.changed_ns(slots[rows]), strict=True), small))
        for directory in [one for one in found if len(one) > _LONGEST_PATH // 4 and len(os.fsencode(one)) > _LONGEST_PATH]:
            _problem(walk, directory, "list", errno.ENAMETOOLONG, hides_below=True)
            walk.changed_ns.pop(directory, None)
            found.remove(directory)
        return found

    def _keep(
        self, batch: _columns.Batch, group: list[_Listing], raw: list[bytes], slots: Slots, keep: Slots, links: dict[int, str], stubs: dict[int, Stub]
    ) -> None:
        """Add the kept rows to the batch, closing the gaps between them."""
        at, first = 0, batch.used
        dropped = not keep.all()
        if dropped:
            place = np.cumsum(keep) - 1
            slots[: int(keep.sum())] = slots[keep]
            links = {int(place[row]): target for row, target in links.items()}
            stubs = {int(place[row]): stub for row, stub in stubs.items()}
        batch.keep_links({first + row: target for row, target in links.items()})
        batch.keep_stubs({first + row: stub for row, stub in stubs.items()})
        for listing in group:
            end = at + len(listing.names)
            here = list(compress(raw[at:end], keep[at:end].tolist())) if dropped else raw[at:end]
            at = end
            if here:
                batch.add(_columns.Part(listing.directory, here, batch.used))

    def _learn_file_systems(self, slots: Slots, flat: list[str], owners: list[_Listing], keep: Slots) -> None:
        """Find the identity of every file system that rows are on and that was not seen before."""
        device, subvolume = self._root_device
        strange = keep & ((slots["device"] != device) | (slots["subvolume"] != subvolume))
        if not strange.any():
            return
        for row in np.flatnonzero(strange).tolist():
            pair = int(slots["device"][row]), int(slots["subvolume"][row])
            if pair not in self._fs_ids:
                is_directory, is_mount = stat.S_ISDIR(int(slots["mode"][row])), slots["attributes"][row] & _kernel.MOUNT_ROOT
                self._fs_ids[pair] = _place.fs_id_below(owners[row].descriptor, flat[row], pair, own=bool(is_directory or is_mount))

    def _root_fs_id(self) -> str | None:
        found = _kernel.statx_here(self._root)
        self._root_device = int(found["device"][0]), int(found["subvolume"][0])
        self._fs_ids[self._root_device] = _place.fs_id(self._root, self._root_device[1])
        return self._fs_ids[self._root_device]

    def _flush(self, walk: _Walk) -> None:
        if walk.batch.used:
            columns = walk.batch.take(self._fs_ids)
            if self._settings.media_types:
                from scanners import media

                columns["media_type"] = media.types(columns, self.open_file, self._settings.known_media)
            walk.sink.write(columns)


def _problem(walk: _Walk, directory: str, stage: str, number: int | None, hides_below: bool) -> None:
    text = os.strerror(number) if number else CHANGED if stage == "changed" else "unknown error"
    walk.sink.problem(_place_of(directory).removesuffix("/"), stage, text, number, hides_below)


def _place_of(directory: str) -> str:
    return names.escape(os.fsencode(directory))
