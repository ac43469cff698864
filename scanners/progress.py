"""How far a scan is, told while it runs."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanners import ShardRecord

if TYPE_CHECKING:
    from catalog.snapshot import ScanRow


@dataclass(frozen=True)
class Progress:
    """How far a scan is. `done_share` is 0..1 by the previous scan's count; None without one."""

    volume: str
    entries: int
    problems: int
    bytes: int
    rate: float  # entries a second
    done_share: float | None


class Talk:
    """Tells how far a scan is."""

    def __init__(self, volume: str, previous: "ScanRow | None", records: Iterable[ShardRecord], listener: Callable[[Progress], None] | None) -> None:
        """`records` are those that an interrupted scan has already."""
        self._volume, self._listener = volume, listener
        self._before = previous.entries if previous else None
        self._entries = sum(record.rows for record in records)
        self._resumed, self._problems, self._bytes = self._entries, 0, 0
        self._since = time.monotonic()

    def say(self, record: ShardRecord) -> None:
        """Take a shard's record and tell the listener."""
        self._entries += record.rows
        self._problems += record.problem_rows
        self._bytes += record.bytes
        if self._listener:
            rate = (self._entries - self._resumed) / max(1e-6, time.monotonic() - self._since)
            share = min(1.0, self._entries / self._before) if self._before else None
            self._listener(Progress(self._volume, self._entries, self._problems, self._bytes, rate, share))
