"""A connection by SFTP that the threads of a job share: their requests are on their way together, and one that is not answered is never thought undone."""

import asyncio
import os
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from catalog import names
from catalog.errors import UnreachableError
from catalog.ours import HOME
from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint
from lifecycle.stores._tree import split
from scanners import Settings, _ssh

if TYPE_CHECKING:
    from asyncssh import SFTPAttrs, SFTPClient

_PATIENCE_SECONDS = 60.0  # for an answer
SYNC_SECONDS = 600.0  # for one that waits for a disk
FRESH = 0x02 | 0x08 | 0x20  # SSH_FXF_WRITE, SSH_FXF_CREAT and SSH_FXF_EXCL
_ROOT = 0
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
T = TypeVar("T")


class Line:
    """One connection, made when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet. Raises MissingExtraError, UnreachableError for a URL that is none."""
        _ssh.need()
        self._host = _ssh.Host(settings)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connecting: asyncio.Lock | None = None
        self._lost: UnreachableError | None = None
        self._root: bytes | None = None

    def ask(self, act: "Callable[[SFTPClient], Awaitable[T]]", patience: float = _PATIENCE_SECONDS) -> T:
        """The answer to something. Raises SFTPError for what the host refuses; UnreachableError where it is heard no more, and from then on."""
        import asyncssh

        if self._lost is not None:
            raise self._lost
        try:
            return asyncio.run_coroutine_threadsafe(self._answered(act, patience), self._running()).result()
        except UnreachableError as error:
            self._lost = error
            raise
        except (asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, OSError, TimeoutError) as error:
            said = _ssh.told(error) or f"nothing was heard for {patience:g} seconds"
            self._lost = self._host.unreachable(f"the connection to {self._host.address.host} was lost: {said}")
            raise self._lost from error

    @property
    def root(self) -> bytes:
        """The root on the host, links resolved, with its trailing slash. Raises UnreachableError."""
        import asyncssh

        if self._root is None:
            path = self._host.address.path
            try:
                found = self.ask(lambda client: client.stat(path.rstrip(b"/") or path))
                if not stat.S_ISDIR(found.permissions or 0):
                    raise self._host.unreachable("it is no folder")
                self._root = self.real(path).rstrip(b"/") + b"/"
            except asyncssh.SFTPError as error:
                raise self._host.unreachable(f"{names.escape(path)}: {_ssh.told(error) or type(error).__name__}") from error
        return self._root

    def real(self, path: bytes) -> bytes:
        """Where a path of the host leads, links resolved. Raises SFTPError, UnreachableError."""
        found = self.ask(lambda client: client.realpath(path))
        return found if isinstance(found, bytes) else bytes(str(found), "utf-8", "surrogateescape")

    @property
    def fs_id(self) -> str:
        """Which host it is, by its key, and where on it the root is: as scans tell it. Raises UnreachableError."""
        root = self.root
        return _ssh.identity(self._host.key, root)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            assert self._thread is not None  # noqa: S101  # made with the loop
            self._thread.join()
            loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._connecting = asyncio.Lock()
                self._thread = threading.Thread(target=self._loop.run_forever, name="sftp", daemon=True)
                self._thread.start()
            return self._loop

    async def _end(self) -> None:
        self._host.drop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _answered(self, act: "Callable[[SFTPClient], Awaitable[T]]", patience: float) -> T:
        assert self._connecting is not None  # noqa: S101  # made with the loop
        async with self._connecting:
            client = await self._host.client()
        return await asyncio.wait_for(act(client), patience)


