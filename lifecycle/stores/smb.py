"""Shares as jobs use them, by SMB 2 or 3: files are added under temporary names, read back while nobody else may write, and given names that nothing has."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import ClassVar

import scanners
from catalog.config import Config
from catalog.ours import HOME, QUARANTINE, temporary
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, Fingerprint, Metadata, Source, _share_canaries, _share_files
from lifecycle.stores._hosted import Hosted
from lifecycle.stores._hosted_quarantine import Quarantine
from lifecycle.stores._share import EVERYBODY, READ, REMOVE, Share
from lifecycle.stores._share_files import Reading, StagedFile
from lifecycle.stores._share_names import text_of
from lifecycle.stores._share_tree import Tree, signed


class Store(Hosted):
    """One folder of a share. Its calls may come from several threads, and wait for one another."""

    waits: ClassVar[bool] = False

    _no_target = "this share lets a file overwrite another, or lets others write to a file that is held"

    def __init__(self, config: Config, volume: str) -> None:
        """Connects to nothing yet. Raises MissingExtraError, UnreachableError for a URL that is none."""
        super().__init__(config, volume)
        self._share = Share(scanners.settings(config, volume))
        self._files: Tree = Tree(volume, self._share)
        self._quarantine = Quarantine(self._files, self._content)

    def stage(
        self,
        path: bytes,
        key: str,
        parents: tuple[Metadata, ...] = (),
        *,
        link_target: bytes | None = None,
        over: Fingerprint | None = None,
        source: Source | None = None,
    ) -> StagedFile:
        """Create the temporary name beside a target that is not there, with its folders. Writes. Raises EndError CONFLICT, REFUSED, UnreachableError."""
        able = self._beginning(path, over)
        if link_target is not None:
            raise EndError("REFUSED", f"{self.shown(path)}: a share keeps no symbolic link as it is")
        temporary(key)  # it must be a key
        files = self._files
        with files.ending("stage", path):
            losses = [] if files.is_here(files.split(path)[0]) else _share_files.make_folders(files, path, parents)
            files.need_folder(path)
            if files.look(path) is not None:
                raise EndError("CONFLICT", f"{self.shown(path)}: something is there already")
            created_ns = None if source is None else source.fingerprint.created_ns
            return _share_files.create(files, path, key, losses, created_ns, stable=able.stable_inodes)

    def staged(self, path: bytes, key: str, inode: int | None) -> StagedFile | None:
        """A temporary name that an earlier run left, if it is that number. Only reads. Raises EndError, UnreachableError."""
        inner, _ = self._files.split(path)
        with self._files.ending("look for the temporary name", path):
            found = self._files.seen(self._files.at(inner, temporary(key)), path) if self._files.is_here(inner) else None
        if found is None or found.type != "file" or (inode is not None and found.inode != inode):
            return None
        return StagedFile(self._files, path, key, None, inode)

    def publish(self, path: bytes, key: str, inode: int | None, *, over: Fingerprint | None = None, read_back: Fingerprint | None = None) -> Fingerprint:
        """Give the temporary name its final one, never over another. Writes. Raises EndError CONFLICT, FAILED, UnreachableError.

        What a killed run has published is known by its number, where the share has numbers that last.
        """
        self._able(path)
        with self._files.ending("publish", path):
            self._files.need_folder(path)
            there = self._files.look(path)
            if there is not None and inode is not None and there.inode == inode and (read_back is None or not read_back.differs(there, moved=True)):
                return there
            if there is not None:
                raise EndError("CONFLICT", f"{self.shown(path)}: something else is there")
            return self._renamed(path, key, inode, read_back)

    def _renamed(self, path: bytes, key: str, inode: int | None, read_back: Fingerprint | None) -> Fingerprint:
        """What was staged, under its final name: what is open is renamed, whatever becomes of names. Writes. Raises EndError, SMBResponseException."""
        from smbprotocol.exceptions import SMBResponseException

        files, inner = self._files, self._files.split(path)[0]
        opened = files.found(lambda: files.share.begin(text_of(files.at(inner, temporary(key))), REMOVE))
        if opened is None:
            raise EndError("FAILED", f"{self.shown(path)}: its temporary name is gone", retry=True)
        try:
            staged = files.fingerprint(files.share.known(opened))
            wrong = read_back.differs(staged) if read_back is not None else "inode" if inode not in (None, staged.inode) else None
            if wrong:
                raise EndError("FAILED", f"{self.shown(path)}: somebody changed its temporary copy after it was read back ({wrong})", retry=True)
            try:
                files.share.rename(opened, text_of(path))
            except SMBResponseException:
                if files.seen(path, path) is not None:
                    raise EndError("CONFLICT", f"{self.shown(path)}: something else took this name just now") from None
                raise
            found = files.look(path)
        finally:
            files.share.let_go(opened)
        if found is None or staged.differs(found, moved=True):
            raise EndError("CONFLICT", f"{self.shown(path)}: was replaced by somebody as soon as it had its name")
        return found

    def discard(self, path: bytes, key: str, inode: int | None = None) -> None:
        """Remove this step's temporary name. What has another number is left: EndError CONFLICT. Writes. Raises EndError, UnreachableError."""
        files, (inner, _) = self._files, self._files.split(path)
        with files.ending("discard the temporary name", path):
            opened = None
            if files.is_here(inner):
                opened = files.found(lambda: files.share.begin(text_of(files.at(inner, temporary(key))), REMOVE, share=EVERYBODY))
            if opened is not None:
                try:
                    if inode not in (None, signed(files.share.known(opened).number)):
                        raise EndError("CONFLICT", f"{self.shown(path)}: what has our temporary name is not ours; look at it")
                    files.share.remove(opened)
                finally:
                    files.share.let_go(opened)
        self._forget(key)

    def settle(self, paths: Iterable[bytes]) -> None:
        """Make the names of these paths durable where the share does that. Writes. Raises EndError STALE where a folder is gone, UnreachableError."""
        able = self.capabilities
        if able is None or not able.sync_directories:
            return
        for inner, path in {self._files.split(path)[0]: path for path in paths}.items():
            with self._files.ending("make its name durable", path):
                self._files.need_folder(path)
                _share_canaries.sync_folder(self._files, inner)

    def settle_quarantine(self) -> None:
        """Make moves durable on the side of the quarantine, where the share does that; then the sidecars of what was put back go. Writes. Raises EndError."""
        able, place = self.capabilities, self._files.home(QUARANTINE)
        with self._files.ending("make the quarantine durable", HOME):
            if able is not None and able.sync_directories and self._files.kind(place) == "dir":
                _share_canaries.sync_folder(self._files, place)
        super().settle_quarantine()

    def free_bytes(self) -> int | None:
        """Space that is left for us; None = the share does not tell. Raises UnreachableError."""
        share = self._files.share
        with self._files.ending("ask for the space", b""), share.folder("") as root:
            found = share.space(root)
        return None if found is None else found[1]

    def close(self) -> None:
        """Close the connection."""
        self._share.close()

    @property
    def _fs_id(self) -> str:
        return self._files.share.place

    @property
    def _fs_id_of_files(self) -> str:
        return self._files.share.server

    def _reading(self, path: bytes, found: Fingerprint) -> Reading:
        return Reading(self._files, path, found)

    def _kept(self, place: bytes, found: Fingerprint) -> Reading:
        return Reading(self._files, place, found, moved=True)

    def _content(self, place: bytes, size_bytes: int) -> Iterator[bytes]:
        with self._files.opened(place, READ) as opened:
            yield from _share_files.blocks(self._files, place, opened, size_bytes)

    def _find_out(self) -> Capabilities:
        return _share_canaries.find_out(self._files)

    def _place_of(self, volume: str) -> object:
        with closing(Store(self._config, volume)) as store:
            return store._fs_id
