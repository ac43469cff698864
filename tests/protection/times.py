"""How times of two files are compared."""

import datetime

from tests.protection.plain import COARSE_MODIFIED, FLAGGED_MODIFIED, ROUNDED_MODIFIED, File


def same_time(one: File, two: File) -> bool | None:
    """Whether two times are one, as exactly as both storages keep them; None where one does not say its own."""
    if one.modified is None or two.modified is None:
        return None
    if (one.flags | two.flags) & COARSE_MODIFIED:
        return one.modified.replace(microsecond=0) == two.modified.replace(microsecond=0)
    if (one.flags | two.flags) & ROUNDED_MODIFIED:
        return abs(one.modified - two.modified) <= datetime.timedelta(microseconds=1)
    return one.modified == two.modified


def trusted(*files: File) -> bool:
    """Whether no modified time is one that proves nothing."""
    return not any(file.flags & FLAGGED_MODIFIED for file in files)
