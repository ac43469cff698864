"""Snapshots: the catalog at a time, and the scans that it rests on."""

import datetime
import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import config, fields, table
from catalog.errors import NotFoundError
from catalog.schema import SNAPSHOTS

# A day, or a time with a zone or without one (ISO 8601); weeks are neither.
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?P<minute>[T ]\d\d:\d\d(?P<second>:\d\d(?P<parts>\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_UNITS = {"parts": datetime.timedelta(microseconds=1), "second": datetime.timedelta(seconds=1), "minute": datetime.timedelta(minutes=1)}

_configuration = functools.lru_cache(maxsize=16)(config.restore)  # most snapshots hold the same one


SINCE = "changes_since"  # in the options of a scan by a list of changes: the id of the scan that it goes on from


@dataclass(frozen=True)
class ScanRow:
    """The published row of a scan; times are naive UTC, see `schema.SCANS` for the columns."""

    scan_id: str
    volume: str
    kind: str
    state: str
    started_at: datetime.datetime
    finished_at: datetime.datetime
    entries: int
    files: int
    bytes: int
    carried_entries: int
    problems: int
    excluded: int
    root_fs_id: str | None
    device: str | None
    clock: str | None
    capacity_bytes: int | None
    free_bytes: int | None
    previous_scan_id: str | None
    error: str | None
    host: str | None
    lastcopy_version: str | None
    options: str | None
    evidence_at: datetime.datetime | None = None

    @property
    def known_at(self) -> datetime.datetime:
        """The time that what it says is of: its start, that of the listing which it read, or of the whole scan that lists of changes go on from."""
        return self.evidence_at or self.started_at

    @property
    def is_by_list(self) -> bool:
        """Whether only what a list named was looked at, and all else is of the scan before."""
        return SINCE in json.loads(self.options or "{}")

    @property
    def is_hearsay(self) -> bool:
        """Whether others told it, and nobody looked."""
        return self.evidence_at is not None and not self.is_by_list


@dataclass(frozen=True)
class Snapshot:
    """The newest good scan of each volume at a time, the configuration that held, and the versions of every table."""

    snapshot_id: str
    as_of: datetime.datetime
    previous_id: str | None
    complete: bool
    scans: Mapping[str, str]  # volume -> scan id
    versions: Mapping[str, int]  # table -> Delta version
    config: config.Config
    config_hash: str
    label_tables: Mapping[int, str]  # place in config.labels -> hash of the imported rows
    lastcopy_version: str

    def row(self) -> pa.Table:
        """The one row of the `snapshots` table that publishes this snapshot."""
        return pa.Table.from_pylist(
            [
                {
                    "snapshot_id": self.snapshot_id,
                    "as_of": self.as_of,
                    "previous_snapshot_id": self.previous_id,
                    "complete": self.complete,
                    "scans": json.dumps(dict(self.scans)),
                    "versions": json.dumps(dict(self.versions)),
                    "config": self.config.stored(),
                    "config_hash": self.config_hash,
                    "label_tables": json.dumps(dict(self.label_tables)),
                    "lastcopy_version": self.lastcopy_version,
                }
            ],
            SNAPSHOTS,
        )


def scans(root: Path, version: int | None = None) -> list[ScanRow]:
    """Every published scan, good or failed, oldest first."""
    rows = table.read(root, "scans", version=version).to_pylist()
    return sorted((ScanRow(**row) for row in rows), key=lambda scan: (scan.started_at, scan.scan_id))


def newest_scans(root: Path, version: int | None = None) -> dict[str, ScanRow]:
    """Of each volume the newest scan that is complete or incomplete. A look-up in `scans`: entries are not read.

    The newest is the one that no other scan followed: a scan made while the clock was ahead does not hide those after it.
    """
    return newest_of(scans(root, version))


def newest_of(known: Sequence[ScanRow]) -> dict[str, ScanRow]:
    """As `newest_scans`, of those scans, oldest first."""
    good = [scan for scan in known if scan.state != "failed"]
    followed = {scan.previous_scan_id for scan in good}
    return {scan.volume: scan for scan in good} | {scan.volume: scan for scan in good if scan.scan_id not in followed}


def failed_since(root: Path) -> dict[str, ScanRow]:
    """Of each volume its last scan, where that failed: what is known of the volume is older."""
    last = {scan.volume: scan for scan in scans(root)}
    return {volume: scan for volume, scan in last.items() if scan.state == "failed"}


def entry_files(root: Path, scan_id: str, volume: str) -> list[str]:
    """The Parquet files that hold the entries of one published scan, if it is stored whole: the newest good one of a volume always is. See `former`."""
    return table.files(root, "entries", scan_id=[scan_id], volume=[volume])


def snapshots(root: Path, version: int | None = None) -> list[Snapshot]:
    """Every published snapshot, oldest first."""
    found = [_snapshot(row) for row in table.read(root, "snapshots", version=version).to_pylist()]
    return sorted(found, key=lambda snapshot: (snapshot.as_of, snapshot.snapshot_id))


def newest(known: Sequence[Snapshot]) -> Snapshot:
    """The snapshot of some, oldest first, that no other one followed, whatever the clock said."""
    followed = {snapshot.previous_id for snapshot in known}
    return next((snapshot for snapshot in reversed(known) if snapshot.snapshot_id not in followed), known[-1])


def find(root: Path, wanted: str | None = None) -> Snapshot:
    """The snapshot of a catalog that is meant by a text, see `among`. Raises NotFoundError."""
    known = snapshots(root)
    if not known:
        raise NotFoundError(f"{root}: no snapshot yet; run 'lastcopy scan'")
    return among(known, wanted)


def among(known: Sequence[Snapshot], wanted: str | None = None) -> Snapshot:
    """Of some snapshots, oldest first, the one that is meant: the newest (None, 'latest'), or by its id.

    By a day ('2026-10-31') it is the newest that was made by its end in UTC, by a time ('2026-10-31T14:00+02:00', without a zone in UTC) the newest
    by the end of that minute, by an age ('24h') the newest that was so old when the newest of all was made. Raises NotFoundError.
    """
    last = newest(known)
    if wanted in (None, "latest"):
        return last
    named = next((snapshot for snapshot in known if snapshot.snapshot_id == wanted), None)
    if named is not None:
        return named
    until, ends = before(str(wanted), last.as_of), f"the oldest is {_told(known[0])}, the newest {_told(last)}"
    if until is None:
        raise NotFoundError(f"there is no snapshot {wanted!r}, and it is no day (2026-10-31), time (2026-10-31T14:00Z) or age (24h); {ends}")
    earlier = [snapshot for snapshot in known if snapshot.as_of < until]
    if not earlier:
        raise NotFoundError(f"there is no snapshot of {wanted} or before; {ends}")
    return newest(earlier)


def before(text: str, newest_as_of: datetime.datetime) -> datetime.datetime | None:
    """The naive UTC time before which a snapshot that is asked for by its time was made; None where the text is no time.

    A day, a minute and a second mean their end: as people see them, the snapshot of that minute is one of them.
    """
    try:
        if re.fullmatch(r"\d+(\.\d+)?[smhdwy]", text):
            return newest_as_of - datetime.timedelta(seconds=float(str(fields.duration(text)))) + datetime.timedelta(microseconds=1)
        if not (found := _TIME.fullmatch(text.removesuffix(" UTC"))):
            return None
        moment = datetime.datetime.fromisoformat(found[0])
        precise = next((unit for part, unit in _UNITS.items() if found[part]), datetime.timedelta(days=1))
        return (moment.astimezone(datetime.UTC).replace(tzinfo=None) if moment.tzinfo else moment) + precise
    except (ValueError, OverflowError):
        return None


def _told(snapshot: Snapshot) -> str:
    return f"{snapshot.snapshot_id} of {snapshot.as_of:%Y-%m-%d %H:%M} UTC"


def _snapshot(row: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        snapshot_id=row["snapshot_id"],
        as_of=row["as_of"],
        previous_id=row["previous_snapshot_id"],
        complete=row["complete"],
        scans=json.loads(row["scans"]),
        versions=json.loads(row["versions"]),
        config=_configuration(row["config"]),
        config_hash=row["config_hash"],
        label_tables={int(place): digest for place, digest in json.loads(row["label_tables"]).items()},
        lastcopy_version=row["lastcopy_version"],
    )
