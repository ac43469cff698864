"""Copies under their temporary names, and the directories that they need."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from catalog.ours import temporary
from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint, Metadata, Pointer, _calls, _metadata, _reading, _standins
from lifecycle.stores._exchanging import change_back, is_one
from lifecycle.stores._tree import DIRECTORY, Tree, end

_BEGIN_EVERY_BYTES = 16 << 20  # a large file is on its way to the disk while it is still copied
_QUIETLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class StagedFile:
    """A regular file under its temporary name: what `Staged` says."""

    def __init__(
        self, tree: Tree, path: bytes, key: str, descriptor: int, inode: int | None, losses: Iterable[str] = (), *, shares_inode: bool = False
    ) -> None:
        self.inode = inode
        self.read_back: Fingerprint | None = None
        self._tree = tree
        self._path = path
        self._key = key
        self.descriptor = descriptor
        self._losses = list(losses)
        self._shares_inode = shares_inode
        self._at = 0
        self._written = 0  # up to where there are bytes; a hole may follow
        self._begun = 0  # up to where the kernel was asked to begin to write
        self._done = 0  # up to where it has

    def write(self, block: memoryview | int) -> None:
        """Append a block, or a run of zeros as a hole. Raises EndError."""
        if isinstance(block, int):
            self._at += block
            return
        with self._tree.ending("write", self._path):
            while block:
                written = os.pwrite(self.descriptor, block, self._at)
                if not written:
                    raise EndError("FAILED", f"{self._tree.shown(self._path)}: the storage took no more bytes", retry=True)
                self._at += written
                self._written = self._at
                block = block[written:]
        if self._at - self._begun >= _BEGIN_EVERY_BYTES:
            self._write_out()

    def finish(self, metadata: Metadata) -> list[str]:
        """Give it its length and its metadata, times last; gives what could not be kept. Raises EndError."""
        with self._tree.ending("give the metadata", self._path):
            if self._shares_inode:
                return [*self._losses, *_metadata.lost_by_another_name(self.descriptor, metadata)]
            if self._written < self._at:
                os.ftruncate(self.descriptor, self._at)
            _calls.begin_to_write(self.descriptor)
            return [*self._losses, *_metadata.give(self.descriptor, metadata)]

    def sync(self) -> None:
        """Make it durable. Raises EndError after it was tainted: what a failed fsync has lost, no later one will tell of."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            raise self._undurable(error) from error

    def _write_out(self) -> None:
        """Begin with what was written since the last time, and be done with what was begun then: little memory serves a file of any size."""
        _calls.begin_to_write(self.descriptor)
        try:
            if self._begun > self._done:
                _calls.write_out(self.descriptor, self._done, self._begun - self._done)
        except OSError as error:
            raise self._undurable(error) from error
        self._done, self._begun = self._begun, self._at

    def _undurable(self, error: OSError) -> EndError:
        """The end that a failure to reach the disk means; the copy is tainted."""
        with suppress(EndError):  # the failure that is told is the first one
            self.taint()
        ended = end(error, f"{self._tree.shown(self._path)}: make durable")
        ended.retry = True
        return ended

    def taint(self) -> None:
        """Rename it away, never to be published. Raises EndError."""
        taint(self._tree, self._path, self._key)

    def digest(self) -> tuple[bytes, int]:
        """SHA-256 and length of what the storage gives back. Raises EndError."""
        with self._tree.directory(self._path, "read back") as (directory, _):
            descriptor = _reading.open_to_read(self._tree, directory, temporary(self._key))
            try:
                found = _calls.status(descriptor)
                if not found.is_of(_calls.status(self.descriptor)):
                    raise EndError("FAILED", f"{self._tree.shown(self._path)}: its temporary name leads to another file now", retry=True)
                self.read_back = self._tree.fingerprint_of(found, self._path)
                return _reading.stored(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Let go; the temporary name stays."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class StagedLink:
    """A symbolic link under its temporary name: what `Staged` says."""

    def __init__(self, tree: Tree, path: bytes, key: str, inode: int | None, losses: Iterable[str] = ()) -> None:
        self.inode = inode
        self.read_back: Fingerprint | None = None
        self._tree = tree
        self._path = path
        self._key = key
        self._losses = list(losses)

    def write(self, block: memoryview | int) -> None:
        """Nothing: its text is its name's. It may be given again, as a file's content is."""

    def finish(self, metadata: Metadata) -> list[str]:
        """Give it owner and times; gives what could not be kept. Raises EndError."""
        with self._tree.directory(self._path, "give the metadata") as (directory, _):
            return [*self._losses, *_metadata.give_link(directory, temporary(self._key), metadata)]

    def sync(self) -> None:
        """Make it durable, with the directory that holds it. Raises EndError."""
        with self._tree.directory(self._path, "make durable") as (directory, _):
            self._tree.sync(directory, may_not=True)

    def taint(self) -> None:
        """Rename it away, never to be published. Raises EndError."""
        taint(self._tree, self._path, self._key)

    def digest(self) -> tuple[bytes, int]:
        """SHA-256 and length of its text, as it is read back. Raises EndError."""
        with self._tree.directory(self._path, "read back") as (directory, _):
            self.read_back = self._tree.fingerprint_in(directory, temporary(self._key), self._path)
            return _reading.sha256([memoryview(os.readlink(temporary(self._key), dir_fd=directory))])

    def close(self) -> None:
        """Nothing is held open."""


def create(
    tree: Tree, path: bytes, key: str, link_target: bytes | None, losses: Iterable[str], over: Fingerprint | None, *, stable: bool
) -> StagedFile | StagedLink:
    """Create the temporary name beside a path whose directory is there. Writes. Raises EndError CONFLICT if the path is taken, but by `over`."""
    with tree.directory(path, "stage") as (directory, name):
        there = tree.fingerprint_in(directory, name, path)
        if there is not None and (over is None or over.differs(there, moved=True)):
            raise EndError("CONFLICT", f"{tree.shown(path)}: something is there already")
        if link_target is not None:
            os.symlink(link_target, temporary(key), dir_fd=directory)
            made = tree.fingerprint_in(directory, temporary(key), path)
            return StagedLink(tree, path, key, made.inode if made and stable else None, losses)
        return create_beside(tree, directory, path, key, losses, stable=stable)


def create_beside(tree: Tree, directory: int, path: bytes, key: str, losses: Iterable[str] = (), *, stable: bool) -> StagedFile:
    """Create an empty temporary file in an open directory. Writes. Raises OSError."""
    descriptor = os.open(temporary(key), _CREATE, 0o600, dir_fd=directory)
    return StagedFile(tree, path, key, descriptor, tree.fingerprint(descriptor, path).inode if stable else None, losses)


def stand_in(tree: Tree, path: bytes, key: str, sha256: bytes, read_back: Fingerprint) -> Pointer:
    """What is left in the place of a file: what lies under a temporary name, if it is what was read back as that content. Only reads. Raises EndError."""
    with tree.directory(path, "look at what takes its place") as (directory, _):
        found = tree.fingerprint_in(directory, temporary(key), path)
    wrong = "it is gone" if found is None else read_back.differs(found)
    if found is None or wrong:
        raise EndError("FAILED", f"{tree.shown(path)}: somebody changed what was to take its place after it was read back ({wrong})", retry=True)
    return _standins.pointer(found, sha256)


def supersede(tree: Tree, directory: int, path: bytes, key: str, over: Fingerprint, *, able: bool) -> Fingerprint:
    """Let the temporary name and what is at the path change places; what comes out goes if it is `over`. Writes. Raises EndError."""
    if not able:
        raise EndError("REFUSED", f"{tree.shown(path)}: this volume cannot let two names change places, so nothing can take the place of what is there")
    name = path.rsplit(b"/", 1)[-1]
    ours = tree.fingerprint_in(directory, temporary(key), path)
    _calls.exchange(directory, temporary(key), directory, name)
    out = tree.fingerprint_in(directory, temporary(key), path)
    if out is None or over.differs(out, moved=True):
        _change_back(tree, directory, path, key, ours)
        raise EndError("CONFLICT", f"{tree.shown(path)}: something else took this name just now")
    os.unlink(temporary(key), dir_fd=directory)
    found = tree.fingerprint_in(directory, name, path)
    if found is None or not is_one(ours, found):
        raise EndError("CONFLICT", f"{tree.shown(path)}: was replaced or taken away by somebody as soon as it had its name")
    return found


def give_back(tree: Tree, path: bytes, key: str, inode: int) -> None:
    """Give what a killed run let change places with the file of that inode its name again. Writes. Raises EndError CONFLICT where that cannot be."""
    try:
        with tree.directory(path, "look for the temporary name") as (directory, name):
            under = tree.fingerprint_in(directory, temporary(key), path)
            if under is None or under.inode == inode:
                return
            here = tree.fingerprint_in(directory, name, path)
            if here is None or here.inode != inode:  # nobody can tell any more whether it ever had that name
                raise _set_aside(tree, path, key, "our copy has not its name any more")
            _change_back(tree, directory, path, key, here)
            tree.sync(directory, may_not=True)
    except EndError as error:
        if error.state != "STALE":  # else its directory is not there
            raise


def _change_back(tree: Tree, directory: int, path: bytes, key: str, ours: Fingerprint | None) -> None:
    """Let what came out under the temporary name have its old one again; where that cannot be it is set aside. Writes. Raises EndError CONFLICT."""
    here, there = (directory, temporary(key)), (directory, path.rsplit(b"/", 1)[-1])
    try:
        wrong = change_back(tree, here, there, path, lambda: is_one(ours, tree.fingerprint_in(*here, path)))
    except OSError as error:
        raise _set_aside(tree, path, key, error.strerror or "") from error
    if wrong:
        raise _set_aside(tree, path, key, wrong)


def _set_aside(tree: Tree, path: bytes, key: str, why: str) -> EndError:
    """Keep what lies under the temporary name from ever being discarded; gives the end that it means. Writes."""
    with suppress(EndError):  # then discarding finds that it is not ours
        taint(tree, path, key)
        return _left(tree, path, key, why, "bad")
    return _left(tree, path, key, why)


def _left(tree: Tree, path: bytes, key: str, why: str, ending: str = "part") -> EndError:
    beside = temporary(key, ending).decode()
    told = f"somebody's file came under our temporary name, and cannot have its own back ({why}); look at it, it lies there as {beside}"
    return EndError("CONFLICT", f"{tree.shown(path)}: {told}", retry=True)


def left(tree: Tree, path: bytes, key: str, inode: int | None) -> StagedFile | StagedLink | None:
    """The temporary name that an earlier run left, if it is that inode. Raises EndError."""
    try:
        with tree.directory(path, "look for the temporary name") as (directory, _):
            found = tree.fingerprint_in(directory, temporary(key), path)
            if found is None or found.type not in ("file", "symlink") or (inode is not None and found.inode != inode):
                return None
            if found.type == "symlink":
                return StagedLink(tree, path, key, found.inode)
            try:
                descriptor = os.open(temporary(key), os.O_RDWR | _QUIETLY, dir_fd=directory)
            except PermissionError:  # of a file that may not be written to, or of a stub: it is whole already
                descriptor = os.open(temporary(key), os.O_RDONLY | _QUIETLY, dir_fd=directory)
            return StagedFile(tree, path, key, descriptor, inode)
    except EndError as error:
        if error.state == "STALE":
            return None  # nor is its directory there
        raise


def taint(tree: Tree, path: bytes, key: str) -> None:
    """Rename a temporary name to its `.bad` one. Writes. Raises EndError."""
    with tree.directory(path, "set the bad copy aside") as (directory, _):
        os.rename(temporary(key), temporary(key, "bad"), src_dir_fd=directory, dst_dir_fd=directory)


def make_directories(tree: Tree, path: bytes, key: str, models: tuple[Metadata, ...], *, may_not_sync: bool) -> list[str]:
    """Make the directories above a path that are not there, each durable before the next; gives what they could not keep. Writes. Raises EndError.

    `models` are those of the innermost ones; one without a model is like the directory above it.
    """
    inner = tree.split(path)[0]
    parts = inner.split(b"/") if inner else []
    lost: list[str] = []
    with tree.ending("make its directories", path):
        above = os.dup(tree.root)
        try:
            for depth, part in enumerate(parts):
                try:
                    below = tree.open_in(above, part, DIRECTORY)
                except FileNotFoundError:
                    place = depth - len(parts) + len(models)
                    model = models[place] if place >= 0 else None
                    with tree.making:
                        lost += [
                            f"directory {tree.shown(b'/'.join(parts[: depth + 1]))}: {loss}" for loss in _make(tree, above, part, key, model, may_not_sync)
                        ]
                    below = tree.open_in(above, part, DIRECTORY)
                os.close(above)
                above = below
        finally:
            os.close(above)
    return lost


def metadata_of_directories(tree: Tree, inner: bytes) -> tuple[Metadata, ...]:
    """The metadata of a directory and of those above it, outermost first. Only reads. Raises OSError."""
    found = []
    above = os.dup(tree.root)
    try:
        for part in inner.split(b"/") if inner else ():
            below = tree.open_in(above, part, DIRECTORY)
            os.close(above)
            above = below
            found.append(_metadata.read(above))
    finally:
        os.close(above)
    return tuple(found)


def discard(tree: Tree, path: bytes, key: str, inode: int | None) -> None:
    """Remove a step's temporary name, and that of a directory it was about to make. Writes. Raises EndError CONFLICT where it holds another inode."""
    inner = tree.split(path)[0]
    parts = inner.split(b"/") if inner else []
    with tree.ending("discard the temporary name", path):
        above = os.dup(tree.root)
        try:
            for part in parts:
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.rmdir(temporary(key), dir_fd=above)
                try:
                    below = tree.open_in(above, part, DIRECTORY)
                except FileNotFoundError:
                    return
                os.close(above)
                above = below
            found = tree.fingerprint_in(above, temporary(key), path)
            if found is not None and inode not in (None, found.inode):
                raise EndError("CONFLICT", f"{tree.shown(path)}: what lies beside it as {temporary(key).decode()} is not ours; it was left there")
            with suppress(FileNotFoundError):
                os.unlink(temporary(key), dir_fd=above)
        finally:
            os.close(above)


def _make(tree: Tree, above: int, name: bytes, key: str, model: Metadata | None, may_not_sync: bool) -> list[str]:
    """Make one directory whole under a temporary name, then give it its own: a killed run leaves none with wrong rights."""
    own = temporary(key)
    os.mkdir(own, 0o700, dir_fd=above)
    try:
        descriptor = tree.open_in(above, own, DIRECTORY)
        try:
            lost = _metadata.give_directory(descriptor, model or _metadata.read(above))
            tree.sync(descriptor, may_not=may_not_sync)
        finally:
            os.close(descriptor)
        _name(above, own, name)
    except BaseException:
        with suppress(OSError):
            os.rmdir(own, dir_fd=above)
        raise
    tree.sync(above, may_not=may_not_sync)
    return lost


def _name(above: int, own: bytes, name: bytes) -> None:
    """Give a directory its name. Another run may have made it: then ours goes."""
    try:
        try:
            _calls.rename_new(above, own, above, name)
        except OSError as error:
            if error.errno not in _calls.NO_FLAGS:
                raise
            if _calls.find(above, name) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
            os.rename(own, name, src_dir_fd=above, dst_dir_fd=above)  # replaces an empty directory at most
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        os.rmdir(own, dir_fd=above)