class Files:
    """The files of one volume on its host, by raw paths below its root."""

    def __init__(self, volume: str, line: Line) -> None:
        self.volume, self.line = volume, line

    def shown(self, path: bytes) -> str:
        """The volume and the path, escaped."""
        return f"{self.volume}:{names.escape(path)}"

    def split(self, path: bytes) -> tuple[bytes, bytes]:
        """Directory and name of a path. Raises EndError REFUSED for one that is none, that leaves the volume, or that is ours."""
        return split(path, self.shown)

    def at(self, *parts: bytes) -> bytes:
        """The place on the host. Raises UnreachableError."""
        return self.line.root + b"/".join(part for part in parts if part)

    def home(self, *parts: bytes) -> bytes:
        """A place in our folder. Raises UnreachableError."""
        return self.at(HOME, *parts)

    @contextmanager
    def ending(self, doing: str, path: bytes) -> Iterator[None]:
        """What the host refuses ends the step. Raises EndError; UnreachableError goes through, for then nobody knows what was done."""
        import asyncssh

        try:
            yield
        except asyncssh.SFTPError as error:
            raise EndError("FAILED", f"{self.shown(path)}: {doing}: {_ssh.told(error) or type(error).__name__}", retry=True) from error

    def status(self, place: bytes) -> "SFTPAttrs | None":
        """What is at a place of the host, a link as itself; None = nothing. Raises SFTPError, UnreachableError."""
        import asyncssh

        try:
            return self.line.ask(lambda client: client.lstat(place))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None

    @property
    def refused(self) -> type[Exception]:
        """What is raised for what the host refuses."""
        import asyncssh

        return asyncssh.SFTPError

    def kind(self, place: bytes) -> str | None:
        """What is at a place, as `Fingerprint.type` has it; None = nothing. Raises SFTPError, EndError, UnreachableError."""
        found = self.seen(place, place)
        return None if found is None else found.type

    def seen(self, place: bytes, path: bytes) -> Fingerprint | None:
        """What is at a place, told as that of a path. Raises SFTPError, EndError, UnreachableError."""
        found = self.status(place)
        return None if found is None else self.fingerprint(found, path)

    def listed(self, place: bytes) -> list[tuple[bytes, bool]]:
        """The names in a folder, and whether each is a folder. Raises SFTPError, UnreachableError."""

        async def ask(client: "SFTPClient") -> list[tuple[bytes, bool]]:
            return [
                (os.fsencode(one.filename), stat.S_ISDIR(one.attrs.permissions or 0))
                async for one in client.scandir(place)
                if one.filename not in (b".", b"..")
            ]

        return self.line.ask(ask)

    def make_folder(self, place: bytes) -> None:
        """Make a folder for us alone, where nothing is. Writes. Raises SFTPError, UnreachableError."""
        import asyncssh

        self.line.ask(lambda client: client.mkdir(place, asyncssh.SFTPAttrs(permissions=0o700)))

    def remove_folder(self, place: bytes) -> None:
        """Remove an empty folder. Writes. Raises SFTPError, UnreachableError."""
        self.line.ask(lambda client: client.rmdir(place))

    def write_new(self, place: bytes, content: bytes) -> None:
        """Write a file where nothing is, durable where the host can do that. Writes. Raises SFTPError, UnreachableError."""
        import asyncssh

        async def write(client: "SFTPClient") -> None:
            async with client.open(place, FRESH, asyncssh.SFTPAttrs(permissions=0o600), encoding=None) as file:
                await file.write(content)
                with suppress(asyncssh.SFTPOpUnsupported):
                    await file.fsync()

        self.line.ask(write)

    def read_small(self, place: bytes, most_bytes: int) -> bytes:
        """The beginning of a file. Raises SFTPError, UnreachableError."""

        async def read(client: "SFTPClient") -> bytes:
            async with client.open(place, "rb") as file:
                return cast(bytes, await file.read(most_bytes, 0))

        return self.line.ask(read)

    def rename(self, place: bytes, to: bytes) -> None:
        """Give something another name, which nothing has. Writes. Raises SFTPError, UnreachableError."""
        self.line.ask(lambda client: client.rename(place, to))

    def is_private(self, place: bytes) -> bool:
        """Whether a folder of ours belongs to whom our folder belongs to, and nobody else may write to it. Raises SFTPError, UnreachableError."""
        found, home = self.status(place), self.status(self.home())
        return found is not None and home is not None and found.uid == home.uid and not (found.permissions or 0) & OTHERS_WRITE

    def take(self, path: bytes, to: bytes, expected: Fingerprint) -> None:
        """Have what a path leads to at one instant lie at a place of ours, where nothing is. Writes.

        By `posix-rename@openssh.com`, which is one rename: what the protocol itself calls one is a link and a removal on OpenSSH, and who saves a file
        under its name in between would lose it. Where the host's kernel lets nobody link files of others, that rename, by which a file comes back, is a look
        and a rename over whatever is there: a file of another user stays where it is. Raises EndError SOURCE_CHANGED, REFUSED, SFTPError, UnreachableError.
        """
        found = self.look(path)
        wrong = "it is gone" if found is None else expected.differs(found)
        if wrong:
            raise EndError("SOURCE_CHANGED", f"{self.shown(path)}: {wrong}; it stays where it is", retry=True)
        place = self.at(path)
        there, home = self.status(place), self.status(self.home())
        if there is None or home is None or home.uid not in (_ROOT, there.uid):
            raise EndError("REFUSED", f"{self.shown(path)}: belongs to another user than the account of jobs, and could not be put back over nothing; it stays")
        self.line.ask(lambda client: client.posix_rename(place, to))

    def remove(self, place: bytes) -> None:
        """Remove a file, if it is there. Writes. Raises SFTPError, UnreachableError."""
        import asyncssh

        with suppress(asyncssh.SFTPNoSuchFile):
            self.line.ask(lambda client: client.remove(place))

    def fingerprint(self, found: "SFTPAttrs", path: bytes) -> Fingerprint:
        """The fingerprint that a status means: times are to the second, and nothing tells one file from another that took its place. Raises EndError."""
        if found.permissions is None or found.mtime is None or found.size is None:
            raise EndError("FAILED", f"{self.shown(path)}: the host does not tell its kind, size and time")
        kinds = {stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFDIR: "dir"}
        kind: Any = kinds.get(stat.S_IFMT(found.permissions), "special")
        return Fingerprint(kind, found.size, found.mtime * 1_000_000_000, self.line.fs_id)

    def look(self, path: bytes) -> Fingerprint | None:
        """What is at a path; None = nothing, also where a link stands in place of a folder above it. Raises EndError, UnreachableError."""
        inner, name = self.split(path)
        with self.ending("look", path):
            found = self.status(self.at(inner, name))
            return self.fingerprint(found, path) if found is not None and self.is_here(inner) else None

    def is_here(self, inner: bytes) -> bool:
        """Whether a folder is where its path says, and no link led to it. Raises SFTPError, UnreachableError."""
        place = self.at(inner).rstrip(b"/") or b"/"
        found = self.status(place)
        return found is not None and stat.S_ISDIR(found.permissions or 0) and (self.line.real(place).rstrip(b"/") or b"/") == place

    def need_folder(self, path: bytes) -> bytes:
        """The place of the folder of a path, which is there and not behind a link. Raises EndError STALE, REFUSED, SFTPError, UnreachableError."""
        inner, _ = self.split(path)
        place = self.at(inner).rstrip(b"/") or b"/"
        if not self.is_here(inner):
            found = self.status(place)
            if found is None:
                raise EndError("STALE", f"{self.shown(path)}: its folder is not there")
            raise EndError("REFUSED", f"{self.shown(path)}: a link leads to its folder")
        return place
