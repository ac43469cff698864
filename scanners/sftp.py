"""File trees of another host by SFTP (draft-ietf-secsh-filexfer-02): a walk over folders, many of them at a time. What was reached by a link is left out."""

import asyncio
import errno
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from catalog import names
from catalog.errors import UnreachableError
from catalog.schema import ENTRIES, TIME_FLAGS
from scanners import Capabilities, Facts, Settings, Shard, ShardRecord, Sink, _columns, _kernel, _omissions, _once, _remote, _ssh
from scanners._remote import OtherError
from scanners.reading import Reply

if TYPE_CHECKING:
    from asyncssh import SFTPAttrs, SFTPClient

_TOLD = {
    "dir", "name", "path_hash", "extension", "type", "size_bytes", "uid", "gid", "mode", "modified_at", "modified_ns", "accessed_at", "time_flags", "fs_id",
    "link_target",
}  # fmt: skip
CAPABILITIES = Capabilities(columns=frozenset(ENTRIES.names) & _TOLD, read_through=True, in_any_order=True)

_AT_ONCE = 8  # folders that are listed, or links or files that are read
_LARGE = 4 * _remote.PIECE  # a folder of more is kept piece by piece, and not listed again
_PIECE_BYTES = 8 << 20  # of such names
_READ_BYTES = 1 << 20  # of a file at a time
_OWN_FLAGS = sum(bit for name, bit in TIME_FLAGS.items() if name.startswith(("modified", "accessed")))
_COARSE = TIME_FLAGS["modified_coarse"]  # version 3 of the protocol has times to the second


@dataclass
class _Walk(_remote.Walk):
    """One shard on its way."""

    owned: bool = True  # whether the host told the owners of all that is in the batch


