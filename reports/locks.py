"""What objects tell of the lock on a copy, in words."""

import datetime
import math
from collections.abc import Mapping
from typing import Any

from reports.state import age, day

_DAY_SECONDS = 86400
_OUTLASTS = {"yes": "ransomware is kept from it", "no": "ransomware is not kept from it", "unknown": "whether ransomware is kept from it is not known"}


def told(copy: Mapping[str, Any], as_of: datetime.datetime, retention_days: float | None) -> str | None:
    """A sentence on the lock of a row of `copies`: what it is, when it ends, and what is missing; None where no object tells."""
    mode, until, outlasts = copy["lock_mode"], copy["locked_until"], copy["lock_outlasts"]
    if outlasts is None:
        return None
    if mode in (None, "none"):
        said = "its object is not locked" if mode else "nobody asked its object for a lock"
    elif mode == "hold":
        said = "under a legal hold, which whoever may set it may lift"
    elif until is None or until < as_of:
        said = f"its lock ({mode}) ended" + (f" {age(until, as_of)} ago" if until else "")
    else:
        said = f"locked ({mode}) until {day(until)}{_missing(until, as_of, retention_days)}"
    return f"{said}: {_OUTLASTS[outlasts]}"


def _missing(until: datetime.datetime, as_of: datetime.datetime, retention_days: float | None) -> str:
    left = (until - as_of).total_seconds() / _DAY_SECONDS
    if retention_days is None or left >= retention_days:
        return ""
    return f", in {math.floor(left)} days; {retention_days:g} are asked"
