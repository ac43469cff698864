"""Has the program of a backup give back some of its files by chance, and compares them: what counts in the end is what can be restored."""

import datetime
import hashlib
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

import scanners
from catalog import names, snapshot, table
from catalog.config import Config
from catalog.errors import UnreachableError
from catalog.schema import DIGESTS, VERIFICATIONS
from catalog.snapshot import ScanRow
from catalog.verification import RESTORED
from scanners import recording
from scanners._program import RunError
from scanners.candidates import Chunk, Place
from scanners.digest import Results
from scanners.reading import SAMPLE_BYTES, SMALL_BYTES, Problem, Reply

_GIVEN = [name for name in DIGESTS.names if name not in ("digest", "sample", "read_started_at", "digested_at", "bytes_read")]
_NUMBERED = """
SELECT * EXCLUDE (place)
FROM (
    SELECT *, row_number() OVER (ORDER BY dir, name, last_recovery_point, inode) - 1 AS place
    FROM read_parquet($files, hive_partitioning = true, hive_types_autocast = false)
    WHERE type = 'file' AND size_bytes > 0 AND last_recovery_point IS NOT NULL AND carried_from IS NULL AND (inode IS NULL OR restore_state = 'whole')
)
WHERE place IN (SELECT unnest($places))
ORDER BY dir, name, last_recovery_point, inode
"""
_COUNTED = """
SELECT count(*) FROM read_parquet($files, hive_partitioning = true, hive_types_autocast = false)
WHERE type = 'file' AND size_bytes > 0 AND last_recovery_point IS NOT NULL AND carried_from IS NULL AND (inode IS NULL OR restore_state = 'whole')
"""
_KNOWN = """
SELECT arg_max(digest, digested_at) AS digest, max(digested_at) AS digested_at
FROM read_parquet($files, hive_partitioning = false)
WHERE
    volume = $volume AND dir = $dir AND name = $name AND size_bytes = $size_bytes AND digest IS NOT NULL
    AND fs_id IS NOT DISTINCT FROM $fs_id AND inode IS NOT DISTINCT FROM $inode AND modified_at IS NOT DISTINCT FROM $modified_at
"""


@dataclass(frozen=True)
class Restored:
    """What came of a sample: files that were given back as they were stored, that were not, and that the program gives by another name only."""

    volume: str
    seed: int
    chosen: int
    bytes: int = 0
    same: int = 0
    failed: int = 0
    untried: int = 0


@dataclass(frozen=True)
class _Given:
    """What a program gave back of one file; without a digest and an error it was not tried."""

    digest: bytes | None = None
    sample: bytes | None = None
    bytes: int = 0
    error: str | None = None


def sample(root: Path, config: Config, volume: str, count: int, seed: int, *, now: Callable[[], datetime.datetime], by: str) -> Restored:
    """Have so many versions of files of the newest scan restored into nothing, and record what came of each. Reads storage, changes only the catalog.

    The same scan and seed choose the same files. Raises NotFoundError, RefusedError as `recording.holding` does.
    """
    scan = recording.holding(root, config, volume)
    rows = _chosen(root, scan, count, seed)
    found = Restored(volume, seed, rows.num_rows)
    scanner = scanners.connect(config, volume)
    place = Place(scan, Path(scanners.settings(config, volume).location), "all", streamed=True)
    try:
        with Results(root, now) as results:
            for number in range(rows.num_rows):
                row, started = rows.slice(number, 1), scanners.utc(now())
                one = row.to_pylist()[0]
                given = _restore(scanner, one)
                known, chunk = _chunk(root, place, row)
                clock = time.monotonic_ns()
                problems: list[Problem] = [(0, "read", given.error, None)] if given.error else []
                if given.error or given.digest:
                    results.add(chunk, Reply(clock, [clock], [given.digest], [given.sample], given.bytes, problems))
                    same = given.digest is not None and known in (None, given.digest)
                    _record(root, scan, one, same=same, seed=seed, times=(started, scanners.utc(now())), by=by, error=given.error)
                    found = replace(found, same=found.same + same, failed=found.failed + (not same), bytes=found.bytes + given.bytes)
                else:
                    found = replace(found, untried=found.untried + 1)
    finally:
        scanner.close()
    return found


