"""`.lastcopy/` of a volume: our own directory, which must be ours, and the marker in it that says which volume this is."""

import errno
import json
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from threading import Lock

from catalog import names
from catalog.errors import RefusedError
from catalog.ours import HOME, MARKER, QUARANTINE
from lifecycle.ends import EndError, failed
from lifecycle.stores import Capabilities
from lifecycle.stores._tree import DIRECTORY, GONE, Tree
from scanners import _place

_NEW_MARKER = b"volume.json.new"
_MOST_BYTES = 64 << 10
# Every file of these may have the owner and the mode of the mount, or what a server makes of them; only what we make there tells.
_OWNERLESS = ("vfat", "msdos", "exfat", "ntfs", "fuse", "cifs", "smb", "9p", "virtiofs")


@dataclass(frozen=True)
class Marker:
    """What `volume.json` says. `fs_id` and `root_inode` tell a marker that was copied to another place with the rest of the tree."""

    volume: str
    id: str
    fs_id: str | None
    root_inode: int | None  # None where such numbers do not last
    prepared_us: int
    capabilities: Capabilities | None


class Home:
    """Our directory on a volume. It is held open, and looked at anew each time: somebody may put another in its place."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._lock = Lock()
        self._open: dict[tuple[bytes, bool], tuple[int, tuple[int, int]]] = {}

    def close(self) -> None:
        """Let go of what is held open."""
        with self._lock:
            for descriptor, _ in self._open.values():
                os.close(descriptor)
            self._open.clear()

    def directory(self) -> int:
        """`.lastcopy` itself. Raises EndError REFUSED where it is not there, or not ours."""
        return self._checked(self._tree.root, HOME)

    def quarantine(self) -> int:
        """`.lastcopy/quarantine`. Raises EndError REFUSED where it is not there, or not ours."""
        return self._checked(self.directory(), QUARANTINE)

    def exists(self) -> bool:
        """Whether there is anything of that name. Only reads."""
        try:
            os.stat(HOME, dir_fd=self._tree.root, follow_symlinks=False)
        except OSError:
            return False
        return True

    def refuse_foreign(self) -> None:
        """Raises EndError REFUSED where our directory is there without a marker, and holds what no preparation leaves behind. Only reads."""
        if self.marker() is not None or not self.exists():
            return
        directory = self._checked(self._tree.root, HOME, only_reading=True)
        for name in os.listdir(directory):
            raw = os.fsencode(name)
            if raw not in (QUARANTINE, _NEW_MARKER, b"clock") or (raw != QUARANTINE and not self._is_ours(directory, raw)):
                shown = self._tree.shown(HOME + b"/" + raw)
                raise EndError(
                    "REFUSED", f"{shown}: is nothing that Lastcopy put there, and its folder has no marker; move it elsewhere, the name is Lastcopy's"
                )

    def make(self) -> None:
        """Make what is not there of our directories, durable. Writes. Raises OSError, EndError REFUSED for one that is not ours."""
        self._make(self._tree.root, HOME)
        self._make(self.directory(), QUARANTINE)
        self.quarantine()

    def marker(self) -> Marker | None:
        """The marker that is there; None where there is none that can be read. Only reads."""
        with suppress(EndError, OSError):
            return parsed(self._text(self._checked(self._tree.root, HOME, only_reading=True), MARKER))
        return None

    def write_marker(self, marker: Marker) -> None:
        """Put the marker in its place, durable. Writes. Raises EndError, OSError."""
        directory = self.directory()
        for name in (MARKER, _NEW_MARKER):
            if not self._is_ours(directory, name):
                shown = self._tree.shown(HOME + b"/" + name)
                raise EndError("REFUSED", f"{shown}: is no marker that Lastcopy wrote, and is not replaced; move it elsewhere")
        with suppress(FileNotFoundError):
            os.unlink(_NEW_MARKER, dir_fd=directory)
        descriptor = os.open(_NEW_MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
        try:
            written = json.dumps(asdict(marker), indent=2).encode() + b"\n"
            if os.write(descriptor, written) != len(written):
                raise EndError("FAILED", f"volume {self._tree.volume}: its marker could not be written whole", retry=True)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(_NEW_MARKER, MARKER, src_dir_fd=directory, dst_dir_fd=directory)
        self._tree.sync(directory, may_not=True)

    def remove_marker(self) -> None:
        """Take the marker away again. Writes."""
        os.unlink(MARKER, dir_fd=self.directory())

    def write_time_ns(self) -> int:
        """The storage's own time: that of a file of ours which is written now. Writes. Raises EndError, OSError."""
        descriptor = os.open(b"clock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=self.directory())
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size:
                raise EndError("REFUSED", f"{self._tree.shown(HOME + b'/clock')}: is no empty file; somebody put it there: move it elsewhere")
            os.utime(descriptor)
            return os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)

    def _is_ours(self, directory: int, name: bytes) -> bool:
        """Whether there is nothing of a name of ours, or a file as we write it: a marker, or an empty one. Only reads."""
        try:
            text = self._text(directory, name)
        except FileNotFoundError:
            return True
        except OSError:  # a link, no file, or what we may not read
            return False
        return not text.strip(b"\0") or parsed(text) is not None

    def _text(self, directory: int, name: bytes) -> bytes:
        """The beginning of a file of ours. Raises OSError, also for what is no file."""
        descriptor = self._tree.open_in(directory, name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            return os.read(descriptor, _MOST_BYTES)
        finally:
            os.close(descriptor)

    def _make(self, parent: int, name: bytes) -> None:
        with suppress(FileExistsError):  # it is looked at when it is opened
            os.mkdir(name, 0o700, dir_fd=parent)
            with suppress(OSError):  # a canary finds out whether directories can be synced
                os.fsync(parent)

    def _checked(self, parent: int, name: bytes, *, only_reading: bool = False) -> int:
        """The descriptor of one of our directories, after a look at what has its name now. Where owners may not be kept that writes, unless `only_reading`."""
        with self._lock:
            known = self._open.get((name, only_reading))
            try:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if known and known[1] == (found.st_dev, found.st_ino):
                    return known[0]
                if not stat.S_ISDIR(found.st_mode):
                    raise EndError("REFUSED", f"{self._shown(name)}: is not a directory of ours; somebody put it there: remove it, then prepare the volume")
                descriptor = self._tree.open_in(parent, name, DIRECTORY)
            except OSError as error:
                if error.errno in GONE:
                    raise EndError("REFUSED", f"{self._shown(name)}: is not there; 'lastcopy volume prepare {self._tree.volume}' makes it") from error
                raise EndError("REFUSED", f"{self._shown(name)}: cannot be opened ({error.strerror})") from error
            try:
                _refuse_a_stranger(descriptor, self._shown(name), only_reading)
                status = os.fstat(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if known:
                os.close(known[0])
            self._open[name, only_reading] = descriptor, (status.st_dev, status.st_ino)
            return descriptor

    def _shown(self, name: bytes) -> str:
        return self._tree.shown(HOME if name == HOME else HOME + b"/" + name)


def _refuse_a_stranger(descriptor: int, shown: str, only_reading: bool) -> None:
    """Raises EndError REFUSED where an open directory is not ours alone, FAILED where that cannot be found out. May write where owners are not kept."""
    status = os.fstat(descriptor)
    is_ours = status.st_uid == os.geteuid() and not status.st_mode & 0o022
    if not is_ours and _place.mount(descriptor).filesystem.startswith(_OWNERLESS):
        try:
            is_ours = only_reading or _is_as_ours(descriptor, status)
        except PermissionError:
            is_ours = False
        except OSError as error:
            raise failed(error, f"{shown}: whose it is shows in a file that is made there") from error
    if not is_ours:
        raise EndError("REFUSED", f"{shown}: belongs to user {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}; it must be ours alone")


def _is_as_ours(directory: int, status: os.stat_result) -> bool:
    """Whether an open directory has the owner that a file has which we make in it, and a mode that says nothing where that of the file does not. Writes.

    Raises OSError.
    """
    name = b"owner-%s" % secrets.token_hex(8).encode()
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        made = os.fstat(descriptor)  # by descriptor: who owns the directory can put his own at the name
    finally:
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(name, dir_fd=directory)
    return status.st_uid == made.st_uid and (not status.st_mode & 0o022 or bool(made.st_mode & 0o077))


def is_here(tree: Tree, marker: Marker) -> bool:
    """Whether a marker was made for this root, on this file system."""
    inode = tree.fingerprint(tree.root, b"").inode
    return marker.volume == tree.volume and marker.fs_id == tree.fs_id and marker.root_inode in (None, inode)


def refuse_another(tree: Tree, home: Home, marker: str) -> None:
    """Raises RefusedError where the marker that is there is another's. One of this volume without capabilities is of a run that was killed."""
    there = home.marker()
    if there is None or (is_here(tree, there) and (there.id == marker or there.capabilities is None)):
        return
    if there.volume != tree.volume:
        told = f"is prepared as volume {names.escape(there.volume.encode())!r}: one storage must not be two volumes; if it was renamed, say --take-over"
    elif not is_here(tree, there):
        told = "has a marker that was made elsewhere and copied here; if this is its new home, say --take-over"
    else:
        told = "has the marker of another catalog, whose jobs may work on it; if that catalog is gone for good, say --take-over"
    raise RefusedError(f"volume {tree.volume}: {names.escape(os.fsencode(tree.location))} {told}")


def parsed(text: bytes) -> Marker | None:
    """What a marker says; None for what is none."""
    try:
        found = json.loads(text)
        able = Capabilities(**found["capabilities"]) if found["capabilities"] else None
        marker = Marker(found["volume"], found["id"], found["fs_id"], found["root_inode"], found["prepared_us"], able)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return marker if isinstance(marker.volume, str) and isinstance(marker.id, str) else None
