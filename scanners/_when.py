"""Times as listings write them."""

import re
from datetime import datetime, timedelta

import scanners

_TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)")
_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
UNITS = ("iso", *_UNITS)
_NUMBER = re.compile(r"(-?\d{1,19})(?:\.(\d{1,9})\d*)?")
_EPOCH = datetime(1970, 1, 1)


def nanoseconds(text: str) -> int | None:
    """Nanoseconds since 1970 of a time of RFC 3339, that says its zone; None where it is none."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    try:
        whole = scanners.utc(datetime.fromisoformat(f"{found[1]}{found[3]}")) - _EPOCH
    except (ValueError, OverflowError):
        return None
    return whole // timedelta(seconds=1) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))


def counted(text: str, unit: str) -> int | None:
    """Nanoseconds since 1970 of a number of units, with or without a fraction, or of what `nanoseconds` reads; None where it is none."""
    if unit == "iso":
        return nanoseconds(text)
    found = _NUMBER.fullmatch(text)
    if not found:
        return None
    part = int((found[2] or "").ljust(9, "0")) * _UNITS[unit] // 1_000_000_000
    return int(found[1]) * _UNITS[unit] + (-part if text.startswith("-") else part)
