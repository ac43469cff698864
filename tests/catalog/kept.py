"""A small catalog with several scans of two volumes and a snapshot after each, for tests of what is kept of it."""

import datetime
from pathlib import Path

import pyarrow as pa

from catalog import config, derive, snapshot, table
from catalog.schema import DIGESTS, VERIFICATIONS
from tests.catalog.estates import NOON, write_scan

CONFIG = config.parse(
    {
        "volumes": {
            "work": {"url": "work", "system": "a", "site": "x", "admin": "one"},
            "copy": {"url": "copy", "role": "replica", "of": ["work"], "system": "b", "site": "y", "admin": "two"},
        }
    }
)


def grow(root: Path, days: int, first: int = 0, *, derives: bool = True) -> None:
    """Scan both volumes once a day: each day a file more, whose content is read; with a snapshot at the end of each day."""
    for day in range(first, first + days):
        at = NOON + datetime.timedelta(days=day)
        before = {scan.volume: scan.scan_id for scan in snapshot.newest_scans(root).values()}
        for volume in ("work", "copy"):
            paths = {f"f{number:04}": {"size_bytes": number + 1} for number in range(day + 1)}
            scan_id = write_scan(root, volume, paths, at, previous_scan_id=before.get(volume))
            table.append(root, "digests", digests(volume, scan_id, day, at), f"digest-{scan_id}")
        check = {"volume": "copy", "method": "restic-check", "started_at": at, "ended_at": at, "ok": True, "level": 1, "recorded_at": at}
        table.append(root, "verifications", pa.Table.from_pylist([check], VERIFICATIONS), f"check-{day}")
        if derives:
            derive.derive(root, CONFIG, at + datetime.timedelta(hours=1))


def digests(volume: str, scan_id: str, day: int, at: datetime.datetime) -> pa.Table:
    """The reading of the newest file of a day."""
    long_ago = datetime.datetime(2020, 1, 1)
    row = {"volume": volume, "scan_id": scan_id, "dir": "", "name": f"f{day:04}", "path_hash": day, "fs_id": volume, "inode": day + 1}
    row |= {"size_bytes": day + 1, "modified_at": long_ago, "changed_at": long_ago, "digest": day.to_bytes(32, "big")}
    return pa.Table.from_pylist([row | {"read_started_at": at, "digested_at": at, "bytes_read": day + 1}], DIGESTS)
