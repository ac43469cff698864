"""A volume's tree by descriptors below its root: its paths, what is at them, and how an error of theirs ends a step."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Literal

from catalog import names
from catalog.errors import UnreachableError
from lifecycle.ends import EndError, failed
from lifecycle.stores import Fingerprint
from scanners import _kernel, _place

HOME = b".lastcopy"
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
NAME_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "glusterfs", "lustre", "beegfs", "afs", "virtiofs")
_LOST = (errno.ESTALE, errno.EHOSTDOWN, errno.ENODEV, errno.ENOTCONN, errno.ESHUTDOWN)
_FIELD = {name: at for at, name in enumerate(_kernel.STATX.names or ())}
_TYPES: dict[int, Literal["file", "symlink", "dir"]] = {stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFDIR: "dir"}
_TEMPORARY = b".lastcopy~"
_KEY = re.compile(r"[A-Za-z0-9-]{1,48}")  # so that a temporary name stays within 64 bytes


class Tree:
    """The tree of one volume. Its root is held open: what is mounted over it later changes nothing here."""

    def __init__(self, volume: str, location: str, *, cross_mounts: bool) -> None:
        self.volume = volume
        self.location = location
        self.cross_mounts = cross_mounts
        self._lock = Lock()
        self._root: int | None = None
        self._fs_ids: dict[tuple[int, int], str | None] = {}

    @property
    def root(self) -> int:
        """The root's descriptor. Raises UnreachableError."""
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
        return self._fs_id(_values(self.root), b"")

    @property
    def remote(self) -> bool:
        """Whether others may write to the same storage without this kernel's knowledge."""
        return _place.mount(self.root).filesystem.startswith(_REMOTE)

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
        parts = path.split(b"/")
        if not all(parts) or b"." in parts or b".." in parts or b"\0" in path:
            raise EndError("REFUSED", f"{self.shown(path)}: is no path inside a volume")
        if HOME in parts or (_TEMPORARY in path and any(is_temporary(part) for part in parts)):
            raise EndError("REFUSED", f"{self.shown(path)}: this name is Lastcopy's own")
        return path[: -len(parts[-1]) - 1], parts[-1]

    def open(self, path: bytes, flags: int) -> int:
        """Open a path below the root; no link is followed, and no mount is crossed unless the volume says so. Raises OSError."""
        return _kernel.open_beneath(self.root, path, flags | os.O_CLOEXEC, self.cross_mounts)

    def open_in(self, directory: int, name: bytes, flags: int) -> int:
        """Open one name of an open directory, in the same way. Raises OSError."""
        return _kernel.open_beneath(directory, name, flags | os.O_CLOEXEC, self.cross_mounts)

    @contextmanager
    def directory(self, path: bytes, doing: str) -> Iterator[tuple[int, bytes]]:
        """The open directory of a path and its name in it. Errors inside end the step; one that is gone has ended with STALE."""
        directory, name = self.split(path)
        with self.ending(doing, path):
            descriptor = self.open(directory, DIRECTORY)
            try:
                yield descriptor, name
            finally:
                os.close(descriptor)

    @contextmanager
    def ending(self, doing: str, path: bytes) -> Iterator[None]:
        """Every OSError inside ends the step. `doing` is a word such as 'publish'."""
        try:
            yield
        except OSError as error:
            raise end(error, f"{self.shown(path)}: {doing}") from error

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
                return self.fingerprint(descriptor, path)
            finally:
                os.close(descriptor)

    def fingerprint(self, descriptor: int, path: bytes) -> Fingerprint:
        """The fingerprint of what is open, by statx(2). `path` tells where it lies, for its file system. Raises OSError."""
        values = _values(descriptor)
        created = values[_FIELD["created_s"]] * 1_000_000_000 + values[_FIELD["created_ns"]] // 1000 * 1000
        inode = values[_FIELD["inode"]]
        return Fingerprint(
            type=_TYPES.get(stat.S_IFMT(values[_FIELD["mode"]]), "special"),
            size_bytes=values[_FIELD["size_bytes"]],
            modified_ns=values[_FIELD["modified_s"]] * 1_000_000_000 + values[_FIELD["modified_ns"]],
            fs_id=self._fs_id(values, path),
            inode=inode - (1 << 64) if inode >> 63 else inode,  # as the catalog's signed column has it
            created_ns=created if values[_FIELD["mask"]] & _kernel.BTIME else None,
            changed_ns=values[_FIELD["changed_s"]] * 1_000_000_000 + values[_FIELD["changed_ns"]],
            link_count=min(values[_FIELD["link_count"]], 2**31 - 1),
        )

    def fingerprint_in(self, directory: int, name: bytes, path: bytes) -> Fingerprint | None:
        """The fingerprint of a name in an open directory; None = nothing is there. Raises OSError."""
        try:
            descriptor = self.open_in(directory, name, NAME_ONLY)
        except FileNotFoundError:
            return None
        try:
            return self.fingerprint(descriptor, path)
        finally:
            os.close(descriptor)

    def sync(self, directory: int, *, may_not: bool) -> None:
        """Make the names in an open directory durable, or an open file. `may_not`: the storage is known to have no such thing. Raises OSError."""
        try:
            os.fsync(directory)
        except OSError as error:
            if not (may_not and error.errno in (errno.EINVAL, errno.EOPNOTSUPP)):
                raise

    def _fs_id(self, values: tuple[int, ...], path: bytes) -> str | None:
        """The file system of an entry, as scans tell it: its own, or a layer of the union mount that its directory shows."""
        pair = values[_FIELD["device"]], values[_FIELD["subvolume"]]
        if pair in self._fs_ids:
            return self._fs_ids[pair]
        if not self._fs_ids:
            self._fs_ids[_pair(self.root)] = _place.fs_id(self.root, _pair(self.root)[1])
            return self._fs_id(values, path)
        found: str | None = None
        with suppress(OSError), _opened(self, path.rpartition(b"/")[0], DIRECTORY) as parent:
            if _pair(parent) == pair:
                found = _place.fs_id(parent, pair[1])
            elif stat.S_ISDIR(values[_FIELD["mode"]]) or values[_FIELD["attributes"]] & _kernel.MOUNT_ROOT:
                with _opened(self, path, DIRECTORY if stat.S_ISDIR(values[_FIELD["mode"]]) else NAME_ONLY) as own:
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


def temporary(key: str, ending: str = "part") -> bytes:
    """The temporary name of a step, at most 64 bytes. Raises ValueError for what is no key."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a step")
    return b"%s%s~.%s" % (_TEMPORARY, key.encode(), ending.encode())


def key_of(name: bytes) -> str | None:
    """The key in a temporary name; None where it is none."""
    if not (name.startswith(_TEMPORARY) and name.endswith((b"~.part", b"~.bad"))):
        return None
    key = name[len(_TEMPORARY) : name.rindex(b"~")].decode("ascii", "replace")
    try:
        return key if name in (temporary(key), temporary(key, "bad")) else None
    except ValueError:
        return None


def is_temporary(name: bytes) -> bool:
    """Whether a name is one of our temporary ones."""
    return key_of(name) is not None


@contextmanager
def _opened(tree: Tree, path: bytes, flags: int) -> Iterator[int]:
    descriptor = tree.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _values(descriptor: int) -> tuple[int, ...]:
    found: tuple[int, ...] = _kernel.statx_here(descriptor)[0].item()
    return found


def _pair(descriptor: int) -> tuple[int, int]:
    values = _values(descriptor)
    return values[_FIELD["device"]], values[_FIELD["subvolume"]]
