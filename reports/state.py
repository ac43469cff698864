"""What every answer must say of itself: its snapshot, how old each volume's scan is, and the share that is unknown."""

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class VolumeState:
    """How well one volume is known. `scanned_at` is null if no scan of it ever succeeded."""

    volume: str
    state: str
    scanned_at: datetime.datetime | None
    problems: int
    last_error: str | None


@dataclass(frozen=True)
class State:
    """The snapshot that an answer is for, and how complete it is.

    Parts of `assets` and `asset_bytes` are `unknown_*`, whose status is unknown, and `threat_unknown_*`, of which the answer to at least one threat is:
    whatever their status.
    """

    snapshot_id: str
    as_of: datetime.datetime
    complete: bool
    volumes: tuple[VolumeState, ...]
    assets: int
    asset_bytes: int
    unknown_assets: int
    unknown_bytes: int
    threat_unknown_assets: int
    threat_unknown_bytes: int

    @property
    def warnings(self) -> list[str]:
        """A sentence for each volume that is not wholly and newly known."""
        found = []
        for volume in self.volumes:
            if volume.scanned_at is None:
                failed = f"; its scan failed: {volume.last_error}" if volume.last_error else ""
                found.append(f"volume {volume.volume} was never scanned: what it holds is unknown{failed}")
            elif volume.state != "complete":
                known = f"the scan of {day(volume.scanned_at)} is {volume.state}, {counted(volume.problems, 'problem')}"
                found.append(f"volume {volume.volume}: {known}: a part of it is unknown")
            if volume.last_error and volume.scanned_at is not None:
                found.append(f"volume {volume.volume}: a newer scan failed: {volume.last_error}")
        return found

    def meta(self) -> dict[str, Any]:
        """What goes beside the data into files: plain JSON values."""
        return {
            "snapshot": self.snapshot_id,
            "as_of": iso(self.as_of),
            "complete": self.complete,
            "assets": self.assets,
            "asset_bytes": self.asset_bytes,
            "unknown_assets": self.unknown_assets,
            "unknown_bytes": self.unknown_bytes,
            "threat_unknown_assets": self.threat_unknown_assets,
            "threat_unknown_bytes": self.threat_unknown_bytes,
            "volumes": [
                {"volume": v.volume, "state": v.state, "scanned_at": iso(v.scanned_at) if v.scanned_at else None, "problems": v.problems} for v in self.volumes
            ],
            "warnings": self.warnings,
        }


def read(connection: "duckdb.DuckDBPyConnection") -> State:
    """The state of the snapshot that a connection reads."""
    [snapshot] = connection.execute("SELECT snapshot_id, as_of, complete FROM snapshot").fetchall()
    volumes = connection.execute("SELECT volume, state, scanned_at, coalesce(problems, 0), last_error FROM volumes ORDER BY position, volume").fetchall()
    [sums] = connection.execute(
        "SELECT coalesce(sum(assets), 0), coalesce(sum(asset_bytes), 0), coalesce(sum(unknown_assets), 0), coalesce(sum(unknown_bytes), 0) "
        "FROM history WHERE snapshot_id = $snapshot_id",
        {"snapshot_id": snapshot[0]},
    ).fetchall()
    [doubtful] = connection.execute(
        "SELECT count(*), coalesce(sum(counted_bytes), 0) FROM assets WHERE 'unknown' IN (user_error, ransomware, system_failure, facility_outage)"
    ).fetchall()
    return State(snapshot[0], snapshot[1], bool(snapshot[2]), tuple(VolumeState(*row) for row in volumes), *map(int, (*sums, *doubtful)))


def iso(moment: datetime.datetime) -> str:
    """A naive UTC time as ISO 8601 with its Z."""
    return moment.isoformat() + "Z"


def day(moment: datetime.datetime) -> str:
    """A naive UTC time for people, to the minute."""
    return moment.strftime("%Y-%m-%d %H:%M")


def age(earlier: datetime.datetime, later: datetime.datetime) -> str:
    """The time between two moments in the greatest unit that it fills: '3 d', '7 h', '12 min'."""
    seconds = max(0, int((later - earlier).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def counted(number: int, noun: str) -> str:
    """So many things: '1 problem', '7 problems', '1,000 copies', '2 entries'."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"


def percent(part: int, whole: int) -> str:
    """A share to one decimal, rounded down; what is above zero never reads as nothing."""
    if not whole:
        return "–"  # noqa: RUF001  # a dash stands for: nothing to divide
    thousandths = part * 1000 // whole
    return "< 0.1 %" if part and not thousandths else f"{thousandths // 10}.{thousandths % 10} %"
