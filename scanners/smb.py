"""File trees of another host by SMB 2 or 3: a walk over folders, several of them at a time. What was reached by a link is left out."""

import errno
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from catalog import names
from catalog.errors import UnreachableError
from catalog.schema import ENTRIES, TIME_FLAGS
from scanners import Capabilities, Facts, Settings, Shard, ShardRecord, Sink, _columns, _kernel, _omissions, _once, _remote, _smb
from scanners._remote import OtherError, Walk
from scanners._smb import Entry, Opened
from scanners.reading import Reply

if TYPE_CHECKING:
    from smbprotocol.exceptions import SMBResponseException

_TOLD = {
    "dir", "name", "path_hash", "extension", "type", "size_bytes", "allocated_bytes", "modified_at", "modified_ns", "accessed_at", "changed_at", "changed_ns",
    "created_at", "time_flags", "fs_id", "inode",
}  # fmt: skip
CAPABILITIES = Capabilities(columns=frozenset(ENTRIES.names) & _TOLD, read_through=True, in_any_order=True)

_AT_ONCE = 4  # folders that are listed, or files that are read
_KEPT_NUMBERS = 10_000  # of folders
_OWN_FLAGS = sum(bit for name, bit in TIME_FLAGS.items() if not name.startswith("modified_") or name in ("modified_suspect", "modified_range"))
_HERE, _ABOVE = ".", ".."
_NUMBERS = {  # of the kernel, for what a server may answer
    0xC0000034: errno.ENOENT, 0xC000003A: errno.ENOENT, 0xC000000F: errno.ENOENT, 0xC0000056: errno.ENOENT, 0xC0000022: errno.EACCES, 0xC0000043: errno.EBUSY,
    0xC0000103: errno.ENOTDIR, 0xC00000BA: errno.EISDIR, 0xC0000054: errno.EBUSY,
}  # fmt: skip
_HIDDEN = (
    "the share hides what this user may not open (access-based enumeration), so nobody can tell what is not listed: scan it as a user who may read all of it"
)
_IN_USE = "somebody has it open for writing: a later scan reads it"
_RECALLED = "its content lies on a slower storage behind the server: reading would bring all of it back"


@dataclass
class _Folder:
    """A folder that is being listed."""

    directory: str  # as the system gives names, with a trailing slash; the root is ''
    above: int | None  # the number of the folder above, if it is known
    turn: int = 0  # times that it was listed before, and had changed meanwhile
    handle: ExitStack = field(default_factory=ExitStack)
    opened: Opened | None = None
    held: list[Entry] = field(default_factory=list)  # its first piece, while it may still be all
    given: _once.Given | None = None  # of one that is kept piece by piece
    told: int = 0  # names so far
    number: int | None = None
    inside: set[int | None] = field(default_factory=set)  # numbers of the folders in it


