"""What the locks of objects are worth by docs/protection.md, one file at a time: the independent half of the proof."""

import datetime
from dataclasses import dataclass

from tests.protection.plain import File
from tests.protection.requirement import three_or


@dataclass(frozen=True)
class Declared:
    """What holds of a volume whatever its objects say, three-valued."""

    locked: str  # what is declared of its immutability
    append_only: str  # that of it which is no lock
    other_admin: str
    binds: str  # that not even its admin can change it now


def tells(file: File) -> bool:
    """Whether a file says anything of a lock that one can go by."""
    return bool(file.held) or _is_retained_or_not(file)


def outlasts(file: File, declared: Declared, least: datetime.datetime) -> str:
    """Whether ransomware is kept from a file until a time."""
    own = []
    if file.held:
        own.append(declared.other_admin)
    if not _is_retained_or_not(file):
        return three_or([*own, declared.locked])
    if file.lock != "none" and file.locked_until is not None and file.locked_until >= least:
        own.append("yes" if file.lock == "compliance" else declared.other_admin)
    return three_or([*own, declared.append_only])


def binds(file: File, declared: Declared, as_of: datetime.datetime) -> str:
    """Whether nobody can change a file now, not even its admin."""
    if not _is_retained_or_not(file):
        return declared.binds
    return "yes" if file.lock == "compliance" and file.locked_until is not None and file.locked_until >= as_of else "no"


def _is_retained_or_not(file: File) -> bool:
    return file.lock == "none" or (file.lock is not None and file.locked_until is not None)