class Scanner:
    """Reads one file tree of another host."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet. Raises MissingExtraError, UnreachableError."""
        _ssh.need()
        self._settings, self._host = settings, _ssh.Host(settings)
        self._root: bytes | None = None  # without links
        self._lost: str | None = None  # why contents cannot be read any more

    def probe(self) -> Facts:
        """Look at the root. Raises UnreachableError."""
        return self._host.run(self._probe())

    def root_shard(self) -> Shard:
        """The root."""
        return Shard(0, ("",))

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """_Walk from the shard's folders downwards until nothing is left or the sink has had enough. Raises UnreachableError if the connection is lost."""
        walk = _Walk(sink, _columns.Batch(self._settings.started_us), [os.fsdecode(names.unescape(place)) for place in reversed(shard.places)])
        self._host.run(self._walk(walk))
        walk.leave()
        return sink.finish()

    def digests(self, rows: pa.RecordBatch) -> Reply:
        """Digests of files, each read once from begin to end. Where the connection is lost, none is read any more."""
        if self._lost is None:
            try:
                return self._host.run(self._digests(rows))
            except UnreachableError as error:
                self._lost = str(error)
        return _remote.unread(rows.num_rows, self._lost)

    def close(self) -> None:
        """Let go of the connection."""
        self._host.close()

    async def _probe(self) -> Facts:
        import asyncssh

        client, root = await self._host.client(), self._host.address.path
        try:
            found = await client.stat(root.rstrip(b"/") or root)
            if not stat.S_ISDIR(found.permissions or 0):
                raise self._host.unreachable(f"{self._settings.location}: it is no folder")
            empty = True
            async for entry in client.scandir(root):
                empty = empty and entry.filename in (b".", b"..")
                if not empty:
                    break
        except asyncssh.SFTPError as error:
            raise self._host.unreachable(f"{self._settings.location}: {_why(error)}") from error
        capacity = free = None
        try:
            space = await client.statvfs(root)
            capacity, free = space.blocks * space.frsize, space.bavail * space.frsize
        except asyncssh.SFTPError:  # an extension of OpenSSH
            pass
        return Facts(fs_id=await self._identity(), device=None, clock="modified", capacity_bytes=capacity, free_bytes=free, empty=empty)

    async def _identity(self) -> str:
        """Who it is: see `_ssh.identity`."""
        client = await self._host.client()
        if self._root is None:
            self._root = (await _real(client, self._host.address.path)).rstrip(b"/") + b"/"
        return _ssh.identity(self._host.key, self._root)

    async def _walk(self, walk: _Walk) -> None:
        client, fs_id = await self._host.client(), await self._identity()
        while walk.waiting and not walk.sink.spent(walk.batch.used):
            below = await asyncio.gather(*(self._visit(client, walk, directory, fs_id) for directory in walk.take(_AT_ONCE)))
            walk.add([directory for some in below for directory in some])
        self._flush(walk, fs_id)

    async def _visit(self, client: "SFTPClient", walk: _Walk, directory: str, fs_id: str) -> list[str]:
        """List a folder, keep what is in it, and give the folders below. What cannot be listed is a problem."""
        import asyncssh

        path, below = self._host.address.path + os.fsencode(directory), list[str]()
        try:
            for turn in range(_remote.AGAIN + 1):
                before = await client.lstat(path)
                found, size, given, told = list[Any](), 0, _once.Given(), 0
                async for entry in client.scandir(path):
                    self._host.hear()
                    found.append((entry.filename, entry.attrs))
                    size += len(entry.filename)
                    if len(found) >= (_remote.PIECE if told else _LARGE) or size > _PIECE_BYTES:
                        await self._see(client, directory)
                        walk.add(await self._keep(client, walk, directory, found, fs_id, given))
                        told += len(found)
                        found, size = [], 0
                    if told > _remote.MOST_ENTRIES:
                        walk.problem(directory, "list", _remote.ENDLESS, hides_below=True)
                        break
                after = await client.lstat(path)
                await self._see(client, directory)
                changed = after.mtime != before.mtime or given.repeated
                if told or not changed or turn == _remote.AGAIN:
                    break
            below += await self._keep(client, walk, directory, found, fs_id, given if told else None)
            if changed or given.repeated:
                walk.problem(directory, "changed", _remote.CHANGED, hides_below=False)
        except OtherError as error:
            walk.problem(directory, "list", str(error), hides_below=True)
        except asyncssh.SFTPError as error:
            if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
                raise
            gone = isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath)
            walk.problem(directory, "list", _why(error), hides_below=not gone, number=errno.ENOENT if gone else None)
        return below

    async def _see(self, client: "SFTPClient", directory: str) -> None:
        """A folder is where its name says, and no link led to it. Raises OtherError."""
        assert self._root is not None  # noqa: S101  # the identity was asked for
        if (await _real(client, self._root + os.fsencode(directory))).rstrip(b"/") != (self._root + os.fsencode(directory)).rstrip(b"/"):
            raise OtherError("list", _remote.LINKED)

    async def _keep(
        self, client: "SFTPClient", walk: _Walk, directory: str, told: "Sequence[tuple[bytes, SFTPAttrs]]", fs_id: str, given: _once.Given | None
    ) -> list[str]:
        """Put entries of a folder into the batch, and give the folders among them. `given`: of a folder that is kept piece by piece."""
        found = self._named(walk, directory, told)
        if given is not None:
            fresh = set(given.new([os.fsdecode(name) for name, _ in found]))
            found = [(name, attrs) for name, attrs in found if os.fsdecode(name) in fresh]
        is_folder = [stat.S_ISDIR(attrs.permissions or 0) for _, attrs in found]
        if self._settings.exclude is not None and found:
            out = _omissions.excluded(self._settings.exclude, [directory] * len(found), [os.fsdecode(name) for name, _ in found], is_folder)
            walk.sink.exclude(int(out.sum()))
            found = [one for one, left in zip(found, out.tolist(), strict=True) if not left]
        links = await self._links(client, walk, directory, [name for name, attrs in found if stat.S_ISLNK(attrs.permissions or 0)])
        rows = iter(found)
        while piece := list(islice(rows, _remote.PIECE)):
            self._fill(walk, directory, piece, links, fs_id)
        below = [f"{directory}{os.fsdecode(name)}/" for name, attrs in found if stat.S_ISDIR(attrs.permissions or 0)]
        return [one for one in below if walk.has_room(one)]

    def _named(self, walk: _Walk, directory: str, given: "Sequence[tuple[bytes, SFTPAttrs]]") -> "list[tuple[bytes, SFTPAttrs]]":
        """The entries that files can be, each name once, sorted; a host may tell anything."""
        found: dict[bytes, SFTPAttrs] = {}
        for name, attrs in given:
            if name in (b".", b".."):
                continue
            if not name or b"/" in name or b"\0" in name or len(name) > _remote.LONGEST_NAME:
                walk.problem(directory, "name", _remote.UNNAMED, hides_below=False)
            elif not attrs.permissions or (attrs.size is None and stat.S_ISREG(attrs.permissions)):
                walk.problem(f"{directory}{os.fsdecode(name)}/", "stat", _remote.UNTOLD, hides_below=True)
            elif not stat.S_ISDIR(attrs.permissions) and _remote.is_ours(directory, name):
                continue
            elif name in found:
                walk.problem(f"{directory}{os.fsdecode(name)}/", "name", _remote.TWICE, hides_below=False)
            else:
                found[name] = attrs
        return sorted(found.items(), key=lambda one: one[0])

    async def _links(self, client: "SFTPClient", walk: _Walk, directory: str, found: Sequence[bytes]) -> dict[bytes, bytes]:
        """Where links lead."""
        import asyncssh

        above, told = self._host.address.path + os.fsencode(directory), dict[bytes, bytes]()

        async def read(names_of: Sequence[bytes]) -> None:
            for name in names_of:
                try:
                    target = await client.readlink(above + name)
                    self._host.hear()
                    told[name] = (target if isinstance(target, bytes) else os.fsencode(target))[: _remote.LONGEST_PATH]
                except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPFailure, asyncssh.SFTPPermissionDenied, asyncssh.SFTPBadMessage) as error:
                    walk.problem(f"{directory}{os.fsdecode(name)}/", "stat", _why(error), hides_below=False)

        await asyncio.gather(*(read(found[place::_AT_ONCE]) for place in range(min(_AT_ONCE, len(found)))))
        return told

    def _fill(self, walk: _Walk, directory: str, found: "Sequence[tuple[bytes, SFTPAttrs]]", links: dict[bytes, bytes], fs_id: str) -> None:
        if not walk.batch.fits(len(found)):
            self._flush(walk, fs_id)
        batch = walk.batch
        first = batch.used
        slots = batch.slots[first : first + len(found)]
        slots[:] = np.zeros(1, _kernel.STATX)[0]
        attrs = [one for _, one in found]
        slots["mode"] = [(one.permissions or 0) & 0xFFFF for one in attrs]
        slots["size_bytes"] = [min(one.size or 0, 2**63 - 1) for one in attrs]
        for name in ("uid", "gid"):
            slots[name] = [getattr(one, name) or 0 for one in attrs]
        walk.owned = walk.owned and all(one.uid is not None and one.gid is not None for one in attrs)
        slots["modified_s"] = [one.mtime or 0 for one in attrs]
        slots["accessed_s"] = [one.atime or 0 for one in attrs]
        batch.keep_links({first + row: os.fsdecode(links[name]) for row, (name, _) in enumerate(found) if name in links})
        batch.add(_columns.Part(directory, [name for name, _ in found], first))

    def _flush(self, walk: _Walk, fs_id: str) -> None:
        if walk.batch.used:
            columns = walk.batch.take({(0, 0): fs_id})
            columns["time_flags"] = pa.array(columns["time_flags"].to_numpy() & _OWN_FLAGS | _COARSE)
            wanted = _TOLD if walk.owned else _TOLD - {"uid", "gid"}
            walk.sink.write({name: column for name, column in columns.items() if name in wanted})
            walk.owned = True

    async def _digests(self, rows: pa.RecordBatch) -> Reply:
        client, started, count = await self._host.client(), time.monotonic_ns(), rows.num_rows
        await self._identity()
        root = self._root or b""
        reply = Reply(started, [started] * count, [None] * count, [None] * count, 0, [])
        dirs, found, sizes = rows["dir"].to_pylist(), rows["name"].to_pylist(), rows["size_bytes"].to_pylist()
        modified, bytes_read = rows["modified_at"].cast(pa.int64()).to_pylist(), 0

        async def read(row: int) -> int:
            path = root + names.unescape(dirs[row]) + names.unescape(found[row])
            try:
                reply.digests[row], reply.samples[row] = await self._content(client, path, sizes[row], modified[row])
            except OtherError as error:
                reply.problems.append((row, error.stage, str(error), error.number))
                return 0
            return int(sizes[row])

        for first in range(0, count, _AT_ONCE):
            rows_of, begun = range(first, min(first + _AT_ONCE, count)), time.monotonic_ns()
            bytes_read += sum(await asyncio.gather(*map(read, rows_of)))
            # Each begins where the one before it ended: of what is read together all but the last are told to be a little older than they are.
            reply.ended_ns[first : rows_of.stop] = [begun] * (len(rows_of) - 1) + [time.monotonic_ns()]
        return reply._replace(bytes_read=bytes_read)

    async def _content(self, client: "SFTPClient", path: bytes, size_bytes: int, modified_us: int | None) -> tuple[bytes, bytes | None]:
        """The digest of a file, and its sample if it is large; it must be what the scan saw, and no link may lead to it. Raises OtherError."""
        import asyncssh

        _remote.settle(modified_us)
        content, stage = _remote.Content(), "open"
        try:
            async with client.open(path, "rb") as file:
                stage = "read"
                # No more is asked for than there is: each read is many requests at once.
                while content.size_bytes < size_bytes and (
                    piece := cast(bytes, await file.read(min(_READ_BYTES, size_bytes - content.size_bytes), content.size_bytes))
                ):
                    self._host.hear()
                    content.add(piece)
                _check(await file.stat(), size_bytes, modified_us)
            if await _real(client, path) != path:
                raise OtherError("changed", "it is reached by a link now")
            self._host.hear()
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath) as error:
            raise OtherError(stage, _why(error), errno.ENOENT) from error
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            raise
        except asyncssh.SFTPError as error:
            raise OtherError(stage, _why(error), errno.EACCES if isinstance(error, asyncssh.SFTPPermissionDenied) else errno.EIO) from error
        return content.digests(size_bytes)


async def _real(client: "SFTPClient", path: bytes) -> bytes:
    """Where a path leads, links resolved."""
    found = await client.realpath(path)
    return found if isinstance(found, bytes) else os.fsencode(found)


def _check(found: "SFTPAttrs", size_bytes: int, modified_us: int | None) -> None:
    if not stat.S_ISREG(found.permissions or 0):
        raise OtherError("changed", _remote.IRREGULAR)
    if found.size != size_bytes or (modified_us is not None and (found.mtime or 0) * 1_000_000 != modified_us):
        raise OtherError("changed", _remote.UNLIKE)


def _why(error: Exception) -> str:
    return _ssh.told(error) or type(error).__name__