def _chosen(root: Path, scan: ScanRow, count: int, seed: int) -> pa.RecordBatch:
    """So many versions that can be restored, by chance, all equally likely."""
    import duckdb

    files = snapshot.entry_files(root, scan.scan_id, scan.volume)
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        [(there,)] = connection.execute(_COUNTED, {"files": files}).fetchall() if files else [(0,)]
        places = random.Random(seed).sample(range(there), min(count, there))  # noqa: S311 - a sample, that is to be drawn again by its seed
        rows = connection.sql(_NUMBERED, params={"files": files, "places": places}).to_arrow_table() if places else None
    if rows is None:
        return pa.RecordBatch.from_pylist([], pa.schema([]))
    return rows.combine_chunks().to_batches()[0]


def _restore(scanner: Any, row: dict[str, Any]) -> _Given:  # noqa: ANN401 - a scanner with recovery points
    """Take what the program gives back, no more of it than there should be."""
    whole, head, tail, size = hashlib.sha256(), b"", b"", 0
    try:
        with scanner.restored(row["last_recovery_point"], names.unescape(f"{row['dir']}{row['name']}")) as blocks:
            for block in blocks:
                whole.update(block)
                head += block[: max(0, SAMPLE_BYTES - len(head))]
                tail, size = (tail + block[-SAMPLE_BYTES:])[-SAMPLE_BYTES:], size + len(block)
                if size > row["size_bytes"]:
                    break
    except (RunError, UnreachableError) as error:
        return _Given(bytes=size, error=f"it was not given back: {error}")
    if size == 0:
        return _Given()  # borg gives nothing of a further name of a hard link
    if size != row["size_bytes"]:
        told = "more" if size > row["size_bytes"] else f"only {size}"
        return _Given(bytes=size, error=f"it was not given back as it was stored: {told} of its {row['size_bytes']} bytes")
    return _Given(whole.digest(), hashlib.sha256(head + tail).digest() if size > SMALL_BYTES else None, size)


def _chunk(root: Path, place: Place, row: pa.RecordBatch) -> tuple[bytes | None, Chunk]:
    """A file as readings are kept for, with the digest that was known of it: of the newest reading, else of its storage."""
    import duckdb

    one = row.to_pylist()[0]
    keys = {name: one[name] for name in ("dir", "name", "size_bytes", "fs_id", "inode", "modified_at")}
    files, known, at = table.files(root, "digests"), None, None
    if files:
        with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
            [(known, at)] = connection.execute(_KNOWN, {**keys, "volume": place.scan.volume, "files": files}).fetchall()
    known, at = (known, at) if known is not None else (one["digest"], place.scan.started_at)
    columns = {name: row[name] for name in _GIVEN if name in row.schema.names}
    columns |= {"volume": pa.array([place.scan.volume]), "scan_id": pa.array([place.scan.scan_id]), "whole": pa.array([True])}
    columns |= {"digest_before": pa.array([known], pa.binary()), "digested_before_at": pa.array([at], pa.timestamp("us"))}
    return known, Chunk(place, pa.RecordBatch.from_pydict(columns), None)


def _record(
    root: Path,
    scan: ScanRow,
    row: dict[str, Any],
    *,
    same: bool,
    seed: int,
    times: Sequence[datetime.datetime],
    by: str,
    error: str | None,
) -> None:
    found = {
        "volume": scan.volume,
        "repository": scan.root_fs_id,
        "method": "restore",
        "recovery_point": row["last_recovery_point"],
        "started_at": times[0],
        "ended_at": times[1],
        "ok": same,
        "level": RESTORED,
        "errors": 0 if same else 1,
        "told": None if same else error or "it holds another content than it did",
        "seed": seed,
        "recorded_at": times[1],
        "recorded_by": by,
        **{name: row[name] for name in ("dir", "name", "fs_id", "inode", "size_bytes", "modified_at")},
    }
    table.append(root, "verifications", pa.Table.from_pylist([found], VERIFICATIONS), f"restore-{uuid.uuid4().hex}")
