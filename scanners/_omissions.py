"""What a walk leaves out of a tree: what the configuration excludes, and what jobs put there."""

import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from catalog import glob, names, ours
from scanners import _kernel, _place

HOME = os.fsdecode(ours.HOME)
_QUARANTINE = f"{HOME}/{os.fsdecode(ours.QUARANTINE)}/"
PLACES = (f"{HOME}/", _QUARANTINE)  # how directories end that only a look tells from others
_MOST_BYTES = 64 << 10  # of a marker
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_AT_ONCE = 2**20  # characters of paths: a deep directory with many entries has more than memory


def excluded(expression: str, directories: Sequence[str], found: Sequence[str], is_directory: Sequence[bool]) -> np.ndarray[Any, Any]:
    """Which entries an expression of `catalog.glob` matches, as booleans; directories have their trailing slash, nothing is escaped."""
    matched = [glob.excluded(expression, pa.array(paths, pa.string())) for paths in _escaped(directories, found, is_directory)]
    return np.concatenate([np.zeros(0, bool), *(part.to_numpy(zero_copy_only=False) for part in matched)])


def _escaped(directories: Sequence[str], found: Sequence[str], is_directory: Sequence[bool]) -> Iterator[list[str]]:
    """The escaped paths of entries in their order, a piece at a time."""
    paths: list[str] = []
    size, directory, place = 0, None, ""
    texts = names.escape(os.fsencode("/".join(found))).split("/") if found else []  # a slash is in no name
    for above, text, below in zip(directories, texts, is_directory, strict=True):
        if above is not directory:
            directory, place = above, names.escape(os.fsencode(above))
        paths.append(f"{place}{text}/" if below else f"{place}{text}")
        size += len(paths[-1])
        if size > _AT_ONCE:
            yield paths
            paths, size = [], 0
    yield paths


def of_jobs(root: int, directory: str, cross_mounts: bool) -> Callable[[bytes, int], bool]:
    """What says of a name and the file type of its mode whether jobs put it into a directory below an open root. `directory` is as in `excluded`."""
    if directory.endswith(f"{HOME}/") and _is_home(root, directory.removesuffix(f"{HOME}/"), cross_mounts):
        return lambda name, kind: kind == stat.S_IFREG and name in ours.FILES_AT_HOME
    if directory.endswith(_QUARANTINE) and _is_home(root, directory.removesuffix(_QUARANTINE), cross_mounts, directory):
        return lambda name, kind: kind in (stat.S_IFREG, stat.S_IFLNK) and ours.is_in_quarantine(name)
    return lambda name, kind: kind in (stat.S_IFREG, stat.S_IFLNK) and ours.is_temporary(name)


def is_ours_alone(root: int, above: str, cross_mounts: bool) -> bool:
    """Whether the `.lastcopy` in a directory is of jobs, and holds nothing but what they put there. One of root's in the root, that only he may open, is."""
    try:
        with _opened(root, above, cross_mounts) as parent:
            if not above and _is_locked(parent):
                return True
            with _opened(parent, HOME, cross_mounts) as home:
                if not _is_of(parent, home, cross_mounts) or not _holds_only(home, ours.FILES_AT_HOME.__contains__, ours.QUARANTINE):
                    return False
                with _opened(home, os.fsdecode(ours.QUARANTINE), cross_mounts) as quarantine:
                    return _is_private(quarantine) and _holds_only(quarantine, ours.is_in_quarantine)
    except OSError:  # it, or its quarantine, is not there any more, or not for us: then it is a directory like others
        return False


def _is_locked(root: int) -> bool:
    try:
        os.close(_kernel.open_beneath(root, ours.HOME, _DIRECTORY))
    except PermissionError:
        return os.stat(HOME, dir_fd=root, follow_symlinks=False).st_uid == 0
    return False


def _is_private(directory: int) -> bool:
    """Whether nobody but root and who scans can have put anything into an open directory."""
    status = os.fstat(directory)
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022


def is_prepared(root: int, cross_mounts: bool) -> bool:
    """Whether an open root is that of a volume that was prepared for jobs, by its marker."""
    return _is_home(root, "", cross_mounts)


def _is_home(root: int, above: str, cross_mounts: bool, quarantine: str | None = None) -> bool:
    try:
        if quarantine is not None:
            with _opened(root, quarantine, cross_mounts) as directory:
                if not _is_private(directory):
                    return False
        with _opened(root, above, cross_mounts) as parent, _opened(parent, HOME, cross_mounts) as home:
            return (not above or above.endswith("/")) and _is_of(parent, home, cross_mounts)
    except OSError:
        return False  # then it is a directory like others


def _is_of(parent: int, home: int, cross_mounts: bool) -> bool:
    """Whether an open `.lastcopy` is one that was made for the directory it lies in, by root or by who scans: anybody may write a marker. Raises OSError."""
    if not _is_private(home):
        return False
    marker = _kernel.open_beneath(home, ours.MARKER, _FILE, cross_mounts)
    try:
        status = os.fstat(marker)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()):
            return False
        told = json.loads(os.read(marker, _MOST_BYTES))
        here = _kernel.statx_here(parent)[0]
        if told["root_inode"] not in (None, int(here["inode"].astype(np.int64))) or not isinstance(told["volume"], str) or not isinstance(told["id"], str):
            return False
        return bool(told["fs_id"] == _place.fs_id(parent, int(here["subvolume"])))
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    finally:
        os.close(marker)


def _holds_only(directory: int, is_ours: Callable[[bytes], bool], below: bytes | None = None) -> bool:
    with os.scandir(directory) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                if name != below:
                    return False
            elif not is_ours(name) or not (entry.is_file(follow_symlinks=False) or (below is None and entry.is_symlink())):
                return False
    return True


@contextmanager
def _opened(directory: int, name: str, cross_mounts: bool) -> Iterator[int]:
    descriptor = _kernel.open_beneath(directory, os.fsencode(name), _DIRECTORY, cross_mounts)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
