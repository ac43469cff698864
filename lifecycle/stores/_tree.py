"""A volume's tree by descriptors below its root: its paths, what is at them, and how an error of theirs ends a step."""

import errno
import functools
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from types import TracebackType
from typing import Literal

from catalog import names, ours
from catalog.errors import UnreachableError
from lifecycle.ends import EndError, failed
from lifecycle.stores import Fingerprint, _calls
from lifecycle.stores._calls import Status
from scanners import _kernel, _place

GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
NAME_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LOST = (errno.ESTALE, errno.EHOSTDOWN, errno.ENODEV, errno.ENOTCONN, errno.ESHUTDOWN)
_TYPES: dict[int, Literal["file", "symlink", "dir"]] = {stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFDIR: "dir"}
_TYPE_BITS = stat.S_IFMT(0o177777)
_REMEMBERED = 1024  # names that a chunk of steps asks about again and again


class Tree:
    """The tree of one volume. Its root is held open: what is mounted over it later changes nothing here."""

    def __init__(self, volume: str, location: str, *, cross_mounts: bool) -> None:
        self.volume = volume
        self.location = location
        self.cross_mounts = cross_mounts
        self._lock = Lock()
        self.making = Lock()  # held by who makes a folder: threads want the same ones
        self._root: int | None = None
        self._fs_ids: dict[tuple[int, int], str | None] = {}

    @property
    def root(self) -> int:
        """The root's descriptor. Raises UnreachableError."""
        if self._root is not None:
            return self._root
        with self._lock:
            if self._root is None:
                try:
                    self._root = os.open(self.location, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                except OSError as error:
                    raise UnreachableError(f"volume {self.volume}: {names.escape(os.fsencode(self.location))}: {error.strerror}; is it mounted?") from error
            return self._root

    @property
    def fs_id(self) -> str | None:
        """The identity of the root's file system, as scans give it."""
        return self._fs_id(_calls.status(self.root), b"")

    @property
    def remote(self) -> bool:
        """Whether others may write to the same storage without this kernel's knowledge."""
        return _place.mount(self.root).is_remote

    def close(self) -> None:
        """Let go of the root."""
        with self._lock:
            if self._root is not None:
                os.close(self._root)
            self._root = None

    def shown(self, path: bytes) -> str:
        """A path for reading: volume and escaped path."""
        return f"{self.volume}:{names.escape(path)}"

    def split(self, path: bytes) -> tuple[bytes, bytes]:
        """Directory and name of a path. Raises EndError REFUSED for one that is none, that leaves the volume, or that is ours."""
        return split(path, self.shown)

    def open(self, path: bytes, flags: int) -> int:
        """Open a path below the root; no link is followed, and no mount is crossed unless the volume says so. Raises OSError."""
        return _kernel.open_beneath(self.root, path, flags | os.O_CLOEXEC, self.cross_mounts)

    def open_in(self, directory: int, name: bytes, flags: int) -> int:
        """Open one name of an open directory, in the same way. Raises OSError."""
        return _kernel.open_beneath(directory, name, flags | os.O_CLOEXEC, self.cross_mounts)

    def directory(self, path: bytes, doing: str) -> "_Directory":
        """The open directory of a path and its name in it, for a `with`. Errors inside end the step; one that is gone has ended with STALE."""
        return _Directory(self, path, doing)

    def ending(self, doing: str, path: bytes) -> "_Ending":
        """Every OSError inside the `with` ends the step. `doing` is a word such as 'publish'."""
        return _Ending(self, path, doing)

    def look(self, path: bytes) -> Fingerprint | None:
        """What is at a path now; None = nothing, also where a link stands in place of a directory above it."""
        self.split(path)
        with self.ending("look", path):
            try:
                descriptor = self.open(path, NAME_ONLY)
            except OSError as error:
                if error.errno in GONE:
                    return None
                raise
            try:
                return self.fingerprint_of(_calls.status(descriptor), path)
            finally:
                os.close(descriptor)

    def fingerprint(self, descriptor: int, path: bytes) -> Fingerprint:
        """The fingerprint of what is open, by statx(2). `path` tells where it lies, for its file system. Raises OSError."""
        return self.fingerprint_of(_calls.status(descriptor), path)

    def fingerprint_in(self, directory: int, name: bytes, path: bytes) -> Fingerprint | None:
        """The fingerprint of a name in an open directory; None = nothing is there. Raises OSError."""
        found = _calls.find(directory, name)
        if found is None:
            return None
        if not self.cross_mounts:
            _refuse_a_mount(directory, name, found)
        return self.fingerprint_of(found, path)

    def sync(self, directory: int, *, may_not: bool) -> None:
        """Make the names in an open directory durable, or an open file. `may_not`: the storage is known to have no such thing. Raises OSError."""
        try:
            os.fsync(directory)
        except OSError as error:
            if not (may_not and error.errno in (errno.EINVAL, errno.EOPNOTSUPP)):
                raise

    def fingerprint_of(self, found: Status, path: bytes) -> Fingerprint:
        """The fingerprint that a status means."""
        mask, _, links, mode, inode, size_bytes, _, created_s, created_ns, changed_s, changed_ns, modified_s, modified_ns, device, subvolume = found
        return Fingerprint(
            _TYPES.get(mode & _TYPE_BITS, "special"),
            size_bytes,
            modified_s * 1_000_000_000 + modified_ns,
            self._fs_ids.get((device, subvolume)) or self._fs_id(found, path),
            inode - (1 << 64) if inode >> 63 else inode,  # as the catalog's signed column has it
            created_s * 1_000_000_000 + created_ns // 1000 * 1000 if mask & _kernel.BTIME else None,
            changed_s * 1_000_000_000 + changed_ns,
            links if links < 2**31 else 2**31 - 1,
        )

    def _fs_id(self, seen: Status, path: bytes) -> str | None:
        """The file system of an entry, as scans tell it: its own, or a layer of the union mount that its directory shows."""
        pair = seen.device, seen.subvolume
        if pair in self._fs_ids:
            return self._fs_ids[pair]
        if not self._fs_ids:
            self._fs_ids[_pair(self.root)] = _place.fs_id(self.root, _pair(self.root)[1])
            return self._fs_id(seen, path)
        found: str | None = None
        with suppress(OSError), _opened(self, path.rpartition(b"/")[0], DIRECTORY) as parent:
            if _pair(parent) == pair:
                found = _place.fs_id(parent, pair[1])
            elif stat.S_ISDIR(seen.mode) or seen.attributes & _kernel.MOUNT_ROOT:
                with _opened(self, path, DIRECTORY if stat.S_ISDIR(seen.mode) else NAME_ONLY) as own:
                    found = _place.fs_id(own, pair[1])
            else:
                found = f"{_place.fs_id(parent)}-layer-{pair[0] & 0xFFFFFFFF}:{pair[0] >> 32}"
        self._fs_ids[pair] = found
        return found


def end(error: OSError, what: str) -> EndError:
    """The end that an error of a call below the root means."""
    if error.errno == errno.EXDEV:
        return EndError("REFUSED", f"{what}: another file system is mounted there; a step stays on one")
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return EndError("REFUSED", f"{what}: a symbolic link or a file stands where a directory should be")
    if error.errno == errno.ENAMETOOLONG:
        return EndError("REFUSED", f"{what}: the name is too long for this volume")
    if error.errno == errno.ENOENT:
        return EndError("STALE", f"{what}: it is not there any more")
    if error.errno in _LOST:
        return EndError("FAILED", f"{what}: {error.strerror}; the storage is lost", retry=True, stops_volume=True)
    return failed(error, what)


@contextmanager
def _opened(tree: Tree, path: bytes, flags: int) -> Iterator[int]:
    descriptor = tree.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _pair(descriptor: int) -> tuple[int, int]:
    found = _calls.status(descriptor)
    return found.device, found.subvolume


def split(path: bytes, shown: Callable[[bytes], str]) -> tuple[bytes, bytes]:
    """Directory and name of a path. Raises EndError REFUSED, which names it as it is `shown`, for one that is none, that leaves the volume, or that is ours."""
    found = _split(path)
    if isinstance(found, str):
        raise EndError("REFUSED", f"{shown(path)}: {found}")
    return found


@functools.lru_cache(_REMEMBERED)
def _split(path: bytes) -> tuple[bytes, bytes] | str:
    """Directory and name of a path; what is wrong with it where it is none."""
    parts = path.split(b"/")
    if not all(parts) or b"." in parts or b".." in parts or b"\0" in path:
        return "is no path inside a volume"
    if ours.HOME in parts or (ours.TEMPORARY in path and any(map(ours.is_temporary, parts))):
        return "this name is Lastcopy's own"
    return path[: -len(parts[-1]) - 1], parts[-1]


def _refuse_a_mount(directory: int, name: bytes, found: Status) -> None:
    """Raises OSError EXDEV for a name on which something is mounted, as opening it would."""
    if found.known_attributes & _kernel.MOUNT_ROOT:
        if found.attributes & _kernel.MOUNT_ROOT:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), os.fsdecode(name))
    else:  # a kernel before 5.8
        os.close(_kernel.open_beneath(directory, name, NAME_ONLY, cross_mounts=False))


class _Ending:
    """`Tree.ending`. A class: a step enters dozens of these."""

    __slots__ = ("_doing", "_path", "_tree")

    def __init__(self, tree: Tree, path: bytes, doing: str) -> None:
        self._tree, self._path, self._doing = tree, path, doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, OSError):
            raise end(error, f"{self._tree.shown(self._path)}: {self._doing}") from error


class _Directory:
    """`Tree.directory`."""

    __slots__ = ("_descriptor", "_doing", "_path", "_tree")

    def __init__(self, tree: Tree, path: bytes, doing: str) -> None:
        self._tree, self._path, self._doing = tree, path, doing

    def __enter__(self) -> tuple[int, bytes]:
        directory, name = self._tree.split(self._path)
        try:
            self._descriptor = self._tree.open(directory, DIRECTORY)
        except OSError as error:
            raise self._end(error) from error
        return self._descriptor, name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            os.close(self._descriptor)
        except OSError as failing:
            raise self._end(failing) from error
        if isinstance(error, OSError):
            raise self._end(error) from error

    def _end(self, error: OSError) -> EndError:
        return end(error, f"{self._tree.shown(self._path)}: {self._doing}")
