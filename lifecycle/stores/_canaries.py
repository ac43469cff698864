"""What a volume is able to do, found by doing it under `.lastcopy/canaries/`: a promise of a manual page is no evidence."""

import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from catalog.errors import LockedError
from lifecycle.stores import Capabilities, _calls
from lifecycle.stores._tree import DIRECTORY, NAME_ONLY, Tree

_DIRECTORY = b"canaries"
_BLOCK = bytes(range(256)) * 256  # 64 KiB: at least one block of every file system
_RAW = [bytes(range(1, 47)), bytes(range(48, 160)), bytes(range(160, 256)), b" lead", b"trail ", b"dot.", b"CON", b"a:b", b"back\\slash"]
_STEPS_NS = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
_LONGEST = 255
# An access list with an entry that mode bits cannot tell, see <linux/posix_acl_xattr.h>: version, then tag, permissions and id of each.
_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry) for entry in ((1, 6, 2**32 - 1), (2, 4, 65534), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1), (32, 0, 2**32 - 1))
)


def find_out(tree: Tree, home: int, name: bytes = _DIRECTORY) -> Capabilities:
    """What the volume can do, tried in a directory of that name, which is ours and goes again. Writes.

    Raises OSError where not even files can be made, LockedError while another run does this.
    """
    remote = tree.remote
    with _place(tree, home, name) as at:
        return Capabilities(
            publish=_publish(at),
            exchange=_does(_exchange, at),
            leases=not remote and _does(_leases, at),  # other machines' writers are not seen by this kernel
            reflink=_does(_reflink, at),
            dedupe=_does(_dedupe, at),
            hard_links=_does(_hard_links, at),
            symlinks=_does(_symlinks, at),
            xattrs=_does(_xattrs, at),
            acls=_does(_acls, at),
            sync_directories=_does(_sync_directories, at),
            folds_case=_does(lambda d: _folds(d, b"lastcopy-case-a", b"LASTCOPY-CASE-A"), at),
            folds_unicode=_does(lambda d: _folds(d, "lastcopy-\u00e9".encode(), "lastcopy-e\u0301".encode()), at),
            raw_names=_does(_raw_names, at),
            time_step_ns=_time_step_ns(at),
            name_bytes=_name_bytes(at),
            stable_inodes=_does(_stable_inodes, at),
        )


