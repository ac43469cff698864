"""Names of a file tree that are looked at one by one, each in its open directory."""

import errno
import itertools
import os
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from catalog import names
from scanners import Identity, Spot, _kernel, _place

_AT_ONCE = 4096  # names of one directory
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
_NOTHING = (errno.ENOENT, errno.ENAMETOOLONG)


class Seen(NamedTuple):
    """What was found out: what must be looked at as a whole, and the directories, with a trailing slash, whose content is known."""

    again: list[Spot]
    alone: set[str]


class Visitor:
    """Opens directories below a root. `fs_ids` are known of a device and its subvolume, and learned."""

    def __init__(self, root: int, fs_ids: dict[tuple[int, int], str | None], *, cross_mounts: bool) -> None:
        self._root, self._fs_ids, self._cross_mounts = root, fs_ids, cross_mounts

    def visits(self, spots: Sequence[Spot], seen: Seen) -> Iterator[tuple[str, int, list[str]]]:
        """Directories with their trailing slash, open until the next one, and the names in them that are there, a few thousand at a time.

        `spots` are sorted by directory. A directory that cannot be opened, or is another one now, is to be looked at as a whole. Raises OSError for the root.
        """
        for place, group in itertools.groupby(spots, attrgetter("directory")):
            directory, here = os.fsdecode(names.unescape(place)), list(group)
            descriptor = self._opened(directory, here[0].home)
            if descriptor is None:
                above, _, name = place[:-1].rpartition("/")
                seen.again.append(Spot(f"{above}/" if above else "", name))
                continue
            try:
                for at in range(0, len(here), _AT_ONCE):
                    if there := [name for spot in here[at : at + _AT_ONCE] if (name := self._there(descriptor, directory, spot, seen)) is not None]:
                        yield directory, descriptor, there
            finally:
                os.close(descriptor)

    def _opened(self, directory: str, wanted: Identity | None) -> int | None:
        """A directory, if it is the one that is wanted; None asks for no certain one."""
        try:
            descriptor = _kernel.open_beneath(self._root, os.fsencode(directory), _OPEN_DIRECTORY, self._cross_mounts)
        except OSError:
            if not directory:
                raise
            return None
        if wanted is None or self._identity(descriptor) == wanted:
            return descriptor
        os.close(descriptor)
        return None

    def _identity(self, descriptor: int) -> Identity:
        """Which directory is open, as entries tell it."""
        found = _kernel.statx_here(descriptor)
        device = int(found["device"][0]), int(found["subvolume"][0])
        if device not in self._fs_ids:
            self._fs_ids[device] = _place.fs_id(descriptor, device[1])
        return self._fs_ids[device], int(found["inode"].view(np.int64)[0])

    def _there(self, descriptor: int, directory: str, spot: Spot, seen: Seen) -> str | None:
        """The name of a spot, if something is there that can be looked at now. What cannot be looked at is for the caller to find out."""
        name = os.fsdecode(names.unescape(spot.name))
        if spot.itself is not None:
            own = self._opened(f"{directory}{name}/", spot.itself)
            if own is None:
                seen.again.append(spot._replace(itself=None))
                return None
            os.close(own)
            seen.alone.add(f"{directory}{name}/")
            return name
        try:
            os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except OSError as error:
            return None if error.errno in _NOTHING else name
        return name
