"""Folders of another host as jobs use them, by SFTP: files are added under temporary names, read back, and given names that nothing has."""

import stat
from collections.abc import Iterable
from contextlib import closing, suppress

import scanners
from catalog.config import Config
from catalog.ours import HOME, temporary
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, Fingerprint, Metadata, Source, _host_canaries, _host_files
from lifecycle.stores._host_files import Kept, Reading, StagedFile, StagedLink
from lifecycle.stores._hosted import NEW_MARKER, Hosted
from lifecycle.stores._hosted_quarantine import Quarantine
from lifecycle.stores._line import FRESH, OTHERS_WRITE, Files, Line


class Store(Hosted):
    """One folder of a host. Its calls may come from several threads."""

    _no_target = "this host lets a file overwrite another, or does not make files durable when it is asked to (fsync@openssh.com)"

    def __init__(self, config: Config, volume: str) -> None:
        """Connects to nothing yet. Raises MissingExtraError, UnreachableError for a URL that is none."""
        super().__init__(config, volume)
        self._line = Line(scanners.settings(config, volume))
        self._files: Files = Files(volume, self._line)
        self._quarantine = Quarantine(self._files, lambda place, size_bytes: _host_files.blocks(self._files, place, size_bytes))

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

        able = self._beginning(path, over)
        if link_target is not None and not able.symlinks:
            raise EndError("REFUSED", f"{self.shown(path)}: the host does not make symbolic links as they are")
        inner, name = self._files.split(path)
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
            file = self._line.ask(lambda client: client.open(place, FRESH, rights, encoding=None))
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
            staged, there = self._files.seen(own, path), self._files.seen(place, path)
            if there is not None:
                raise EndError("CONFLICT", f"{self.shown(path)}: something else is there")
            if staged is None:
                raise EndError("FAILED", f"{self.shown(path)}: its temporary name is gone", retry=True)
            if read_back is not None and (wrong := read_back.differs(staged)):
                raise EndError("FAILED", f"{self.shown(path)}: somebody changed its temporary copy after it was read back ({wrong})", retry=True)
            try:
                self._line.ask(lambda client: client.rename(own, place))
            except asyncssh.SFTPError:
                if self._files.seen(place, path) is not None:
                    raise EndError("CONFLICT", f"{self.shown(path)}: something else took this name just now") from None
                raise
            found = self._files.seen(place, path)
        if found is None or staged.differs(found):
            raise EndError("CONFLICT", f"{self.shown(path)}: was replaced by somebody as soon as it had its name")
        return found

    def discard(self, path: bytes, key: str, inode: int | None = None) -> None:
        """Remove this step's temporary name, and that of a folder it was about to make. Writes. Raises EndError, UnreachableError."""
        import asyncssh

        inner, _ = self._files.split(path)
        parts = inner.split(b"/") if inner else []
        with self._files.ending("discard the temporary name", path):
            for depth in range(len(parts) + 1):
                above = b"/".join(parts[:depth])
                if not self._files.is_here(above):
                    break
                own = self._files.at(above, temporary(key))
                if (found := self._files.status(own)) is None:
                    continue
                if stat.S_ISDIR(found.permissions or 0):
                    with suppress(asyncssh.SFTPNoSuchFile):
                        self._line.ask(lambda client, own=own: client.rmdir(own))  # type: ignore[misc]  # bound as a default
                elif depth == len(parts):
                    with suppress(asyncssh.SFTPNoSuchFile):
                        self._line.ask(lambda client, own=own: client.remove(own))  # type: ignore[misc]  # as above
        self._forget(key)

    def settle(self, paths: Iterable[bytes]) -> None:
        """Nothing: the protocol makes files durable, and no names. Before anything of the source is purged, the copy is read again."""

    def free_bytes(self) -> int | None:
        """Space that is left for us; None = the host does not tell. Raises UnreachableError."""
        import asyncssh

        root = self._line.root
        with suppress(asyncssh.SFTPError):
            found = self._line.ask(lambda client: client.statvfs(root))
            return int(found.bavail * found.frsize)
        return None

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def _reading(self, path: bytes, found: Fingerprint) -> Reading:
        return Reading(self._files, path, found)

    def _kept(self, place: bytes, found: Fingerprint) -> Kept:
        return Kept(self._files, place, found)

    @property
    def _fs_id(self) -> str:
        return self._line.fs_id

    def _find_out(self) -> Capabilities:
        return _host_canaries.find_out(self._files)

    def _place_of(self, volume: str) -> object:
        with closing(Store(self._config, volume)) as store:
            return store._fs_id

    def _refuse_a_stranger(self, place: bytes) -> None:
        """Raises EndError REFUSED where others may write to our folder, or it is not of whom the host takes us for. Writes."""
        own, there = place + b"/" + NEW_MARKER, self._files.status(place)
        self._files.remove(own)
        self._files.write_new(own, b"")
        made = self._files.status(own)
        self._files.remove(own)
        if made is None or there is None or made.uid != there.uid or (there.permissions or 0) & OTHERS_WRITE:
            told = "is gone" if there is None else f"belongs to user {there.uid}, mode {stat.S_IMODE(there.permissions or 0):04o}; it must be ours alone"
            raise EndError("REFUSED", f"{self.shown(HOME)}: {told}")
