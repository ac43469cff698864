"""What programs said of repositories, computed with loops: what stands of it for a version of a file."""

import datetime
from collections.abc import Iterator

from tests.protection.plain import Check, Estate, File

Standing = tuple[int, datetime.datetime, str | None]  # level, time, and the place that it is of


def known_of(estate: Estate, volume: str, file: File) -> dict[int, datetime.datetime]:
    """The newest time for each level that programs vouch for: 4 restored, 2 all was read, 1 all was looked at."""
    found: dict[int, datetime.datetime] = {}
    if file.point and (file.inode is None or file.whole):
        for level, at, place in standing(estate, volume):
            if at >= file.point and file.fs in (None, place):
                for vouched in range(1, level + 1):
                    found[vouched] = max(found.get(vouched, at), at)
    tries = [one for one in estate.checks if one.volume == volume and one.file and _is_of(one.file, file)]
    if tries and max(tries, key=lambda one: one.at).ok:
        found[4] = max(one.at for one in tries)
    return found


def standing(estate: Estate, volume: str) -> Iterator[Standing]:
    """Runs over all that were not followed by one that found errors, and parts that come to all."""
    good = list(_good(estate, volume))
    for one in good:
        yield (one.level if one.parts is None else 1, one.at, one.fs)
    for parts, place in {(one.parts, one.fs) for one in good if one.parts}:
        newest = [
            max((one.at for one in good if one.parts == parts and one.fs == place and one.part == part and one.level >= 2), default=None)
            for part in range(1, (parts or 0) + 1)
        ]
        if all(newest):
            yield 2, min(at for at in newest if at), place


def is_in_doubt(estate: Estate, volume: str, file: File, read_at: datetime.datetime | None) -> bool:
    """Whether errors were found, of nobody knows which files, after this one was last read by us, and no later run found none."""
    for wrong in _whole(estate, volume):
        mended = any(level >= wrong.level and at > wrong.at and place == wrong.fs for level, at, place in standing(estate, volume))
        here = file.fs is None or wrong.fs in (None, file.fs)
        if not wrong.ok and not mended and here and file.point and (read_at is None or read_at <= wrong.at):
            return True
    return False


def _whole(estate: Estate, volume: str) -> list[Check]:
    return [one for one in estate.checks if one.volume == volume and one.file is None]


def _good(estate: Estate, volume: str) -> Iterator[Check]:
    for one in _whole(estate, volume):
        if one.ok and all(other.ok or other.fs != one.fs or other.at < one.at for other in _whole(estate, volume)):
            yield one


def _is_of(given: File, file: File) -> bool:
    return (given.path, given.size, given.modified, given.fs, given.inode) == (file.path, file.size, file.modified, file.fs, file.inode)
