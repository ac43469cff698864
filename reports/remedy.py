"""What a plan may do against a loss: where copies would be safe from it, and the condition that picks the files to copy there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catalog.derive.expressions import quoted

if TYPE_CHECKING:
    import duckdb

REPORT = "unprotected"  # whose rows such a plan takes
_THREATS = {
    "site": "facility_outage",
    "region": "facility_outage",
    "system": "system_failure",
    "device": "system_failure",
    "volume": "system_failure",
    "key": "system_failure",
    "admin": "ransomware",
}


@dataclass(frozen=True)
class Target:
    """A volume that a loss surely does not reach, and the volumes, hit by it, whose files it may protect."""

    volume: str
    access: str | None
    protects: tuple[str, ...]


def targets(connection: "duckdb.DuckDBPyConnection") -> tuple[Target, ...]:
    """Where copies would be safe, what can be reached at once first. Reads what `simulate` knows of the loss while it runs."""
    rows = connection.execute(
        """
        WITH hit AS (SELECT DISTINCT volume, data_class FROM loss_outcomes WHERE outcome <> 'survives'),
        safe AS (
            SELECT r.volume, r.copy_volume
            FROM loss_reach AS r
            INNER JOIN hit AS h ON r.volume = h.volume AND r.data_class = h.data_class
            WHERE r.copy_volume <> r.volume
            GROUP BY r.volume, r.copy_volume
            HAVING max(r.removed) = 0
        )
        SELECT s.copy_volume, v.access, s.volume
        FROM safe AS s
        INNER JOIN volumes AS v ON s.copy_volume = v.volume
        INNER JOIN volumes AS o ON s.volume = o.volume
        WHERE v.role IN ('backup', 'archive')
        ORDER BY CASE v.access WHEN 'online' THEN 1 WHEN 'nearline' THEN 2 WHEN 'offline' THEN 4 ELSE 3 END, v.position, o.position
        """
    ).fetchall()
    found: dict[tuple[str, str | None], list[str]] = {}
    for volume, access, hit in rows:
        found.setdefault((volume, access), []).append(hit)
    return tuple(Target(volume, access, tuple(hit)) for (volume, access), hit in found.items())


def threat_of(kinds: Sequence[str], threat: str | None) -> str:
    """The threat whose answer tells which files a loss may take: all that it takes are among those that do not surely survive this one."""
    return threat or next((_THREATS[kind] for kind in kinds if kind in _THREATS), "system_failure")


def condition(threat: str, volumes: Sequence[str]) -> str:
    """The condition over the rows of `unprotected`: files of these volumes that do not surely survive, and whose loss nobody accepted."""
    named = ", ".join(map(quoted, volumes))
    return f"volume IN ({named}) AND {threat} <> 'yes' AND status <> 'excepted'"
