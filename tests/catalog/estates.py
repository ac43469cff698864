"""Catalogs written directly, without a scan: entries and scans as rows."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import table
from catalog.schema import ENTRIES, SCANS

NOON = datetime.datetime(2026, 3, 1, 12)


def write_scan(root: Path, volume: str, paths: dict[str, dict[str, Any]], started_at: datetime.datetime = NOON, **scan: object) -> str:
    """Publish one scan of a volume that saw these files; gives its id."""
    scan_id = f"{started_at:%Y%m%dT%H%M%S}-{volume}"
    rows = []
    for number, (path, given) in enumerate(paths.items()):
        folder, _, name = path.rpartition("/")
        long_ago = datetime.datetime(2020, 1, 1)
        row = {"entry_id": number, "dir": f"{folder}/" if folder else "", "name": name, "path_hash": number, "type": "file", "size_bytes": 10}
        rows.append(
            row | {"modified_at": long_ago, "changed_at": long_ago, "accessed_at": long_ago, "time_flags": 0, "fs_id": volume, "inode": number + 1} | given
        )
    table.append(root, "entries", pa.Table.from_pylist(rows, ENTRIES), scan_id, {"scan_id": scan_id, "volume": volume})
    finished = {"scan_id": scan_id, "volume": volume, "kind": "posix", "state": "complete", "started_at": started_at, "finished_at": started_at}
    counts = {"entries": len(rows), "files": len(rows), "bytes": 10 * len(rows), "carried_entries": 0, "problems": 0, "excluded": 0, "clock": "accessed"}
    table.append(root, "scans", pa.Table.from_pylist([finished | counts | scan], SCANS), scan_id)
    return scan_id
