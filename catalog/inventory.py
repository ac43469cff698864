"""What a catalog holds: its tables, the scans of its volumes, its snapshots. Reads only."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog import log, mirror, place, snapshot, table
from catalog.schema import DERIVED, TABLES


@dataclass(frozen=True)
class Lying:
    """A file that lies in a table's folder, whatever its log says."""

    size_bytes: int
    modified_at: float  # seconds since 1970
    is_regular: bool  # and no link, whatever that leads to


def lying(root: Path, name: str) -> dict[str, Lying]:
    """The files in the folder of a table, without its log, by their paths relative to it; of a catalog on an object store those that lie there."""
    if place.of(root):
        return {one.path.removeprefix(f"{name}/"): Lying(one.size_bytes, one.stored_at, True) for one in mirror.lying(root, name)}
    found: dict[str, Lying] = {}
    folder = root / name
    for inside in _folders(folder):
        with os.scandir(inside) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False) and (told := _stat(entry)):
                    found[os.path.relpath(entry.path, folder)] = Lying(told.st_size, told.st_mtime, stat.S_ISREG(told.st_mode))
    return found


def _folders(folder: Path) -> Iterator[str]:
    waiting = [str(folder)] if folder.is_dir() else []
    while waiting:
        inside = waiting.pop()
        yield inside
        with os.scandir(inside) as entries:
            waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name != log.FOLDER]


def _stat(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # taken away since it was listed
        return None


def tables(root: Path) -> list[dict[str, object]]:
    """One row a table: its version (None: not written yet), what it consists of now, and what else lies in its folder."""
    rows: list[dict[str, object]] = []
    for name in TABLES:
        known = table.state(root, name) if table.exists(root, name) else log.State(-1)
        others = [file for path, file in lying(root, name).items() if path not in known.files]
        rows.append(
            {
                "table": name,
                "version": known.version if known.version >= 0 else None,
                "files": len(known.files),
                "rows": sum(_rows(root, name, path, file) for path, file in known.files.items()),
                "bytes": sum(file.size_bytes for file in known.files.values()),
                "other_files": len(others),
                "other_bytes": sum(file.size_bytes for file in others),
            }
        )
    return rows


def volumes(root: Path) -> list[dict[str, object]]:
    """One row a volume that was ever scanned: how many scans, good ones and failed ones, the oldest and the newest good one."""
    found: dict[str, list[snapshot.ScanRow]] = {}
    for scan in snapshot.scans(root):
        found.setdefault(scan.volume, []).append(scan)
    newest = snapshot.newest_scans(root)
    rows: list[dict[str, object]] = []
    for volume, scans in sorted(found.items()):
        good = [scan for scan in scans if scan.state != "failed"]
        row: dict[str, object] = {"volume": volume, "scans": len(scans), "failed_scans": len(scans) - len(good)}
        row |= {"oldest_scan": good[0].scan_id if good else None, "oldest_at": good[0].started_at if good else None}
        last = newest.get(volume)
        row |= {"newest_scan": last and last.scan_id, "newest_at": last and last.started_at, "newest_state": last and last.state}
        rows.append(row)
    return rows


def snapshots(root: Path) -> list[dict[str, object]]:
    """One row a snapshot, oldest first, and whether what is derived of it is stored."""
    stored = {name: {file.partition["snapshot_id"] for file in table.state(root, name).files.values()} for name in DERIVED if table.exists(root, name)}
    rows: list[dict[str, object]] = []
    for one in snapshot.snapshots(root):
        derived = all(one.snapshot_id in stored.get(name, ()) for name in DERIVED)
        rows.append({"snapshot_id": one.snapshot_id, "as_of": one.as_of, "complete": one.complete, "volumes": len(one.scans), "derived_stored": derived})
    return rows


def _rows(root: Path, name: str, path: str, file: log.Logged) -> int:
    """The rows of a file; where the log does not tell them, its own word."""
    import pyarrow.parquet as pq

    if file.rows is None:
        table.fetch(root, name, {path: file})
        return int(pq.read_metadata(root / name / path).num_rows)
    return file.rows
