"""Which recovery points bring back what a loss takes, as it was before a moment: file by file, and put together for each volume.

A recovery point counts if it ended by that moment (one that does not tell its end: if it was begun by then), and if its backup surely survives the
loss. A version is taken to have been there from the first to the last point that holds it. Versions that could not be read, or were carried over from
an earlier scan, bring nothing back. Nobody compares contents: whoever restores looks first.
"""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog.config import Config
from reports import cells, simulate, terminal
from reports.reach import Loss
from reports.state import counted, day, iso

if TYPE_CHECKING:
    import duckdb

UNITS = {"size_bytes": "bytes", "version_bytes": "bytes", "behind_hours": "hours"}

# Of each path on a volume that is hit: of all versions that the points up to the moment hold the one of the newest point, then the latest written.
_FOUND = """
WITH hit AS (
    SELECT volume, data_class FROM loss_reach WHERE volume = copy_volume AND removed > 0
),

safe AS (
    SELECT volume, copy_volume FROM loss_reach
    WHERE volume <> copy_volume AND volume IN (SELECT volume FROM hit)
    GROUP BY volume, copy_volume HAVING max(removed) = 0
),

points AS (
    SELECT *, coalesce(ended_at, started_at) <= $before AS is_before,
        row_number() OVER (
            PARTITION BY volume, host, paths, coalesce(ended_at, started_at) <= $before ORDER BY started_at DESC, recovery_point DESC
        ) AS place
    FROM recovery_points
),

held AS (
    SELECT
        m.volume,
        concat(m.folder, substring(e.path, length(m.copy_folder) + 1)) AS path,
        m.folder,
        e.volume AS copy_volume,
        e.path AS copy_path,
        e.size_bytes AS version_bytes,
        e.modified_at AS version_modified_at,
        CASE WHEN last.is_before THEN last.recovery_point ELSE newest.recovery_point END AS recovery_point,
        CASE WHEN last.is_before THEN last.started_at ELSE newest.started_at END AS point_at,
        NOT last.is_before OR last.place = 1 AS is_newest
    FROM entries AS e
    INNER JOIN mappings AS m ON e.volume = m.copy_volume AND starts_with(e.path, m.copy_folder)
    INNER JOIN safe AS s ON m.volume = s.volume AND m.copy_volume = s.copy_volume
    INNER JOIN points AS first ON e.volume = first.volume AND e.first_recovery_point = first.recovery_point
    INNER JOIN points AS last ON e.volume = last.volume AND e.last_recovery_point = last.recovery_point
    LEFT JOIN points AS newest
        ON e.volume = newest.volume AND first.host = newest.host AND first.paths = newest.paths AND newest.is_before AND newest.place = 1
    WHERE
        e.type = 'file' AND e.carried_from IS NULL AND first.is_before
        AND (e.modified_at IS NULL OR e.modified_at <= $before)
        AND NOT EXISTS (SELECT 1 FROM problems AS p WHERE p.volume = e.volume AND p.path = e.path AND p.inode IS NULL)
        AND NOT EXISTS (SELECT 1 FROM problems AS p WHERE p.volume = e.volume AND p.inode = e.inode)
),

best AS (
    SELECT h.*
    FROM held AS h
    INNER JOIN volumes AS v ON h.copy_volume = v.volume
    WHERE NOT EXISTS (
        SELECT 1 FROM mappings AS o
        WHERE o.volume = h.volume AND o.copy_volume = h.copy_volume AND length(o.folder) > length(h.folder) AND starts_with(h.path, o.folder)
    )
    QUALIFY row_number() OVER (PARTITION BY h.volume, h.path ORDER BY h.point_at DESC, h.version_modified_at DESC NULLS LAST, v.position, h.copy_path) = 1
),

lost AS (
    SELECT a.volume, a.path, a.size_bytes, a.modified_at, a.data_class
    FROM assets AS a
    INNER JOIN hit AS h ON a.volume = h.volume AND a.data_class = h.data_class
)

SELECT
    coalesce(l.volume, b.volume) AS volume,
    coalesce(l.path, b.path) AS path,
    l.path IS NOT NULL AS is_lost,
    l.size_bytes,
    l.data_class,
    b.copy_volume,
    b.recovery_point,
    b.point_at,
    b.copy_path,
    b.version_bytes,
    b.version_modified_at,
    l.path IS NOT NULL AND b.version_bytes = l.size_bytes AND b.version_modified_at = l.modified_at AS is_same,
    CASE
        WHEN b.point_at IS NOT NULL AND NOT coalesce(l.path IS NOT NULL AND b.version_bytes = l.size_bytes AND b.version_modified_at = l.modified_at, FALSE)
            THEN (epoch_ms($before) - epoch_ms(b.point_at)) / 3600000.0
    END AS behind_hours
FROM lost AS l
FULL OUTER JOIN best AS b ON l.volume = b.volume AND l.path = b.path
WHERE l.path IS NOT NULL OR b.is_newest
"""