@contextmanager
def _place(tree: Tree, home: int, name: bytes) -> Iterator[int]:
    """An empty directory, which goes afterwards."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=home)
    at = tree.open_in(home, name, DIRECTORY)
    try:
        _alone(tree, at)
        _clear(at)
        yield at
        _clear(at)
        os.rmdir(name, dir_fd=home)
    finally:
        os.close(at)


def _alone(tree: Tree, at: int) -> None:
    import fcntl

    try:
        fcntl.flock(at, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(f"volume {tree.volume}: is being prepared by another run; wait for it to end") from error
    except OSError:
        return  # a storage without locks


def _clear(at: int) -> None:
    for name in os.listdir(at):
        os.unlink(os.fsencode(name), dir_fd=at)


def _does(canary: Callable[[int], bool], at: int) -> bool:
    """Whether a canary lives. An error is an answer: the storage cannot do it."""
    try:
        return canary(at)
    except OSError:
        return False
    finally:
        _clear(at)


def _write(at: int, name: bytes, content: bytes = b"") -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=at)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.EIO, "a short write")
    finally:
        os.close(descriptor)


@contextmanager
def _opened(at: int, name: bytes, flags: int = os.O_RDONLY) -> Iterator[int]:
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _content(at: int, name: bytes) -> bytes:
    with _opened(at, name) as descriptor:
        return os.read(descriptor, 2 * len(_BLOCK))


def _publish(at: int) -> Literal["noreplace", "link", "none"]:
    def by_rename(old: bytes, new: bytes) -> None:
        _calls.rename_new(at, old, at, new)

    def by_link(old: bytes, new: bytes) -> None:
        os.link(old, new, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
        os.unlink(old, dir_fd=at)

    if _does(lambda _: _never_replaces(at, by_rename), at):
        return "noreplace"
    return "link" if _does(lambda _: _never_replaces(at, by_link), at) else "none"


def _never_replaces(at: int, publish: Callable[[bytes, bytes], None]) -> bool:
    """Whether the second of two publications fails, with both files unhurt: some file systems take the flag and clobber all the same."""
    _write(at, b"first", b"first")
    _write(at, b"second", b"second")
    publish(b"first", b"published")
    try:
        publish(b"second", b"published")
    except FileExistsError:
        names = set(os.listdir(at))
        return names == {"second", "published"} and _content(at, b"published") == b"first" and _content(at, b"second") == b"second"
    return False


def _exchange(at: int) -> bool:
    _write(at, b"one", b"one")
    os.symlink(b"elsewhere", b"two", dir_fd=at)
    _calls.exchange(at, b"one", at, b"two")
    return os.readlink(b"one", dir_fd=at) == b"elsewhere" and _content(at, b"two") == b"one"


def _leases(at: int) -> bool:
    """A lease must be refused while there is a writer, and must be told of one that comes."""
    _write(at, b"leased", b"content")
    with _opened(at, b"leased") as reader:
        with _opened(at, b"leased", os.O_WRONLY):
            try:
                _calls.lease(reader)
            except BlockingIOError:
                pass
            else:
                return False
        _calls.lease(reader)
        try:
            with _opened(at, b"leased", os.O_WRONLY | os.O_NONBLOCK):
                return False
        except BlockingIOError:
            return not _calls.has_lease(reader)
        finally:
            _calls.give_back_lease(reader)


def _reflink(at: int) -> bool:
    _write(at, b"kept", _BLOCK)
    _write(at, b"clone")
    with _opened(at, b"kept") as kept, _opened(at, b"clone", os.O_RDWR) as clone:
        _calls.clone(clone, kept)
    return _content(at, b"clone") == _BLOCK


def _dedupe(at: int) -> bool:
    _write(at, b"kept", _BLOCK)
    _write(at, b"equal", _BLOCK)
    _write(at, b"other", _BLOCK[:-1] + b"!")
    with _opened(at, b"kept") as kept, _opened(at, b"equal") as equal, _opened(at, b"other") as other:
        shared, differs = _calls.dedupe(kept, equal, len(_BLOCK)), _calls.dedupe(kept, other, len(_BLOCK))
    return (shared, differs) == ("shared", "differs") and _content(at, b"other") == _BLOCK[:-1] + b"!"


def _hard_links(at: int) -> bool:
    _write(at, b"one", b"content")
    os.link(b"one", b"two", src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
    one, two = (os.stat(name, dir_fd=at, follow_symlinks=False) for name in (b"one", b"two"))
    return one.st_ino == two.st_ino and one.st_nlink == two.st_nlink == 2


def _symlinks(at: int) -> bool:
    text = b"../\xff elsewhere\n"
    os.symlink(text, b"link", dir_fd=at)
    return os.readlink(b"link", dir_fd=at) == text


def _xattrs(at: int) -> bool:
    return _keeps(at, "user.lastcopy.canary", bytes(range(256)))


def _acls(at: int) -> bool:
    return _keeps(at, "system.posix_acl_access", _ACL)


def _keeps(at: int, name: str, value: bytes) -> bool:
    _write(at, b"file")
    with _opened(at, b"file", os.O_RDWR) as descriptor:
        os.setxattr(descriptor, name, value)
    with _opened(at, b"file") as descriptor:
        return os.getxattr(descriptor, name) == value


def _sync_directories(at: int) -> bool:
    os.fsync(at)
    return True


def _folds(at: int, name: bytes, other: bytes) -> bool:
    _write(at, name)
    with suppress(FileNotFoundError):
        os.stat(other, dir_fd=at, follow_symlinks=False)
        return True
    return False


def _raw_names(at: int) -> bool:
    for name in _RAW:
        _write(at, name)
    return sorted(map(os.fsencode, os.listdir(at))) == sorted(_RAW)


def _time_step_ns(at: int) -> int:
    """The finest step that kept every one of some times."""
    times = [1_500_000_001_123_456_789, 1_600_000_000_987_654_321]
    _write(at, b"file")
    kept = []
    for time in times:
        with _opened(at, b"file", os.O_RDWR) as descriptor:
            with suppress(OSError):
                os.utime(descriptor, ns=(time, time))
            os.fsync(descriptor)
        kept.append(os.stat(b"file", dir_fd=at, follow_symlinks=False).st_mtime_ns)
    _clear(at)
    fitting = (step for step in _STEPS_NS if all(found == time // step * step for time, found in zip(times, kept, strict=True)))
    return next(fitting, _STEPS_NS[-1])


def _name_bytes(at: int) -> int:
    """The longest name that could be made."""
    low, high = 1, _LONGEST
    while low < high:
        middle = (low + high + 1) // 2 if high != _LONGEST or low > 1 else _LONGEST
        if _does(lambda d, size=middle: _makes(d, size), at):  # type: ignore[misc]  # the loop's size is bound as a default
            low = middle
        else:
            high = middle - 1
    return low


def _makes(at: int, size: int) -> bool:
    _write(at, b"n" * size)
    return os.listdir(at) == ["n" * size]


def _stable_inodes(at: int) -> bool:
    """A number must outlive closing and opening, a rename, and a change of the content."""
    _write(at, b"one", b"content")
    seen = {os.stat(b"one", dir_fd=at, follow_symlinks=False).st_ino for _ in range(3)}
    for name in (b"one", b"two"):
        with _opened(at, name, NAME_ONLY) as descriptor:
            seen.add(os.fstat(descriptor).st_ino)
        if name == b"one":
            os.rename(b"one", b"two", src_dir_fd=at, dst_dir_fd=at)
    return len(seen) == 1
