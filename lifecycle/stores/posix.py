"""File trees as jobs use them: by descriptors below the root, no link followed, nothing overwritten, every move looked at."""

import errno
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from threading import Lock
from typing import ClassVar, Literal

import scanners
from catalog.config import Config
from catalog.errors import LastcopyError, RefusedError
from catalog.ours import HOME, QUARANTINE, is_temporary, key_of, temporary
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, Fingerprint, Identity, Metadata, Move, Pointer, Source, Stray, _calls, _canaries, _quarantine, _reading, _staging
from lifecycle.stores._home import Home, Marker, is_here, refuse_another
from lifecycle.stores._quarantine import Quarantine
from lifecycle.stores._staging import StagedFile, StagedLink
from lifecycle.stores._tree import DIRECTORY, GONE, Tree
from scanners import _place

_READ_ONLY = 1  # ST_RDONLY of statvfs(3)


class Store:
    """One file tree. Its calls may come from several threads."""

    waits: ClassVar[bool] = False

    def __init__(self, config: Config, volume: str) -> None:
        """Opens nothing yet."""
        settings = scanners.settings(config, volume)
        self._config = config
        self._tree = Tree(volume, settings.location, cross_mounts=settings.cross_mounts)
        self._home = Home(self._tree)
        self._quarantine = Quarantine(self._tree, self._home)
        self._lock = Lock()
        self._capabilities: Capabilities | None = None
        self._identified = False
        self._durable: set[bytes] = set()  # directories whose names were made durable
        self._parents: tuple[bytes, tuple[Metadata, ...]] | None = None

    @property
    def capabilities(self) -> Capabilities | None:
        """What the canaries found; None = never prepared, or prepared as another volume, or on another file system."""
        if not self._identified:
            self.identify()
        return self._capabilities

    def identify(self) -> Identity:
        """Look at the root, its marker and its file system. Only reads. Raises UnreachableError."""
        root = self._tree.root
        marker, fs_id = self._home.marker(), self._tree.fs_id
        if marker is not None and marker.fs_id == fs_id and not is_here(self._tree, marker):
            marker = None  # another volume's, or one that was copied within its file system
        self._capabilities = marker.capabilities if marker and marker.fs_id == fs_id else None
        self._identified = True
        return Identity(marker.id if marker and marker.volume == self._tree.volume else None, fs_id, self._writable(root))

    def prepare(self, marker: str, *, at_us: int, take_over: bool = False) -> Capabilities:
        """Write the marker and try the canaries; see `stores.Store`. Writes. Raises RefusedError, UnreachableError, EndError, LockedError."""
        if not take_over:
            refuse_another(self._tree, self._home, marker)
        inode = self._tree.fingerprint(self._tree.root, b"").inode
        with self._tree.ending("prepare", HOME):
            self._home.refuse_foreign()
            self._home.make()
            was = self._home.marker()
            known = was.capabilities if was and was.id == marker else None
            self._home.write_marker(Marker(self._tree.volume, marker, self._tree.fs_id, inode, at_us, known))
            self._refuse_twins(marker, was)
            found = _canaries.find_out(self._tree, self._home.directory())
            last = inode if found.stable_inodes else None
            self._home.write_marker(Marker(self._tree.volume, marker, self._tree.fs_id, last, at_us, found))
        self._capabilities, self._identified = found, True
        return found

    def device(self) -> str | None:
        """The disks that it is on now, as scans tell them. Only reads. Raises UnreachableError."""
        return _place.devices(self._tree.root, cross_mounts=self._tree.cross_mounts)

    def look(self, path: bytes) -> Fingerprint | None:
        """What is at a path now; None = nothing. Only reads. Raises EndError."""
        return self._tree.look(path)

    def open(self, path: bytes, expected: Fingerprint) -> _reading.Reading:
        """Open a file or symbolic link that is what was expected. Only reads. Raises EndError STALE, SOURCE_BUSY, REFUSED."""
        with self._tree.directory(path, "open") as (directory, name):
            source = _reading.open_expected(self._tree, (directory, name), path, expected, lease=self._leases)
        source.parents = lambda: self._metadata_above(path)
        return source

    def digest(self, path: bytes, expected: Fingerprint) -> bytes:
        """SHA-256 of a file that is what was expected before and after, read from the storage. Only reads. Raises EndError."""
        source = self.open(path, expected)
        try:
            return source.stored_sha256()
        finally:
            source.close()

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
        """Create the temporary name beside a target that is not there, or is `over`, with its directories. Writes. Raises EndError CONFLICT, REFUSED."""
        able = self._able(path)
        losses: list[str] = []
        for attempt in range(2):
            try:
                return _staging.create(self._tree, path, key, link_target, losses, over, stable=able.stable_inodes)
            except EndError as error:
                if error.state != "STALE" or attempt:
                    raise
                losses = _staging.make_directories(self._tree, path, key, parents, may_not_sync=not able.sync_directories)
        raise AssertionError("a second attempt returns or raises")

    def staged(self, path: bytes, key: str, inode: int | None) -> StagedFile | StagedLink | None:
        """A temporary name that an earlier run left, if it is that inode. Raises EndError."""
        return _staging.left(self._tree, path, key, inode)

    def publish(self, path: bytes, key: str, inode: int | None, *, over: Fingerprint | None = None, read_back: Fingerprint | None = None) -> Fingerprint:
        """Give the temporary name its final one, never over another but `over`, which goes. Writes. Raises EndError CONFLICT.

        What a killed run has published already is found, by its inode.
        """
        able = self._able(path)
        with self._tree.directory(path, "publish") as (directory, name):
            staged = self._tree.fingerprint_in(directory, temporary(key), path)
            # Where the kernel refuses a name that is taken, it is looked at only then.
            sure = able.publish == "noreplace" and staged is not None and over is None
            there = None if sure else self._tree.fingerprint_in(directory, name, path)
            if staged is not None and inode is not None and staged.inode != inode:
                raise EndError("FAILED", f"{self._tree.shown(path)}: its temporary name leads to another file now", retry=True)
            if staged is not None and read_back is not None and (wrong := read_back.differs(staged)):
                raise EndError("FAILED", f"{self._tree.shown(path)}: somebody changed its temporary copy after it was read back ({wrong})", retry=True)
            if there is not None and staged is not None and over is not None and not over.differs(there, moved=True):
                return _staging.supersede(self._tree, directory, path, key, over, able=able.exchange)
            if there is not None:
                return self._published_already(directory, path, key, inode, staged, there)
            if staged is None:
                raise EndError("FAILED", f"{self._tree.shown(path)}: its temporary name is gone", retry=True)
            try:
                _quarantine.move_new(directory, temporary(key), directory, name)
            except FileExistsError as error:
                there = self._tree.fingerprint_in(directory, name, path)
                if there is None:
                    raise EndError("CONFLICT", f"{self._tree.shown(path)}: something else took this name just now") from error
                return self._published_already(directory, path, key, inode, staged, there)
            found = self._tree.fingerprint_in(directory, name, path)
        if found is None or (inode is not None and found.inode != inode):
            raise EndError("CONFLICT", f"{self._tree.shown(path)}: was replaced by somebody as soon as it had its name")
        return found

    def protect(self, path: bytes, key: str, found: Fingerprint) -> None:
        """Nothing: no file of a tree is locked by jobs."""

    def discard(self, path: bytes, key: str, inode: int | None = None) -> None:
        """Remove this step's temporary name if it is that inode, and its sidecar if its file never came into quarantine. Writes. Raises EndError CONFLICT."""
        _staging.discard(self._tree, path, key, inode)
        if self._home.exists():
            self._quarantine.forget(key)

    def give_back(self, path: bytes, key: str, inode: int) -> None:
        """Give what a killed run let change places with the file of that inode its name again. Writes. Raises EndError CONFLICT."""
        _staging.give_back(self._tree, path, key, inode)

    def settle(self, paths: Iterable[bytes]) -> None:
        """Make the names of these paths durable: fsync of the directories that hold them, each once, and of those above, once a store. Raises EndError."""
        able = self.capabilities
        may_not = able is not None and not able.sync_directories
        for path in {self._tree.split(path)[0]: path for path in paths}.values():
            with self._tree.directory(path, "make its directory durable") as (directory, _):
                self._tree.sync(directory, may_not=may_not)
            above, named = self._tree.split(path)[0], set()
            while above and above not in self._durable:  # a killed run may have named it, and no more
                with self._tree.directory(above, "make its directories durable") as (directory, _):
                    self._tree.sync(directory, may_not=may_not)
                named.add(above)
                above = self._tree.split(above)[0]
            self._durable |= named

    def announce(self, moves: Iterable[Move]) -> None:
        """Write the sidecars of moves into quarantine, durable together. Writes. Raises EndError."""
        self._quarantine.announce(moves)

    def quarantine(self, path: bytes, key: str, expected: Fingerprint, *, leave: Pointer | None = None) -> Fingerprint:
        """Move a file into quarantine, look at what was moved, put it back if it is not what was expected. Writes. Raises EndError."""
        able = self._able(path)
        if leave is not None and not able.exchange:
            raise EndError("REFUSED", f"{self._tree.shown(path)}: this volume cannot let two names change places, so nothing can be left in its stead")
        return self._quarantine.move_in(Move(path, key, expected, leave))

    def settle_quarantine(self) -> None:
        """Make moves into and out of quarantine durable, on its side. Writes. Raises EndError."""
        self._quarantine.settle()

    def quarantined(self, key: str) -> Fingerprint | None:
        """The file that a step has in quarantine; None = none. Only reads. Raises EndError."""
        return self._quarantine.look(key)

    def open_quarantined(self, key: str, expected: Fingerprint) -> _reading.Reading:
        """Open a quarantined file, changed time and links let go. Only reads. Raises EndError."""
        path = b"/".join((HOME, QUARANTINE, key.encode()))
        with self._tree.ending("open", path):
            directory = self._home.quarantine()
            return _reading.open_expected(self._tree, (directory, key.encode()), path, expected, lease=self._leases, moved=True)

    def put_back(self, key: str, path: bytes, expected: Fingerprint) -> None:
        """Move a quarantined file to its old name, over nothing but a pointer that we left there. Writes. Raises EndError CONFLICT, STALE."""
        self._able(path)
        self._quarantine.move_back(key, path, expected)

    def remove(self, key: str, expected: Fingerprint) -> None:
        """Unlink a quarantined file and its sidecar. The only call that destroys content. Raises EndError STALE."""
        self._quarantine.remove(key, expected)

    def share(self, kept: bytes, kept_expected: Fingerprint, other: bytes, other_expected: Fingerprint) -> Literal["shared", "differs", "unsupported"]:
        """Have two equal files share their blocks, compared by the kernel; names and metadata stay. Writes. Raises EndError."""
        self._able(other)
        if kept_expected.size_bytes != other_expected.size_bytes:
            return "differs"
        one = self.open(kept, kept_expected)
        try:
            two = self.open(other, other_expected)
            try:
                with self._tree.ending("share blocks", other):
                    return _calls.dedupe(one.descriptor, two.descriptor, kept_expected.size_bytes)
            finally:
                two.close()
        finally:
            one.close()

    def clone(self, path: bytes, key: str, kept: bytes, kept_expected: Fingerprint, how: Literal["reflink", "hard_link"]) -> StagedFile:
        """A temporary name beside a path that is there, with the content of another file of the volume. Writes. Raises EndError."""
        able = self._able(path)
        source = self.open(kept, kept_expected)
        try:
            with self._tree.directory(path, how.replace("_", " ")) as (directory, _):
                if how == "hard_link":
                    self._link(directory, kept, temporary(key), source.fingerprint)
                    descriptor = self._tree.open_in(directory, temporary(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                    return StagedFile(self._tree, path, key, descriptor, source.fingerprint.inode if able.stable_inodes else None, shares_inode=True)
                staged = _staging.create_beside(self._tree, directory, path, key, stable=able.stable_inodes)
                _calls.clone(staged.descriptor, source.descriptor)
                return staged
        finally:
            source.close()

    def stand_in(self, path: bytes, key: str, sha256: bytes, read_back: Fingerprint) -> Pointer:
        """What lies under a step's temporary name, as what `quarantine` leaves in the place of its file. Only reads. Raises EndError."""
        return _staging.stand_in(self._tree, path, key, sha256, read_back)

    def link(self, path: bytes, key: str, first: bytes, first_expected: Fingerprint, parents: tuple[Metadata, ...] = ()) -> list[str]:
        """Give a file one more name, staged under `key`, with its directories; gives what these could not keep. Writes. Raises EndError."""
        able = self._able(path)
        losses: list[str] = []
        if self._tree.split(path)[0] != self._tree.split(first)[0]:
            losses = _staging.make_directories(self._tree, path, key, parents, may_not_sync=not able.sync_directories)
        with self._tree.directory(path, "link") as (directory, _):
            self._link(directory, first, temporary(key), first_expected)
        return losses

    def folder_modified_ns(self, path: bytes) -> int:
        """When the folder that holds a path was last modified. Only reads. Raises EndError."""
        with self._tree.directory(path, "look at its directory") as (directory, _):
            return os.fstat(directory).st_mtime_ns

    def give_folder_modified(self, path: bytes, modified_ns: int) -> None:
        """Say when the folder that holds a path was last modified. Writes. Raises EndError."""
        with self._tree.directory(path, "give its directory its time") as (directory, _):
            os.utime(directory, ns=(os.fstat(directory).st_atime_ns, modified_ns))

    def strays(self) -> Iterator[Stray]:
        """Everything of ours on the volume. Only reads. Raises EndError at the end where a directory could not be listed."""
        if self._home.exists():
            yield from (Stray(key, "quarantine", path, found) for key, path, found in self._quarantine.files())
        unread: list[bytes] = []
        waiting = [b""]
        while waiting:
            directory = waiting.pop()
            try:
                yield from self._strays_in(directory, waiting)
            except OSError as error:
                if error.errno not in (*GONE, errno.EXDEV):
                    unread.append(directory)
        if unread:
            raise EndError("FAILED", f"{len(unread)} directories could not be listed, the first is {self._tree.shown(unread[0])}", retry=True)

    def free_bytes(self) -> int | None:
        """Space that is left for us."""
        with suppress(OSError):
            found = os.fstatvfs(self._tree.root)
            return found.f_bavail * found.f_frsize
        return None

    def clock_ns(self) -> int:
        """The storage's own time where it was prepared and can be written, else the host's. Writes."""
        with suppress(EndError, OSError):
            if self._home.marker() is not None:
                return self._home.write_time_ns()
        return time.time_ns()

    def close(self) -> None:
        """Let go of what is held open."""
        self._home.close()
        self._tree.close()

    def _writable(self, root: int) -> bool:
        return not os.fstatvfs(root).f_flag & _READ_ONLY and os.access(b".", os.W_OK, dir_fd=root, effective_ids=True)

    @property
    def _leases(self) -> bool:
        """Whether a lease is worth asking for: on a volume that was never prepared it shows."""
        able = self.capabilities
        return able.leases if able else not self._tree.remote

    def _able(self, path: bytes) -> Capabilities:
        """What the volume can do, for a step that writes. Raises EndError REFUSED where nobody knows."""
        able = self.capabilities
        if able is None:
            raise EndError("REFUSED", f"{self._tree.shown(path)}: the volume is not prepared; 'lastcopy volume prepare {self._tree.volume}' does it")
        if able.publish == "none":
            raise EndError("REFUSED", f"{self._tree.shown(path)}: this volume cannot publish a file without overwriting another")
        return able

    def _refuse_twins(self, marker: str, was: Marker | None) -> None:
        """Raises RefusedError where another volume of the configuration shows the marker that was just written here; it is as it was then."""
        for name, declared in self._config.volumes.items():
            if name == self._tree.volume or declared.kind != "posix":
                continue
            other = Store(self._config, name)
            try:
                found = other._home.marker()
            except LastcopyError:
                continue  # not mounted: nothing can be told of it
            finally:
                other.close()
            if found and found.id == marker:
                if was:
                    self._home.write_marker(was)
                else:
                    self._home.remove_marker()
                raise RefusedError(f"volume {self._tree.volume}: is the same storage as volume {name}; declare it once, or two copies would be one")

    def _published_already(self, directory: int, path: bytes, key: str, inode: int | None, staged: Fingerprint | None, there: Fingerprint) -> Fingerprint:
        ours = there.inode == (inode if inode is not None else staged.inode if staged else None)
        if not ours or there.inode is None:
            raise EndError("CONFLICT", f"{self._tree.shown(path)}: something else is there")
        if staged is not None:  # linked, and not yet unlinked
            os.unlink(temporary(key), dir_fd=directory)
        return there

    def _link(self, directory: int, first: bytes, name: bytes, expected: Fingerprint) -> None:
        """One more name of a file that is what was expected, also once it is linked. Raises OSError, EndError STALE."""
        with self._tree.directory(first, "link") as (from_directory, from_name):
            os.link(from_name, name, src_dir_fd=from_directory, dst_dir_fd=directory, follow_symlinks=False)
        linked = self._tree.fingerprint_in(directory, name, first)
        wrong = "it is gone" if linked is None else expected.differs(linked, moved=True)
        if wrong:
            os.unlink(name, dir_fd=directory)
            raise EndError("STALE", f"{self._tree.shown(first)}: is not what was expected ({wrong})")

    def _metadata_above(self, path: bytes) -> tuple[Metadata, ...]:
        """The metadata of the directories above a path, outermost first; those of the last path are kept."""
        inner = self._tree.split(path)[0]
        with self._lock:
            if self._parents and self._parents[0] == inner:
                return self._parents[1]
        found = _staging.metadata_of_directories(self._tree, inner)
        with self._lock:
            self._parents = inner, found
        return found

    def _strays_in(self, directory: bytes, waiting: list[bytes]) -> Iterator[Stray]:
        descriptor = self._tree.open(directory, DIRECTORY)
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    path = directory + b"/" + name if directory else name
                    if is_temporary(name):
                        found = self._tree.fingerprint_in(descriptor, name, path)
                        if found is not None:
                            yield Stray(key_of(name) or "", "temporary", path, found)
                    elif path != HOME and entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
        finally:
            os.close(descriptor)
