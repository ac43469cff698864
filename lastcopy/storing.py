"""A catalog that takes nothing more: its disk is full or read-only, or this user may not write there. Told once, with what to do."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from catalog.errors import CatalogError, LastcopyError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NUMBERED = re.compile(r"\b(?:os error|errno) (\d+)", re.IGNORECASE)  # as delta-rs and Arrow tell what the system said


def refusal(root: Path, error: BaseException) -> CatalogError | None:
    """What is to be said of an error that ended a scan because the catalog cannot be written; None of any other error."""
    if isinstance(error, LastcopyError) and not isinstance(error, CatalogError):
        return None  # of a volume
    number = next((found for one in _chain(error) if (found := _number(root, one, isinstance(error, CatalogError)))), None)
    if number is None:
        return None
    why, remedy = _told(number)
    return CatalogError(f"{root}: the catalog cannot be written: {why}. No snapshot was published, and what was known before stays; {remedy}, and scan again")


def _told(number: int) -> tuple[str, str]:
    user = f"user {os.geteuid()}"
    if number == errno.ENOSPC:
        return "no space is left on its disk", "make room there, or let [catalog] path name a folder on a larger disk"
    if number == errno.EDQUOT:
        return f"the disk quota of {user} is used up", "free some of it or have it raised, or let [catalog] path name another folder"
    if number == errno.EROFS:
        return "its file system is mounted read-only", "mount it so that it can be written, or let [catalog] path name another folder"
    return f"{user} may not write there", "scan as the user whom the folder belongs to, or let [catalog] path name another folder"


def _number(root: Path, error: BaseException, of_the_catalog: bool) -> int | None:
    """The error number where it tells of the catalog's place being full or closed."""
    told = _NUMBERED.search(str(error)) if isinstance(error, OSError | LastcopyError) or type(error).__module__.startswith(("deltalake", "_internal")) else None
    number = (error.errno if isinstance(error, OSError) else None) or (int(told[1]) if told else None)
    if number not in (*_FULL, *_DENIED):
        return None
    place = error.filename if isinstance(error, OSError) else None
    if of_the_catalog or (isinstance(place, str | bytes) and Path(os.fsdecode(place)).absolute().is_relative_to(root.absolute())):
        return number
    return number if place is None and number in _FULL and _has_least_room(root) else None


def _has_least_room(root: Path) -> bool:
    """Whether it was the catalog that was full, where the error does not name the file: the other place that is written to is that of temporary files."""
    try:
        return shutil.disk_usage(root).free <= shutil.disk_usage(tempfile.gettempdir()).free
    except OSError:
        return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
