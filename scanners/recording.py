"""Records what a program said of a repository as a row of the catalog, with who says so."""

import datetime
import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa

import scanners
from catalog import snapshot, table
from catalog.config import Config
from catalog.errors import NotFoundError, RefusedError
from catalog.schema import VERIFICATIONS
from catalog.snapshot import ScanRow
from scanners import Capabilities
from scanners.ran import Ran
from scanners.said import Said

_SKEW = datetime.timedelta(hours=1)  # between the machine that checked and this one


def record(root: Path, config: Config, volume: str, method: str, said: Said, *, version: str | None, now: datetime.datetime, by: str) -> dict[str, Any]:
    """Append the row; gives it. `now` is aware; the row is the same however often it is recorded. Changes only the catalog.

    Raises NotFoundError where the volume was never scanned, RefusedError where it is no backup, or the check of the future.
    """
    scan, at = holding(root, config, volume), scanners.utc(now)
    if said.started_at is None:
        raise RefusedError(f"volume {volume}: nothing says when the check began, and it proves nothing of what was stored later: give --started")
    if said.started_at > at + _SKEW:
        raise RefusedError(
            f"volume {volume}: a check that began at {said.started_at:%Y-%m-%d %H:%M} UTC is of the future: look at the clocks, and at --started"
        )
    row = {
        "volume": volume,
        "repository": scan.root_fs_id,
        "fs_id": place(root, scan),
        "method": method,
        "tool_version": version,
        "started_at": said.started_at,
        "ok": said.ok,
        "level": said.level,
        "part": said.part,
        "parts": said.parts,
        "share_ppm": said.share_ppm,
        "errors": said.errors,
        "told": said.told,
    }
    app_id = "evidence-" + hashlib.sha256(repr(sorted(row.items())).encode()).hexdigest()
    row |= {"recorded_at": at, "recorded_by": by}
    table.append(root, "verifications", pa.Table.from_pylist([row], VERIFICATIONS), app_id)
    return row


def record_run(root: Path, config: Config, volume: str, method: str, ran: Ran, *, started_at: datetime.datetime | None, now: datetime.datetime, by: str) -> int:
    """Append what the run of a backup said, and a row for each file that it could not read; gives their number. Once, however often it is recorded.

    `started_at` is naive UTC; None = nobody tells. Changes only the catalog. Raises as `record` does.
    """
    scan, at = holding(root, config, volume), scanners.utc(now)
    run = {
        "volume": volume,
        "repository": scan.root_fs_id,
        "method": method,
        "recovery_point": ran.point,
        "started_at": started_at,
        "ok": ran.ok,
        "level": 0,
        "errors": ran.errors,
    }
    app_id = "evidence-" + hashlib.sha256(repr((sorted(run.items(), key=str), ran.unread)).encode()).hexdigest()
    run |= {"recorded_at": at, "recorded_by": by}
    files = [run | {"errors": 1, "ok": False, "told": why, **_named(path)} for path, why in ran.unread]
    table.append(root, "verifications", pa.Table.from_pylist([run, *files], VERIFICATIONS), app_id)
    return len(files)


def _named(path: str) -> dict[str, str]:
    head, slash, name = path.rpartition("/")
    return {"dir": head + slash, "name": name}


def holding(root: Path, config: Config, volume: str) -> ScanRow:
    """The newest good scan of a backup. Raises NotFoundError, RefusedError."""
    able: Capabilities = scanners.load(config.volumes[volume].kind).CAPABILITIES
    if not able.recovery_points:
        raise RefusedError(
            f"volume {volume}: it is no repository of a backup; what a volume of kind {config.volumes[volume].kind} holds is read by 'lastcopy fixity'"
        )
    scan = snapshot.newest_scans(root).get(volume)
    if scan is None:
        raise NotFoundError(f"volume {volume}: no scan of it is known, so nobody can say what was checked; run 'lastcopy scan {volume}'")
    return scan


def place(root: Path, scan: ScanRow) -> str | None:
    """Where the versions of a scan have their numbers; None = they have none."""
    found = table.read(root, "entries", ["fs_id"], scan_id=[scan.scan_id], volume=[scan.volume])["fs_id"].unique().drop_null()
    return str(found[0]) if len(found) else None
