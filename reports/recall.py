"""How what a loss takes is brought back: from which volumes, which of them must be fetched first, and how long that takes at their declared rates."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from catalog.config import Config
from catalog.volumes import Volume
from reports import terminal, tiers
from reports.alike import Alike

if TYPE_CHECKING:
    import duckdb

_CLASSES = {"online": "online", "nearline": "nearline", "offline": "shelf"}
_SECONDS = 3600


@dataclass(frozen=True)
class Source:
    """What is brought back from one volume. Of several that hold the content of a file the one that is reached soonest is taken."""

    volume: str
    recall: str  # online | nearline | shelf: somebody must fetch the medium | unknown: nobody declared how it is reached
    assets: int
    bytes: int
    older_assets: int  # of these, in an older version than the one that is lost
    wait_hours: float | None  # until it can be read; None = not declared
    hours: float | None  # until all of it is read; None = its rate, or that wait, is not declared

    def text(self) -> str:
        """A line for people."""
        if self.hours is None:
            lacking = "restore_bytes_per_second" if self.wait_hours is not None else "wait"
            took = f"time unknown: declare '{lacking}'"
        else:
            took = f"{self.hours:,.1f} hours" + (f", {self.wait_hours:,.1f} of them until it can be read" if self.wait_hours else "")
        return f"  {self.recall:<9}{self.volume:<24}{self.assets:>14,} {'asset ' if self.assets == 1 else 'assets'}  {terminal.size(self.bytes):>12}  {took}"


def sources(connection: "duckdb.DuckDBPyConnection", alike: Alike, config: Config) -> tuple[Source, ...]:
    """Where what may be lost and surely survives as a copy is brought back from, what is reached soonest first. A volume that has objects in an archive of
    its store is none that is read at once, whatever is declared.

    The content itself comes before an older version of it. Reads what `simulate` knows of the loss while it runs.
    """
    rows = connection.execute(
        f"""
        WITH places AS (
            SELECT
                o.assets,
                o.bytes,
                t.copy_volume,
                t.is_current,
                v.access,
                v.position,
                CASE v.access WHEN 'online' THEN 1 WHEN 'nearline' THEN 2 WHEN 'offline' THEN 4 ELSE 3 END AS distance,
                row_number() OVER (
                    PARTITION BY o.alike_no
                    ORDER BY
                        t.is_current DESC,
                        CASE v.access WHEN 'online' THEN 1 WHEN 'nearline' THEN 2 WHEN 'offline' THEN 4 ELSE 3 END,
                        v.position
                ) AS place
            FROM loss_outcomes AS o
            INNER JOIN ({alike.testimonies}) AS t ON o.alike_no = t.alike_no
            INNER JOIN loss_reach AS r ON o.volume = r.volume AND t.copy_volume = r.copy_volume AND o.data_class = r.data_class AND t.lock = r.lock
            INNER JOIN volumes AS v ON t.copy_volume = v.volume
            WHERE o.original < 2 AND o.copies = 2 AND least(t.usable, 2 - r.removed) = 2
        )
        SELECT copy_volume, access, sum(assets), sum(bytes), coalesce(sum(assets) FILTER (WHERE NOT is_current), 0)
        FROM places
        WHERE place = 1
        GROUP BY copy_volume, access, distance, position
        ORDER BY distance, position
        """
    ).fetchall()
    cold = {volume for volume, access, *_ in rows if access == "online" and tiers.any_in(connection, volume)}
    return tuple(
        _source(config.volumes[volume], volume, "nearline" if volume in cold else access, int(assets), int(size), int(older))
        for volume, access, assets, size, older in rows
    )


def hours(found: tuple[Source, ...]) -> float | None:
    """How long all of it takes where all volumes are read at once; None where that is not known of one."""
    each = [one.hours for one in found]
    return None if None in each else max((one for one in each if one is not None), default=0.0)


def _source(declared: Volume, volume: str, access: str | None, assets: int, size_bytes: int, older: int) -> Source:
    wait = declared.wait if declared.wait is not None else 0.0 if access == "online" else None
    rate = declared.restore_bytes_per_second
    wait_hours = None if wait is None else wait / _SECONDS
    read_hours = 0.0 if not size_bytes else size_bytes / rate / _SECONDS if rate else None
    both = None if wait_hours is None or read_hours is None else wait_hours + read_hours
    return Source(volume, _CLASSES.get(access or "", "unknown"), assets, size_bytes, older, wait_hours, both)
