"""Owner, mode, access lists, extended attributes and times: read from an open file, and given to another one with every loss told."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from catalog import names
from lifecycle.stores import Metadata

OWN = "user.lastcopy."
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_OF_THE_HOST = "security.selinux"  # a label that the target's host gives by its own policy
_NO_SUCH_THING = (errno.EOPNOTSUPP, errno.ENOSYS)
_LOSSES = (*_NO_SUCH_THING, errno.EPERM, errno.EACCES, errno.ENOTTY, errno.EINVAL, errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EOVERFLOW)
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


def read(descriptor: int, link_target: bytes | None = None, parents: tuple[Metadata, ...] = ()) -> Metadata:
    """What is kept of an open file or directory; of a symbolic link that is open by its name only. Raises OSError."""
    status = os.fstat(descriptor)
    kept, dropped = _attributes(descriptor) if link_target is None else ({}, ())
    return Metadata(
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        modified_ns=status.st_mtime_ns,
        accessed_ns=status.st_atime_ns,
        xattrs=kept,
        link_target=link_target,
        dropped=dropped,
        parents=parents,
    )


def give(descriptor: int, wanted: Metadata) -> list[str]:
    """Give an open file its metadata, times last; what could not be kept is read back and told, a phrase each. Writes. Raises OSError."""
    _own(descriptor, wanted)
    _tried(os.fchmod, descriptor, wanted.mode & ~_SPECIAL_BITS)
    lost = _give_attributes(descriptor, wanted)
    _tried(os.utime, descriptor, ns=(wanted.accessed_ns, wanted.modified_ns))
    found = os.fstat(descriptor)
    return [*lost_rights(wanted, found), *lost, *lost_times(wanted, found)]


def give_directory(descriptor: int, wanted: Metadata) -> list[str]:
    """As `give`, for a directory that is yet to be filled: without its times, and its owner may always enter and write."""
    _own(descriptor, wanted)
    _tried(os.fchmod, descriptor, wanted.mode & ~_SPECIAL_BITS | (0 if os.geteuid() == 0 else stat.S_IRWXU))
    return [*_give_attributes(descriptor, wanted), *lost_rights(wanted, os.fstat(descriptor))]


def give_link(directory: int, name: bytes, wanted: Metadata) -> list[str]:
    """As `give`, for a symbolic link in an open directory: it has an owner and times."""
    _tried(os.chown, name, wanted.uid, wanted.gid, dir_fd=directory, follow_symlinks=False)
    _tried(os.utime, name, ns=(wanted.accessed_ns, wanted.modified_ns), dir_fd=directory, follow_symlinks=False)
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return [*lost_owner(wanted, found), *lost_times(wanted, found)]


def lost_by_another_name(descriptor: int, wanted: Metadata) -> list[str]:
    """What one more name of an inode does not keep of what was wanted: the inode's own metadata stays. Only reads."""
    found, (kept, _) = os.fstat(descriptor), _attributes(descriptor)
    lost = [told(name) for name in sorted(wanted.xattrs.keys() | kept.keys()) if wanted.xattrs.get(name) != kept.get(name)]
    return [*lost_rights(wanted, found), *lost, *wanted.dropped, *lost_times(wanted, found)]


def _own(descriptor: int, wanted: Metadata) -> None:
    found = os.fstat(descriptor)
    if (found.st_uid, found.st_gid) == (wanted.uid, wanted.gid):
        return
    if not _tried(os.fchown, descriptor, wanted.uid, wanted.gid):
        _tried(os.fchown, descriptor, -1, wanted.gid)


def _tried(act: Callable[..., None], *given: object, **options: object) -> bool:
    """Whether a storage took something; raises what does not mean that it cannot."""
    try:
        act(*given, **options)
    except OSError as error:
        if error.errno not in _LOSSES:
            raise
        return False
    return True


def _attributes(descriptor: int) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The extended attributes that are kept, and what is told of the others."""
    kept, dropped = {}, []
    for name in _listed(descriptor):
        if name.startswith(OWN) or name == _OF_THE_HOST:
            continue
        if name.startswith("user.") or name in _ACLS:
            with suppress(FileNotFoundError):
                kept[name] = _value(descriptor, name)
        else:
            dropped.append(f"{told(name)} is never given to a copy")
    return kept, tuple(dropped)


def _listed(descriptor: int) -> list[str]:
    try:
        return sorted(os.listxattr(descriptor))
    except OSError as error:
        if error.errno not in _NO_SUCH_THING:
            raise
        return []


def _value(descriptor: int, name: str) -> bytes:
    """The value of an attribute. Raises FileNotFoundError for one that has just gone."""
    try:
        return os.getxattr(descriptor, name)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        raise FileNotFoundError(error.errno, error.strerror) from error


def _give_attributes(descriptor: int, wanted: Metadata) -> list[str]:
    """Give the wanted attributes, and no other: a directory's default access list may have given some already."""
    lost = list(wanted.dropped)
    for name in _listed(descriptor):
        if name in _ACLS and name not in wanted.xattrs:
            _tried(os.removexattr, descriptor, name)
    for name, value in wanted.xattrs.items():
        if not _tried(os.setxattr, descriptor, name, value):
            lost.append(told(name))
    return lost


def told(name: str) -> str:
    return {"system.posix_acl_access": "access control list", "system.posix_acl_default": "default access control list"}.get(
        name, f"extended attribute {names.escape(os.fsencode(name))}"
    )


def lost_rights(wanted: Metadata, found: os.stat_result) -> list[str]:
    lost = lost_owner(wanted, found)
    if wanted.mode & _SPECIAL_BITS:
        lost.append(f"mode {wanted.mode:04o}: set-user-ID, set-group-ID and sticky bits are never given to a copy")
    if stat.S_IMODE(found.st_mode) != wanted.mode & ~_SPECIAL_BITS:
        lost.append(f"mode {wanted.mode & ~_SPECIAL_BITS:04o} (is {stat.S_IMODE(found.st_mode):04o})")
    return lost


def lost_owner(wanted: Metadata, found: os.stat_result) -> list[str]:
    if (found.st_uid, found.st_gid) == (wanted.uid, wanted.gid):
        return []
    return [f"owner {wanted.uid}:{wanted.gid} (is {found.st_uid}:{found.st_gid})"]


def lost_times(wanted: Metadata, found: os.stat_result) -> list[str]:
    if (wanted.modified_ns, wanted.accessed_ns) == (found.st_mtime_ns, found.st_atime_ns):
        return []
    pairs = (("modified", wanted.modified_ns, found.st_mtime_ns), ("accessed", wanted.accessed_ns, found.st_atime_ns))
    return [f"{name} time {_seconds(time)} (is {_seconds(kept)})" for name, time, kept in pairs if time != kept]


def _seconds(time_ns: int) -> str:
    """Seconds since 1970 with all nine digits after the point: a year outside of any calendar can be told too."""
    return f"{'-' if time_ns < 0 else ''}{abs(time_ns) // 1_000_000_000}.{abs(time_ns) % 1_000_000_000:09d} s"