class Scanner:
    """Reads one file tree of another host."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet. Raises MissingExtraError, UnreachableError."""
        _smb.need()
        self._settings, self._host, self._lock = settings, _smb.Host(settings), threading.Lock()
        self._lost: str | None = None  # why contents cannot be read any more
        self._numbers: OrderedDict[str, int | None] = OrderedDict()  # of folders that were listed

    def probe(self) -> Facts:
        """Look at the root. Raises UnreachableError."""
        from smbprotocol.exceptions import SMBResponseException

        self._host.connect()
        try:
            with self._host.folder("") as root:
                found, space = self._host.listed(root), self._host.space(root)
        except (SMBResponseException, ValueError) as error:
            raise self._host.unreachable(f"{self._settings.location}: {_smb.told(error)}") from error
        empty = all(one.name in (_HERE, _ABOVE) for one in found)
        capacity, free = space or (None, None)
        return Facts(fs_id=self._host.place, device=None, clock="modified", capacity_bytes=capacity, free_bytes=free, empty=empty)

    def root_shard(self) -> Shard:
        """The root."""
        return Shard(0, ("",))

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """Walk from the shard's folders downwards until nothing is left or the sink has had enough. Raises UnreachableError if the connection is lost."""
        self._host.connect()
        walk = Walk(sink, _columns.Batch(self._settings.started_us), [os.fsdecode(names.unescape(place)) for place in reversed(shard.places)])
        if "" in walk.waiting and self._host.hides:
            walk.problem("", "list", _HIDDEN, hides_below=True)
        while walk.waiting and not sink.spent(walk.batch.used):
            self._visit(walk, walk.take(_AT_ONCE))
        self._flush(walk)
        walk.leave()
        return sink.finish()

    def digests(self, rows: pa.RecordBatch) -> Reply:
        """Digests of files, each read once from begin to end. Where the connection is lost, none is read any more."""
        if self._lost is None:
            try:
                return self._digests(rows)
            except UnreachableError as error:
                self._lost = str(error)
        return _remote.unread(rows.num_rows, self._lost)

    def close(self) -> None:
        """Let go of the connection."""
        if "_threads" in self.__dict__:
            self._threads.shutdown()
        self._host.close()

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_AT_ONCE)

    def _number(self, directory: str) -> int | None:
        """The number that a folder had when it was listed, or has now where every folder above it is where its name says; None = the server tells none.

        Raises OtherError where a link leads to it, SMBResponseException, UnreachableError, ValueError.
        """
        if directory in self._numbers:
            self._numbers.move_to_end(directory)
            return self._numbers[directory]
        ends = [at + 1 for at, letter in enumerate(directory) if letter == "/"]
        for end in [0, *ends]:
            above = directory[:end]
            if above not in self._numbers:
                with self._host.folder(_path(above)) as opened:
                    folder = _Folder(above, self._numbers.get(_above(above)) if above else None)
                    self._see(folder, self._host.listed(opened))
                self._know(folder)
        return self._numbers[directory]

    def _know(self, folder: _Folder) -> None:
        self._numbers[folder.directory] = folder.number
        while len(self._numbers) > _KEPT_NUMBERS:
            self._numbers.popitem(last=False)

    def _visit(self, walk: Walk, directories: Sequence[str]) -> None:
        """List folders, keep what is in them, and add the folders below to those that wait. What cannot be listed is a problem."""
        from smbprotocol.exceptions import SMBResponseException

        below: dict[str, list[str]] = {directory: [] for directory in directories}
        with ExitStack() as opened:
            under_way: dict[Future[list[Entry]], _Folder] = {}
            for directory in directories:
                folder = _Folder(directory, None)
                opened.enter_context(folder.handle)
                under_way[self._threads.submit(self._begin, folder)] = folder
            while under_way:
                done = next(iter(under_way))
                folder = under_way.pop(done)
                try:
                    if self._take(walk, folder, done.result(), below[folder.directory]):
                        under_way[self._threads.submit(self._next, folder)] = folder
                except OtherError as error:
                    walk.problem(folder.directory, error.stage, str(error), hides_below=True)
                except ValueError as error:
                    walk.problem(folder.directory, "list", str(error), hides_below=True)
                except SMBResponseException as error:
                    is_gone = _number_of(error) == errno.ENOENT
                    walk.problem(folder.directory, "list", _smb.told(error), hides_below=not is_gone, number=_number_of(error))
        walk.add([directory for some in below.values() for directory in some])

    def _begin(self, folder: _Folder) -> list[Entry]:
        if folder.directory:
            with self._lock:
                folder.above = self._number(_above(folder.directory))
        folder.opened = folder.handle.enter_context(self._host.folder(_path(folder.directory)))
        return self._host.listed(folder.opened)

    def _next(self, folder: _Folder) -> list[Entry]:
        assert folder.opened is not None  # noqa: S101  # it was begun
        if folder.held or folder.told:
            return self._host.listed(folder.opened)
        folder.opened = self._host.now(folder.opened)  # it changed meanwhile: from the start
        return self._host.listed(folder.opened, again=True)

    def _take(self, walk: Walk, folder: _Folder, found: list[Entry], below: list[str]) -> bool:
        """Keep a piece of a folder; gives whether there is more of it to come. Raises OtherError, SMBResponseException."""
        if found:
            self._see(folder, found)
            with self._lock:
                self._know(folder)
            if folder.held:
                folder.given = folder.given or _once.Given()
                walk.add(self._keep(walk, folder, folder.held))
            folder.held = found
            if folder.told > _remote.MOST_ENTRIES:
                walk.problem(folder.directory, "list", _remote.ENDLESS, hides_below=True)
                return False
            return True
        assert folder.opened is not None  # noqa: S101  # it was begun
        has_changed = self._host.now(folder.opened).times.modified != folder.opened.times.modified
        if has_changed and not folder.told and folder.turn < _remote.AGAIN:
            folder.held, folder.turn = [], folder.turn + 1
            return True
        below += self._keep(walk, folder, folder.held)
        if has_changed or (folder.given is not None and folder.given.repeated):
            walk.problem(folder.directory, "changed", _remote.CHANGED, hides_below=False)
        return False

    @staticmethod
    def _see(folder: _Folder, found: list[Entry]) -> None:
        """The folder lies in the one that its name says, as far as the server tells: what a link led to lies elsewhere. Raises OtherError."""
        told = {one.name: one.number for one in found if one.name in (_HERE, _ABOVE)}
        folder.number = told.get(_HERE, folder.number)
        if folder.above is not None and told.get(_ABOVE) is not None and told[_ABOVE] != folder.above:
            raise OtherError("list", _remote.LINKED)

    def _keep(self, walk: Walk, folder: _Folder, told: Sequence[Entry]) -> list[str]:
        """Put entries of a folder into the batch, and give the folders among them."""
        directory = folder.directory
        folder.told += len(told)
        found = _named(walk, directory, told)
        if folder.given is not None:
            fresh = set(folder.given.new([os.fsdecode(name) for name in found]))
            found = {name: one for name, one in found.items() if os.fsdecode(name) in fresh}
        if self._settings.exclude is not None and found:
            are_folders = [_smb.is_folder(one) for one in found.values()]
            out = _omissions.excluded(self._settings.exclude, [directory] * len(found), list(map(os.fsdecode, found)), are_folders)
            walk.sink.exclude(int(out.sum()))
            found = {name: one for (name, one), is_out in zip(found.items(), out.tolist(), strict=True) if not is_out}
        rows = list(found.items())
        for first in range(0, len(rows), _remote.PIECE):
            self._fill(walk, directory, rows[first : first + _remote.PIECE])
        below = []
        for name, one in rows:
            inner = f"{directory}{os.fsdecode(name)}/"
            if not _smb.is_folder(one) or not walk.has_room(inner):
                continue
            if one.number is not None and one.number in folder.inside:  # a link to its neighbour: both have what is above them in common
                walk.problem(inner, "list", _remote.LINKED, hides_below=True)
                continue
            folder.inside.add(one.number)
            below.append(inner)
        return below

    def _fill(self, walk: Walk, directory: str, found: Sequence[tuple[bytes, Entry]]) -> None:
        if not walk.batch.fits(len(found)):
            self._flush(walk)
        first = walk.batch.used
        slots = walk.batch.slots[first : first + len(found)]
        slots[:] = np.zeros(1, _kernel.STATX)[0]
        entries = [one for _, one in found]
        slots["mode"] = [_mode(one) for one in entries]
        for name in ("created", "accessed", "modified", "changed"):
            ticks = np.array([getattr(one.times, name) for one in entries], np.int64)
            slots[f"{name}_s"], slots[f"{name}_ns"] = ticks // 10_000_000, ticks % 10_000_000 * 100
        slots["mask"] = [_kernel.BTIME if one.times.is_created_told else 0 for one in entries]
        slots["size_bytes"] = [min(one.size_bytes, 2**63 - 1) for one in entries]
        slots["blocks"] = [min(one.allocated_bytes, 2**63 - 1) // 512 for one in entries]
        slots["inode"] = [one.number or 0 for one in entries]
        walk.batch.add(_columns.Part(directory, [name for name, _ in found], first))

    def _flush(self, walk: Walk) -> None:
        if walk.batch.used:
            columns = walk.batch.take({(0, 0): self._host.server})
            columns["time_flags"] = pa.array(columns["time_flags"].to_numpy() & _OWN_FLAGS)
            numbers = columns["inode"].to_numpy()
            columns["inode"] = pa.array(numbers, mask=numbers == 0)
            walk.sink.write({name: column for name, column in columns.items() if name in _TOLD})

    def _digests(self, rows: pa.RecordBatch) -> Reply:
        self._host.connect()
        started, count = time.monotonic_ns(), rows.num_rows
        reply = Reply(started, [started] * count, [None] * count, [None] * count, 0, [])
        columns = [rows[name].to_pylist() for name in ("dir", "name", "size_bytes", "inode")]
        wanted = list(zip(*columns, rows["modified_at"].cast(pa.int64()).to_pylist(), strict=True))

        def read(row: int) -> int:
            directory, name, size_bytes, number, modified_us = wanted[row]
            try:
                reply.digests[row], reply.samples[row] = self._content(f"{directory}{name}", number, size_bytes, modified_us)
            except OtherError as error:
                reply.problems.append((row, error.stage, str(error), error.number))
                return 0
            return int(size_bytes)

        bytes_read = 0
        for first in range(0, count, _AT_ONCE):
            rows_of, begun = range(first, min(first + _AT_ONCE, count)), time.monotonic_ns()
            bytes_read += sum(self._threads.map(read, rows_of))
            # Each begins where the one before it ended: of what is read together all but the last are told to be a little older than they are.
            reply.ended_ns[first : rows_of.stop] = [begun] * (len(rows_of) - 1) + [time.monotonic_ns()]
        return reply._replace(bytes_read=bytes_read)

    def _content(self, escaped: str, number: int | None, size_bytes: int, modified_us: int | None) -> tuple[bytes, bytes | None]:
        """The digest of a file, and its sample if it is large; it must be what the scan saw. Raises OtherError."""
        from smbprotocol.exceptions import SMBResponseException

        _remote.settle(modified_us)
        path, content, stage = _path(os.fsdecode(names.unescape(escaped))), _remote.Content(), "open"
        try:
            with self._host.file(path, content=False) as known:
                if known.attributes & _smb.RECALLED:
                    raise OtherError("open", _RECALLED)
                is_reparse = bool(known.attributes & _smb.REPARSE)  # deduplicated, say: read as it is, it is not its content
                if is_reparse and (number is None or self._host.reparse_tag(known) & _smb.LINKING):
                    raise OtherError("changed", _remote.IRREGULAR)
            self._need_rest(path)
            with self._host.file(path, content=True, through=is_reparse) as file:
                stage = "read"
                if number is not None and self._host.number(file) != number:
                    raise OtherError("changed", _remote.UNLIKE)
                _check(file, size_bytes, modified_us)
                while content.size_bytes < size_bytes and (piece := self._host.read(file, content.size_bytes, size_bytes - content.size_bytes)):
                    content.add(piece)
                _check(self._host.now(file), size_bytes, modified_us)
            self._need_rest(path)
        except SMBResponseException as error:
            raise OtherError(stage, _smb.told(error), _number_of(error)) from error
        except ValueError as error:
            raise OtherError(stage, str(error)) from error
        return content.digests(size_bytes)

    def _need_rest(self, path: str) -> None:
        """Raises OtherError where somebody has it open for writing: until it is closed a server may tell the time that it had before."""
        if not self._host.is_at_rest(path):
            raise OtherError("changed", _IN_USE, errno.EBUSY)


def _named(walk: Walk, directory: str, given: Sequence[Entry]) -> dict[bytes, Entry]:
    """The entries that files can be, each name once, sorted; a server may tell anything."""
    found: dict[bytes, Entry] = {}
    for one in given:
        if one.name in (_HERE, _ABOVE):
            continue
        name = one.name.encode("utf-8", "surrogatepass")
        if not name or any(letter in one.name for letter in "/\\\0") or len(name) > _remote.LONGEST_NAME:
            walk.problem(directory, "name", _remote.UNNAMED, hides_below=False)
        elif not _smb.is_folder(one) and _remote.is_ours(directory, name):
            continue
        elif name in found:
            walk.problem(f"{directory}{os.fsdecode(name)}/", "name", _remote.TWICE, hides_below=False)
        else:
            found[name] = one
    return dict(sorted(found.items()))


def _mode(one: Entry) -> int:
    """What it is, as a file system says it; permissions are told otherwise here."""
    if one.reparse & _smb.LINKING:
        return stat.S_IFLNK
    return stat.S_IFDIR if one.attributes & _smb.DIRECTORY else stat.S_IFREG


def _path(directory: str) -> str:
    """A path of the catalog as the server has it. Raises ValueError for what no name of SMB can be."""
    return os.fsencode(directory).rstrip(b"/").decode("utf-8", "surrogatepass").replace("/", "\\")


def _above(directory: str) -> str:
    return directory[: directory.rstrip("/").rfind("/") + 1]


def _number_of(error: "SMBResponseException") -> int:
    return _NUMBERS.get(error.status, errno.EIO)


def _check(found: Opened, size_bytes: int, modified_us: int | None) -> None:
    if found.attributes & _smb.DIRECTORY:
        raise OtherError("changed", _remote.IRREGULAR)
    if found.size_bytes != size_bytes or (modified_us is not None and found.times.modified // 10 != modified_us):
        raise OtherError("changed", _remote.UNLIKE)
