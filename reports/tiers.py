"""Which copies lie in an archive of their store, where nothing can be read before it was asked back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_IS_COLD = "storage_class IN ('GLACIER', 'DEEP_ARCHIVE')"
_STATES = {"restoring": "it is on its way back", "restored": "it is back for a time"}


def any_in(connection: "duckdb.DuckDBPyConnection", volume: str) -> bool:
    """Whether a volume has objects in an archive of its store."""
    query = f"SELECT 1 FROM entries WHERE volume = $volume AND {_IS_COLD} LIMIT 1"
    return connection.execute(query, {"volume": volume}).fetchone() is not None


def asleep(connection: "duckdb.DuckDBPyConnection", files: str) -> list[tuple[str, int, int]]:
    """Volumes with files and bytes, of a table with a volume and a path: objects in an archive of their store of which no scan knows that they come back."""
    found = connection.execute(
        f"SELECT e.volume, count(*), sum(e.size_bytes) FROM entries AS e INNER JOIN {files} AS f ON e.volume = f.volume AND e.path = f.path "
        f"WHERE e.{_IS_COLD} AND e.restore_state IS NULL AND e.size_bytes > 0 AND e.is_latest IS DISTINCT FROM FALSE GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return [(volume, int(count), int(size_bytes)) for volume, count, size_bytes in found]


def told(connection: "duckdb.DuckDBPyConnection", volume: str, entry_id: int) -> str | None:
    """A phrase of an entry that is an object in an archive of its store, by its class; None for what can be read at once, as far as is known."""
    row = connection.execute(
        f"SELECT storage_class, restore_state FROM entries WHERE volume = $volume AND entry_id = $entry_id AND {_IS_COLD}",
        {"volume": volume, "entry_id": entry_id},
    ).fetchone()
    if row is None:
        return None
    return f"in an archive of its store ({row[0]}): {_STATES.get(row[1], 'it must be asked back there before it can be read')}"
