"""What earlier scans saw: the SQL of `files_before`, from which the time that each path was first seen comes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from catalog import former, snapshot, table
from catalog.derive.expressions import parquet
from catalog.derived import STORED_FILES
from catalog.schema import ENTRIES
from catalog.snapshot import ScanRow, Snapshot


def files_before(root: Path, new: Snapshot) -> str:
    """A SELECT of volume, dir, name, first_seen_at: one row a path that a scan before those of the snapshot saw.

    Of each volume the files of the nearest earlier snapshot that knew it and is still stored; and, where scans lie between the two
    (never derived, or of snapshots that are no longer stored), what those saw: a path must never seem newer than it is.
    """
    known = {scan.scan_id: scan for scan in snapshot.scans(root, new.versions.get("scans")) if scan.state != "failed"}
    stored: dict[tuple[str, ...], list[str]] = defaultdict(list)
    parts = []
    for volume, scan_id in new.scans.items():
        files, base = _nearest(root, new, volume)
        between = list(_between(known, volume, base, scan_id))
        if not between:
            stored[tuple(files)].append(volume)
            continue
        whole = former.stored(root, "entries", volume)
        seen = [_of_files(files, [volume]), *(_of_scan(whole[scan.scan_id], scan) for scan in between if scan.scan_id in whole)]
        seen += [f"SELECT * FROM ({query})" for query in former.first_seen(root, volume, between)]
        parts.append(f"SELECT volume, dir, name, min(first_seen_at) AS first_seen_at FROM ({' UNION ALL '.join(seen)}) AS seen GROUP BY volume, dir, name")
    return " UNION ALL ".join([*(_of_files(list(files), volumes) for files, volumes in stored.items()), *parts])


def _nearest(root: Path, new: Snapshot, volume: str) -> tuple[list[str], str | None]:
    by_id = {one.snapshot_id: one for one in snapshot.snapshots(root)}
    earlier = by_id.get(new.previous_id or "")
    while earlier is not None:
        if volume in earlier.scans and (files := table.files(root, "files", snapshot_id=[earlier.snapshot_id])):
            return files, earlier.scans[volume]
        earlier = by_id.get(earlier.previous_id or "")
    return [], None


def _between(known: Mapping[str, ScanRow], volume: str, base: str | None, last: str) -> Iterator[ScanRow]:
    since, until = known.get(base or ""), known[last]
    for scan in known.values():
        if scan.volume == volume and _order(scan) < _order(until) and (since is None or _order(scan) > _order(since)):
            yield scan


def _order(scan: ScanRow) -> tuple[object, str]:
    return scan.started_at, scan.scan_id


def _of_files(files: list[str], volumes: list[str]) -> str:
    names = ", ".join(f"'{name}'" for name in volumes)  # names of volumes hold no quotes
    return f"SELECT volume, dir, name, first_seen_at FROM {parquet(files, STORED_FILES)} WHERE volume IN ({names})"


def _of_scan(files: Sequence[str], scan: ScanRow) -> str:
    entries = parquet(files, ENTRIES.append(pa.field("volume", pa.string())), "scan_id", "volume")
    return f"SELECT volume, dir, name, TIMESTAMP '{scan.known_at.isoformat(' ')}' AS first_seen_at FROM {entries} WHERE type IN ('file', 'object')"
