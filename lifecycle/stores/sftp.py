"""Folders of another host as jobs use them, by SFTP: files are added under temporary names, read back, and given names that nothing has."""

import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

import scanners
from catalog.config import Config
from catalog.ours import HOME, MARKER, is_temporary, key_of, temporary
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, Fingerprint, Metadata, Source, Stray, _host_canaries, _host_files
from lifecycle.stores._additive import Additive
from lifecycle.stores._home import Marker, parsed
from lifecycle.stores._host_files import Reading, StagedFile, StagedLink
from lifecycle.stores._line import Files, Line

if TYPE_CHECKING:
    from asyncssh import SFTPAttrs, SFTPClient, SFTPName

_NEW_MARKER = b"volume.json.new"
_CLOCK = b"clock"
_MOST_BYTES = 64 << 10
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Store(Additive):
    """One folder of a host. Its calls may come from several threads."""

    def __init__(self, config: Config, volume: str) -> None:
        """Connects to nothing yet. Raises MissingExtraError, UnreachableError for a URL that is none."""
        super().__init__(config, volume)
        self._line = Line(scanners.settings(config, volume))
        self._files = Files(volume, self._line)

    def shown(self, path: bytes) -> str:
        """The volume and the path, escaped."""
        return self._files.shown(path)

    def look(self, path: bytes) -> Fingerprint | None:
        """What is at a path now; None = nothing. Only reads. Raises EndError, UnreachableError."""
        return self._files.look(path)

    def open(self, path: bytes, expected: Fingerprint) -> Reading:
        """Open a file or symbolic link that is what was expected. Only reads. Raises EndError STALE, REFUSED, UnreachableError."""
        found = self._files.look(path)
        wrong = "it is not there any more" if found is None else expected.differs(found)
        if wrong or found is None:
            raise EndError("STALE", f"{self.shown(path)}: is not what was planned ({wrong})")
        if found.type not in ("file", "symlink"):
            raise EndError("REFUSED", f"{self.shown(path)}: is neither a file nor a symbolic link")
        return Reading(self._files, path, found)

    def digest(self, path: bytes, expected: Fingerprint) -> bytes:
        """SHA-256 of a file that is what was expected before and after. Only reads. Raises EndError, UnreachableError."""
        source = self.open(path, expected)
        with self._files.ending("read", path):
            found, _ = _host_files.sha256_of(source.blocks())
        return found

    def stage(
        self,
        path: bytes,
        key: str,
        parents: tuple[Metadata, ...] = (),
        *,
        link_target: bytes | None = None,
        over: Fingerprint | None = None,
        source: Source | None = None,
    ) -> StagedFile | StagedLink:
        """Create the temporary name beside a target that is not there, with its folders. Writes. Raises EndError CONFLICT, REFUSED, UnreachableError."""
        import asyncssh

        able = self._able(path)
        if over is not None:
            raise EndError("REFUSED", f"{self.shown(path)}: on this storage nothing takes the place of what is there")
        if link_target is not None and not able.symlinks:
            raise EndError("REFUSED", f"{self.shown(path)}: the host does not make symbolic links as they are")
        inner, name = self._files.split(path)
        if (longest := max(map(len, path.split(b"/")))) > able.name_bytes:
            raise EndError("REFUSED", f"{self.shown(path)}: a name of {longest} bytes; the host takes {able.name_bytes}")
        with self._files.ending("stage", path):
            losses = [] if self._files.is_here(inner) else _host_files.make_folders(self._files, path, key, parents)
            self._files.need_folder(path)
            if self._files.status(self._files.at(inner, name)) is not None:
                raise EndError("CONFLICT", f"{self.shown(path)}: something is there already")
            place = self._files.at(inner, temporary(key))
            if link_target is not None:
                self._line.ask(lambda client: client.symlink(link_target, place))
                return StagedLink(self._files, path, key, place, losses)
            rights = asyncssh.SFTPAttrs(permissions=0o600)
            file = self._line.ask(lambda client: client.open(place, _host_canaries.FRESH, rights, encoding=None))
            return StagedFile(self._files, path, key, place, file, losses)

    def staged(self, path: bytes, key: str, inode: int | None) -> StagedFile | StagedLink | None:
        """A temporary name that an earlier run left. Only reads. Raises EndError, UnreachableError."""
        inner, _ = self._files.split(path)
        place = self._files.at(inner, temporary(key))
        with self._files.ending("look for the temporary name", path):
            found = self._files.status(place) if self._files.is_here(inner) else None
        if found is None or not (stat.S_ISREG(found.permissions or 0) or stat.S_ISLNK(found.permissions or 0)):
            return None
        if stat.S_ISLNK(found.permissions or 0):
            return StagedLink(self._files, path, key, place)
        return StagedFile(self._files, path, key, place, None)

    def publish(self, path: bytes, key: str, inode: int | None, *, over: Fingerprint | None = None, read_back: Fingerprint | None = None) -> Fingerprint:
        """Give the temporary name its final one, never over another. Writes. Raises EndError CONFLICT, FAILED, UnreachableError.

        What a killed run has published is a CONFLICT, too: whoever asks reads it, for nothing else tells that it is ours.
        """
        import asyncssh

        self._able(path)
        inner, name = self._files.split(path)
        with self._files.ending("publish", path):
            self._files.need_folder(path)
            own, place = self._files.at(inner, temporary(key)), self._files.at(inner, name)
            staged, there = self._seen(own, path), self._seen(place, path)
            if there is not None:
                raise EndError("CONFLICT", f"{self.shown(path)}: something else is there")
            if staged is None:
                raise EndError("FAILED", f"{self.shown(path)}: its temporary name is gone", retry=True)
            if read_back is not None and (wrong := read_back.differs(staged)):
                raise EndError("FAILED", f"{self.shown(path)}: somebody changed its temporary copy after it was read back ({wrong})", retry=True)
            try:
                self._line.ask(lambda client: client.rename(own, place))
            except asyncssh.SFTPError:
                if self._seen(place, path) is not None:
                    raise EndError("CONFLICT", f"{self.shown(path)}: something else took this name just now") from None
                raise
            found = self._seen(place, path)
        if found is None or staged.differs(found):
            raise EndError("CONFLICT", f"{self.shown(path)}: was replaced by somebody as soon as it had its name")
        return found

    def protect(self, path: bytes, key: str, found: Fingerprint) -> None:
        """Nothing: no file of a tree is locked by jobs."""

    def discard(self, path: bytes, key: str, inode: int | None = None) -> None:
        """Remove this step's temporary name, and that of a folder it was about to make. Writes. Raises EndError, UnreachableError."""
        import asyncssh

        inner, _ = self._files.split(path)
        parts = inner.split(b"/") if inner else []
        with self._files.ending("discard the temporary name", path):
            for depth in range(len(parts) + 1):
                above = b"/".join(parts[:depth])
                if not self._files.is_here(above):
                    return
                own = self._files.at(above, temporary(key))
                if (found := self._files.status(own)) is None:
                    continue
                if stat.S_ISDIR(found.permissions or 0):
                    with suppress(asyncssh.SFTPNoSuchFile):
                        self._line.ask(lambda client, own=own: client.rmdir(own))  # type: ignore[misc]  # bound as a default
                elif depth == len(parts):
                    with suppress(asyncssh.SFTPNoSuchFile):
                        self._line.ask(lambda client, own=own: client.remove(own))  # type: ignore[misc]  # as above

    def settle(self, paths: Iterable[bytes]) -> None:
        """Nothing: the protocol makes files durable, and no names. Before anything of the source is purged, the copy is read again."""

    def strays(self) -> Iterator[Stray]:
        """Every temporary name on the volume. Only reads. Raises EndError where a folder cannot be listed, UnreachableError."""
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            with self._files.ending("list", folder):
                for one in self._listed(self._files.at(folder)):
                    name = os.fsencode(one.filename)
                    path = folder + b"/" + name if folder else name
                    if is_temporary(name):
                        yield Stray(key_of(name) or "", "temporary", path, self._files.fingerprint(one.attrs, path))
                    elif path != HOME and stat.S_ISDIR(one.attrs.permissions or 0) and self._files.is_here(path):
                        waiting.append(path)

    def free_bytes(self) -> int | None:
        """Space that is left for us; None = the host does not tell. Raises UnreachableError."""
        import asyncssh

        root = self._line.root
        with suppress(asyncssh.SFTPError):
            found = self._line.ask(lambda client: client.statvfs(root))
            return int(found.bavail * found.frsize)
        return None

    def clock_ns(self) -> int:
        """The host's own time where it was prepared and can be written, else ours. Writes. Raises UnreachableError."""
        import asyncssh

        place = self._files.home(_CLOCK)
        if self._marker() is None:
            return time.time_ns()
        with suppress(asyncssh.SFTPError):
            with suppress(asyncssh.SFTPNoSuchFile):
                self._line.ask(lambda client: client.remove(place))
            _host_canaries.write_new(self._files, place, b"")
            found = self._files.status(place)
            if found is not None and found.mtime is not None:
                return found.mtime * 1_000_000_000
        return time.time_ns()

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def _able(self, path: bytes) -> Capabilities:
        """What the host can do, for a step that writes. Raises EndError REFUSED where nobody knows, or it lacks too much; UnreachableError."""
        able = super()._able(path)
        if able.publish == "none":
            told = "this host lets a file overwrite another, or does not make files durable when it is asked to (fsync@openssh.com): nothing is copied to it"
            raise EndError("REFUSED", f"{self.shown(path)}: {told}")
        return able

    @property
    def _fs_id(self) -> str:
        return self._line.fs_id

    def _preparing(self) -> AbstractContextManager[None]:
        return self._files.ending("prepare", HOME)

    def _find_out(self) -> Capabilities:
        return _host_canaries.find_out(self._files)

    def _place_of(self, volume: str) -> object:
        with closing(Store(self._config, volume)) as store:
            return store._fs_id

    def _seen(self, place: bytes, path: bytes) -> Fingerprint | None:
        found = self._files.status(place)
        return None if found is None else self._files.fingerprint(found, path)

    def _listed(self, place: bytes) -> "list[SFTPName]":
        async def listed(client: "SFTPClient") -> "list[SFTPName]":
            return [one async for one in client.scandir(place) if one.filename not in (b".", b"..")]

        return self._line.ask(listed)

    def _marker(self) -> Marker | None:
        """The marker that is there, whoever's; None = none that can be read. Raises UnreachableError."""
        import asyncssh

        try:
            home = self._files.status(self._files.home())
            found = self._files.status(self._files.home(MARKER)) if home is not None and stat.S_ISDIR(home.permissions or 0) else None
            if found is None or not stat.S_ISREG(found.permissions or 0):
                return None
            return parsed(_host_canaries.read_small(self._files, self._files.home(MARKER), _MOST_BYTES))
        except asyncssh.SFTPError:
            return None

    def _make_home(self, *, known: bool) -> None:
        """Make our folder, or see that the one which is there is ours alone. Writes. Raises SFTPError, EndError REFUSED."""
        import asyncssh

        place = self._files.home()
        there = self._files.status(place)
        if there is None:
            self._line.ask(lambda client: client.mkdir(place, asyncssh.SFTPAttrs(permissions=0o700)))
            return
        if not stat.S_ISDIR(there.permissions or 0):
            raise EndError("REFUSED", f"{self.shown(HOME)}: is not a folder of ours; somebody put it there: remove it, then prepare the volume")
        if not known:
            odd = [
                name
                for one in self._listed(place)
                if (name := os.fsencode(one.filename)) not in (MARKER, _NEW_MARKER, _CLOCK) and not name.startswith(_host_canaries.FOLDER)
            ]
            if odd:
                told = "is nothing that Lastcopy put there, and its folder has no marker; move it elsewhere, the name is Lastcopy's"
                raise EndError("REFUSED", f"{self.shown(HOME + b'/' + odd[0])}: {told}")
        self._refuse_a_stranger(place, there)

    def _refuse_a_stranger(self, place: bytes, there: "SFTPAttrs") -> None:
        """Raises EndError REFUSED where others may write to our folder, or it is not of whom the host takes us for. Writes."""
        own = place + b"/" + _NEW_MARKER
        self._remove(own)
        _host_canaries.write_new(self._files, own, b"")
        made = self._files.status(own)
        self._remove(own)
        if made is None or made.uid != there.uid or (there.permissions or 0) & _OTHERS_WRITE:
            raise EndError(
                "REFUSED", f"{self.shown(HOME)}: belongs to user {there.uid}, mode {stat.S_IMODE(there.permissions or 0):04o}; it must be ours alone"
            )

    def _write_marker(self, marker: Marker) -> None:
        """Put the marker in its place. Writes. Raises SFTPError, UnreachableError."""
        new, place = self._files.home(_NEW_MARKER), self._files.home(MARKER)
        self._remove(new)
        _host_canaries.write_new(self._files, new, json.dumps(asdict(marker), indent=2).encode() + b"\n")
        self._remove(place)  # a run that is killed now leaves a volume that is to be prepared again
        self._line.ask(lambda client: client.rename(new, place))

    def _remove(self, place: bytes) -> None:
        import asyncssh

        with suppress(asyncssh.SFTPNoSuchFile):
            self._line.ask(lambda client: client.remove(place))
