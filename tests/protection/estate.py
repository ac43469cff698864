"""A plain estate as a real catalog: the rows that scans and reads would have written, through the tables that they write to."""

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from catalog import names, stubs, table
from catalog.schema import DIGESTS, ENTRIES, PROBLEMS, RECOVERY_POINTS, SCANS, VERIFICATIONS
from tests.protection.plain import Check, Estate, File, Read, Scan, Stub


def write(root: Path, estate: Estate, skip: Estate | None = None) -> None:
    """Write all scans and reads of an estate, but those of `skip`, which were written before: one commit a table."""
    new = [
        (volume, number, scan)
        for volume, scans in estate.scans.items()
        for number, scan in enumerate(scans)
        if skip is None or number >= len(skip.scans.get(volume, ()))
    ]
    mark = "later" if skip else "first"
    good = [(scan, volume, number, {"scan_id": scan_id(volume, number), "volume": volume}) for volume, number, scan in new if scan.state != "failed"]
    table.commit(root, "problems", [table.write(root, "problems", problems(scan), where) for scan, _, _, where in good if scan.problems or scan.broken], mark)
    table.commit(root, "recovery_points", [table.write(root, "recovery_points", points(scan), where) for scan, _, _, where in good if len(points(scan))], mark)
    table.commit(root, "entries", [table.write(root, "entries", entries(volume, number, scan), where) for scan, volume, number, where in good], mark)
    if new:
        table.append(root, "scans", pa.concat_tables([published(volume, number, scan) for volume, number, scan in new]), mark)
    if skip is None:
        table.append(root, "digests", digests(estate), mark)
        table.append(root, "verifications", verifications(estate), mark)


def scan_id(volume: str, number: int) -> str:
    """The id of a volume's scan of that number."""
    return f"{volume}-{number}"


def entries(volume: str, number: int, scan: Scan) -> pa.Table:
    """The entries of one scan, sorted as they are stored."""
    files = sorted(scan.files, key=lambda file: file.place)
    return pa.Table.from_pylist([_entry(position, file, scan_id(volume, number - 1)) for position, file in enumerate(files)], ENTRIES)


def points(scan: Scan) -> pa.Table:
    """The recovery points that one scan saw."""
    times = sorted({file.point for file in scan.files if file.point} | set(scan.points))
    newest = json.dumps(scan.left_out)
    rows = [{"recovery_point": point_id(time), "started_at": time, "host": "h", "paths": '["/"]' if time in scan.points else "[]"} for time in times]
    return pa.Table.from_pylist([row | {"left_out": newest if row["started_at"] == max(scan.points, default=None) else "[]"} for row in rows], RECOVERY_POINTS)


def point_id(time: datetime.datetime | None) -> str | None:
    """The id of the recovery point that was begun at a time."""
    return time.isoformat() if time else None


def digests(estate: Estate) -> pa.Table:
    """What was read of the estate, oldest first."""
    return pa.Table.from_pylist([_digest(read) for read in sorted(estate.reads, key=lambda read: read.at)], DIGESTS)


def verifications(estate: Estate) -> pa.Table:
    """What programs said of the estate's repositories."""
    return pa.Table.from_pylist([_verification(check) for check in estate.checks], VERIFICATIONS)


def problems(scan: Scan) -> pa.Table:
    """What a scan could not read."""
    rows = [{"path": path, "stage": "list" if hides else "read", "error": "denied", "errno": 13, "hides_below": hides} for path, hides in scan.problems]
    rows += [{"path": path, "stage": "read", "error": "damaged", "hides_below": False, "inode": inode} for path, inode in scan.broken]
    return pa.Table.from_pylist([row | {"seen_at": scan.started_at} for row in rows], PROBLEMS)


def published(volume: str, number: int, scan: Scan) -> pa.Table:
    """The row of `scans` that publishes one."""
    seen = [file for file in scan.files if not file.carried]
    row: dict[str, Any] = {
        "scan_id": scan_id(volume, number),
        "volume": volume,
        "kind": "posix",
        "state": scan.state,
        "started_at": scan.started_at,
        "finished_at": scan.started_at + datetime.timedelta(minutes=1),
        "entries": len(seen),
        "files": len(seen),
        "bytes": sum(file.size or 0 for file in seen),
        "carried_entries": len(scan.files) - len(seen),
        "problems": len(scan.problems) + len(scan.broken),
        "excluded": 0,
        "root_fs_id": f"repository of {volume}",
        "device": scan.device,
        "clock": scan.clock,
        "previous_scan_id": scan_id(volume, number - 1) if number else None,
        "evidence_at": scan.told,
        "error": "unreachable" if scan.state == "failed" else None,
    }
    return pa.Table.from_pylist([row], SCANS)


def _entry(position: int, file: File, earlier: str) -> dict[str, Any]:
    folder, name = file.place
    return {
        "entry_id": position,
        "dir": folder,
        "name": name,
        "path_hash": path_hash(file.path),
        "extension": names.extension(name),
        "type": "file" if file.latest is None else "object",
        "size_bytes": file.size,
        "allocated_bytes": file.size,
        "modified_at": file.modified,
        "changed_at": file.changed,
        "created_at": file.created,
        "modified_ns": file.modified_ns,
        "changed_ns": file.changed_ns,
        "time_flags": file.flags,
        "fs_id": file.fs,
        "inode": file.inode,
        "link_count": 1,
        "digest": file.attested,
        "attested_at": file.told,
        "attested_level": file.told_level,
        "carried_from": earlier if file.carried else None,
        "version_id": None if file.latest is None else f"v{position}",
        "is_latest": file.latest,
        "lock_mode": file.lock,
        "retain_until": file.locked_until,
        "legal_hold": file.held,
        "restore_state": "whole" if file.whole else None,
        "first_recovery_point": point_id(file.point),
        "last_recovery_point": point_id(file.point),
        **(_stub(file.stub) if file.stub else {}),
    }


def _stub(said: Stub) -> dict[str, Any]:
    found = stubs.Stub(said.volume, said.path, said.digest, said.size)
    return {"storage_class": "stub", "link_target": found.link_target, "tags": found.tags}


def _digest(read: Read) -> dict[str, Any]:
    file = read.file
    folder, name = file.place
    return {
        "volume": read.volume,
        "scan_id": scan_id(read.volume, 0),
        "dir": folder,
        "name": name,
        "path_hash": path_hash(file.path),
        "fs_id": file.fs,
        "inode": file.inode,
        "created_at": file.created,
        "size_bytes": file.size,
        "modified_at": file.modified,
        "modified_ns": file.modified_ns,
        "changed_at": file.changed,
        "changed_ns": file.changed_ns,
        "digest": read.digest,
        "sample": read.sample,
        "read_started_at": read.at,
        "digested_at": read.at,
        "bytes_read": file.size,
    }


def _verification(check: Check) -> dict[str, Any]:
    row = {
        "volume": check.volume,
        "repository": f"repository of {check.volume}",
        "method": "restore" if check.file else "check",
        "started_at": check.at,
        "ended_at": check.at,
        "ok": check.ok,
        "level": check.level,
        "part": check.part,
        "parts": check.parts,
        "fs_id": check.fs,
    }
    if check.file is None:
        return row
    folder, name = check.file.place
    found = {"fs_id": check.file.fs, "inode": check.file.inode, "size_bytes": check.file.size, "modified_at": check.file.modified}
    return row | found | {"dir": folder, "name": name}


def path_hash(path: str) -> int:
    """The lower 48 bits of xxh3-64 of the raw bytes of an escaped path."""
    return int.from_bytes(xxhash.xxh3_64_digest(names.unescape(path))[2:], "big")
