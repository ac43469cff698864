"""Names of a file tree that are looked at one by one, each in its open directory."""

import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from catalog import names
from scanners import Spot, _kernel

_AT_ONCE = 4096  # names of one directory
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
_ELSE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)  # no directory of the volume any more


class Seen(NamedTuple):
    """What was found out: what must be looked at as a whole, and the directories, with a trailing slash, whose content is known."""

    again: list[Spot]
    alone: set[str]


def visits(root: int, spots: Sequence[Spot], seen: Seen, cannot: Callable[..., None], *, cross_mounts: bool) -> Iterator[tuple[str, int, list[str]]]:
    """Directories with their trailing slash, open until the next one, and the names in them that are there, a few thousand at a time.

    `spots` are sorted by directory; `cannot` is told of a `directory` that cannot be opened, with the `number` of the error.
    """
    for place, here in itertools.groupby(spots, attrgetter("directory")):
        directory = os.fsdecode(names.unescape(place))
        try:
            descriptor = _kernel.open_beneath(root, os.fsencode(directory), _OPEN_DIRECTORY, cross_mounts)
        except OSError as error:
            if place and error.errno in _ELSE:
                above, _, name = place[:-1].rpartition("/")
                seen.again.append(Spot(f"{above}/" if above else "", name))
            else:
                cannot(directory=directory, number=error.errno)
            continue
        try:
            while some := list(itertools.islice(here, _AT_ONCE)):
                if there := [name for spot in some if (name := _there(descriptor, directory, spot, seen)) is not None]:
                    yield directory, descriptor, there
        finally:
            os.close(descriptor)


def _there(descriptor: int, directory: str, spot: Spot, seen: Seen) -> str | None:
    """The name of a spot, if something is there that can be looked at now. What cannot be looked at is for the caller to find out."""
    name = os.fsdecode(names.unescape(spot.name))
    try:
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError:
        return name
    if spot.inode is None:
        return name
    if not stat.S_ISDIR(status.st_mode) or _kernel.wrapped(status.st_ino) != spot.inode:
        seen.again.append(spot._replace(inode=None))
        return None
    seen.alone.add(f"{directory}{name}/")
    return name
