"""What of a loss survives only together with a key of which nobody says where it is kept."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports import terminal
from reports.alike import Alike
from reports.state import counted

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Keyless:
    """Assets whose every copy that survives needs a key, or may need one, that is kept nobody says where, or where only such a key opens.

    `volumes` names those that lack a `key_on`.
    """

    volumes: tuple[str, ...]
    assets: int
    bytes: int

    def text(self) -> str:
        """A line for people."""
        where = f"nobody says where that of {', '.join(self.volumes)} is kept (declare 'key_on')"
        return f"  of what survives, {counted(self.assets, 'asset')} ({terminal.size(self.bytes)}) only as long as a key does, too: {where}"


def found(connection: "duckdb.DuckDBPyConnection", alike: Alike) -> Keyless:
    """Reads what `simulate` knows of a loss while it runs."""
    rows = connection.execute(
        f"""
        WITH held AS (
            SELECT o.alike_no, o.assets, o.bytes, list_sort(list_distinct(flatten(list(r.keyless)))) AS places
            FROM loss_outcomes AS o
            INNER JOIN ({alike.testimonies}) AS t ON o.alike_no = t.alike_no
            INNER JOIN loss_reach AS r ON o.volume = r.volume AND t.copy_volume = r.copy_volume AND o.data_class = r.data_class AND t.lock = r.lock
            WHERE o.original < 2 AND o.copies = 2 AND least(t.usable, 2 - r.removed) = 2
            GROUP BY o.alike_no, o.assets, o.bytes
            HAVING bool_and(len(r.keyless) > 0)
        )
        SELECT places, sum(assets), sum(bytes) FROM held GROUP BY places
        """
    ).fetchall()
    return Keyless(
        tuple(sorted({place for places, _, _ in rows for place in places})), sum(int(assets) for _, assets, _ in rows), sum(int(size) for _, _, size in rows)
    )
