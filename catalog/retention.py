"""Which snapshots keep what is derived of them: a policy that gives its reasons."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalog.snapshot import Snapshot


@dataclass(frozen=True)
class Wish:
    """Of how many days, weeks, months and years the newest snapshot is kept; those without a snapshot do not count. `named`: id -> why it is kept, too."""

    daily: int = 14
    weekly: int = 8
    monthly: int = 24
    yearly: int = 100
    named: Mapping[str, str] = field(default_factory=dict)


_PERIODS: dict[str, Callable[[datetime.datetime], object]] = {
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: at.year,
}


def kept(known: "Sequence[Snapshot]", newest: "Snapshot", wish: Wish) -> dict[str, list[str]]:
    """The snapshots that are kept, of some, oldest first, with the reasons.

    Whatever is wished for, these are: the newest and the one before it, which every question compares with; and of each volume the newest that knows it,
    from which the next scan takes when a file was first seen.
    """
    reasons: dict[str, list[str]] = {newest.snapshot_id: ["newest"]}
    if newest.previous_id is not None and any(one.snapshot_id == newest.previous_id for one in known):
        reasons.setdefault(newest.previous_id, []).append("before the newest")
    last: dict[str, str] = {}
    for one in known:
        last.update(dict.fromkeys(one.scans, one.snapshot_id))
    for volume, snapshot_id in sorted(last.items()):
        if volume not in newest.scans:
            reasons.setdefault(snapshot_id, []).append(f"the newest that knows volume {volume}")
    for period, of in _PERIODS.items():
        seen: set[object] = set()
        for one in reversed(known):
            if (when := of(one.as_of)) not in seen and len(seen) < getattr(wish, period):
                seen.add(when)
                reasons.setdefault(one.snapshot_id, []).append(period)
    for one in known:
        if one.snapshot_id in wish.named:
            reasons.setdefault(one.snapshot_id, []).append(wish.named[one.snapshot_id])
    return reasons
