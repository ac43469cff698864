"""Records what a program said of a repository as a row of the catalog, with who says so."""

import datetime
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

import scanners
from catalog import snapshot, table
from catalog.config import Config
from catalog.errors import NotFoundError, RefusedError, UnreachableError
from catalog.schema import DIGESTS, VERIFICATIONS
from catalog.snapshot import ScanRow
from scanners import Capabilities, hits
from scanners._program import RunError
from scanners.ran import MOST_FILES, Ran
from scanners.said import Said

_SKEW = datetime.timedelta(hours=1)  # between the machine that checked and this one


@dataclass(frozen=True)
class Recorded:
    """What is kept of a check: its row, and of one that found errors how many versions of files they may hit, or why nobody can tell."""

    row: dict[str, Any]
    hit: int | None = None
    untold: str | None = None


def record(root: Path, config: Config, volume: str, method: str, said: Said, *, version: str | None, now: datetime.datetime, by: str) -> Recorded:
    """Append a row for a check, and one for each version that its errors hit, of very many the first: what was read of these before proves nothing any more.

    `now` is aware; rows are the same however often they are recorded. Reads the repository where errors are to be placed; changes only the catalog.
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
    known, untold = _hits(config, scan, said, now)
    files = [] if known is None else known.slice(0, MOST_FILES).to_pylist()
    numbers = [] if known is None else sorted(map(str, known["inode"].to_pylist()))  # others where the repository changed since it was last recorded
    app_id = "evidence-" + hashlib.sha256(repr((sorted(row.items()), numbers)).encode()).hexdigest()
    row |= {"recorded_at": at, "recorded_by": by}
    if known is not None:
        table.append(root, "digests", _unread(scan, known, said.started_at, at), app_id)  # first: a hit file without its row is no harm
    rows = [row, *(row | _file(one) for one in files)]
    table.append(root, "verifications", pa.Table.from_pylist(rows, VERIFICATIONS), app_id)
    return Recorded(row, None if known is None else len(known), untold)


def _hits(config: Config, scan: ScanRow, said: Said, now: datetime.datetime) -> tuple[pa.Table | None, str | None]:
    """The versions that the errors of a check hit, or why that is not known; neither where it found none."""
    if said.ok:
        return None, None
    if said.suspects is None:
        return None, "its output does not tell of all errors where they are"
    try:
        return hits.find(config, scan.volume, said.suspects, scan.root_fs_id, now), None
    except (UnreachableError, RunError, OSError) as error:
        return None, str(error)


def _unread(scan: ScanRow, found: pa.Table, started_at: datetime.datetime, at: datetime.datetime) -> pa.Table:
    """Rows of `schema.DIGESTS` for readings that failed: whatever was read before the check is known to have ended is void."""
    count = len(found)
    same = {"volume": scan.volume, "scan_id": scan.scan_id, "read_started_at": started_at, "digested_at": at, "bytes_read": 0}
    columns = [found[field.name] if field.name in hits.KEYS else pa.array([same.get(field.name)] * count, field.type) for field in DIGESTS]
    return pa.table(columns, DIGESTS)


def _file(hit: dict[str, Any]) -> dict[str, Any]:
    told = "a part of it lies where errors were found"
    kept = {name: hit[name] for name in ("dir", "name", "fs_id", "inode", "size_bytes", "modified_at")}
    return {**kept, "recovery_point": hit["last_recovery_point"], "level": 0, "part": None, "parts": None, "share_ppm": 0, "errors": 1, "told": told}


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
    import pyarrow.parquet as pq

    for file in snapshot.entry_files(root, scan.scan_id, scan.volume):
        found = pq.ParquetFile(file).read(["fs_id"], use_threads=False)["fs_id"].unique().drop_null()
        if len(found):
            return str(found[0])
    return None