@dataclass(frozen=True)
class Point:
    """What one recovery point brings back of one volume. `recovery_point` is None for what no recovery point has."""

    volume: str
    copy_volume: str | None
    recovery_point: str | None
    point_at: datetime.datetime | None
    assets: int  # of what is lost
    bytes: int  # of these, as it has them; of what none brings back as it is now
    same_assets: int  # of these, those of the size and time that they have now
    gone: int  # files beside these that it has, and the volume had no more
    behind_hours: float | None  # from its begin to the moment: how much work is lost of what is not the same; None = nothing is

    def text(self) -> str:
        """A line for people."""
        files = f"{self.assets:>14,} {'asset ' if self.assets == 1 else 'assets'}  {terminal.size(self.bytes):>12}"
        if self.recovery_point is None or self.point_at is None:
            return f"  {self.volume:<20}{files}  no recovery point has them"
        behind = "" if self.behind_hours is None else f", {counted(self.assets - self.same_assets, 'asset')} as {self.behind_hours:,.1f} hours before"
        more = f"; {self.gone:,} more that were gone" if self.gone else ""
        return f"  {self.volume:<20}{files}  {self.copy_volume} {self.recovery_point[:16]} of {day(self.point_at)}{behind}{more}"


@dataclass(frozen=True)
class Rollback:
    """Where a loss is rolled back to: the recovery points of each volume that it hits, the newest first."""

    loss: str
    title: str
    snapshot: str
    before: datetime.datetime
    points: tuple[Point, ...]

    def data(self) -> dict[str, Any]:
        """Plain JSON values."""
        return (
            asdict(self)
            | {"before": self.before.isoformat() + "Z"}
            | {"points": [asdict(one) | {"point_at": one.point_at and iso(one.point_at)} for one in self.points]}
        )

    def text(self) -> str:
        """For people."""
        lines = [f"{self.title}, rolled back to before {day(self.before)} UTC (snapshot {self.snapshot})", ""]
        lines += [one.text() for one in self.points] or ["  nothing is lost"]
        return "\n".join(cells.clean(line) for line in lines) + "\n"


def rollback(connection: "duckdb.DuckDBPyConnection", config: Config, loss: Loss, before: datetime.datetime) -> Rollback:
    """The recovery points to roll back to, by volume. `before` is naive UTC. Raises as `simulate`."""
    simulate.refuse_a_part(connection)
    [(snapshot_id,)] = connection.execute("SELECT snapshot_id FROM snapshot").fetchall()
    with simulate.worked_out(connection, config, loss):
        return Rollback(str(loss), loss.title, snapshot_id, before, _points(connection, before))


def files(connection: "duckdb.DuckDBPyConnection", config: Config, loss: Loss, before: datetime.datetime) -> pa.Table:
    """One row a file that is lost, or that the newest recovery point has and the volume had no more (`is_lost` false). Raises as `simulate`."""
    simulate.refuse_a_part(connection)
    with simulate.worked_out(connection, config, loss), _found(connection, before):
        found = connection.sql("SELECT * FROM loss_rollback ORDER BY volume, path")
        assert found is not None  # noqa: S101  # a SELECT gives a relation
        return found.to_arrow_table()


def _points(connection: "duckdb.DuckDBPyConnection", before: datetime.datetime) -> tuple[Point, ...]:
    with _found(connection, before):
        rows = connection.execute(
            """
            SELECT
                volume, copy_volume, recovery_point, point_at,
                count(*) FILTER (WHERE is_lost),
                coalesce(sum(coalesce(version_bytes, size_bytes)) FILTER (WHERE is_lost), 0),
                count(*) FILTER (WHERE is_same),
                count(*) FILTER (WHERE NOT is_lost),
                max(behind_hours) FILTER (WHERE is_lost)
            FROM loss_rollback GROUP BY 1, 2, 3, 4 ORDER BY volume, point_at DESC NULLS LAST, copy_volume, recovery_point
            """
        ).fetchall()
    return tuple(
        Point(volume, copy_volume, point, at, int(found), int(size), int(same), int(gone), None if behind is None else float(behind))
        for volume, copy_volume, point, at, found, size, same, gone, behind in rows
    )


def moment(text: str) -> datetime.datetime:
    """A time as naive UTC: '2026-11-20', '2026-11-20T14:00', or with a zone. Raises ConfigError."""
    from catalog.errors import ConfigError

    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--before {text!r}: write a time as 2026-11-20T14:00Z; without a zone it is UTC") from error
    return found.astimezone(datetime.UTC).replace(tzinfo=None) if found.tzinfo else found


@contextmanager
def _found(connection: "duckdb.DuckDBPyConnection", before: datetime.datetime) -> Iterator[None]:
    said: dict[str, Any] = {"before": before}
    connection.execute(f"CREATE OR REPLACE TEMP TABLE loss_rollback AS {_FOUND}", said)
    try:
        yield
    finally:
        connection.execute("DROP TABLE loss_rollback")
