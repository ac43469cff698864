"""Files by name on every volume, shelved media too, with what is known of their protection."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

UNITS = {"size_bytes": "bytes", "modified_at": "UTC", "scanned_at": "UTC", "other_copies": "count"}


def find(connection: "duckdb.DuckDBPyConnection", pattern: str, limit: int | None = None) -> "duckdb.DuckDBPyRelation":
    """The files whose path holds the pattern, in any case, or, with * or ?, whose whole path or name is like it (* also crosses '/').

    The pattern is in the escaped form of names. One row a file, by volume and path: what it is, where it is kept, its status, what else holds it.
    """
    most = f"LIMIT {int(limit)}" if limit is not None else ""
    found = connection.sql(
        f"""
        SELECT
            files.volume,
            files.path,
            files.size_bytes,
            files.modified_at,
            files.role,
            volumes.access,
            files.status,
            files.data_class,
            files.other_copies,
            files.is_last_copy,
            files.carried,
            volumes.scanned_at
        FROM files
        INNER JOIN volumes ON files.volume = volumes.volume
        WHERE {_condition(connection, pattern)}
        ORDER BY volumes.position, files.path
        {most}
        """,
        params={"pattern": _like(pattern) if _is_glob(pattern) else pattern.lower()},
    )
    assert found is not None  # noqa: S101  # a SELECT gives a relation
    return found


def _condition(connection: "duckdb.DuckDBPyConnection", pattern: str) -> str:
    if not _is_glob(pattern):
        if "/" in pattern:
            return "contains(lower(files.path), $pattern)"
        named = "contains(lower(files.name), $pattern)"
        return f"({named} OR contains(lower(files.dir), $pattern))" if _is_in_a_folder(connection, pattern) else named
    matched = "files.path" if "/" in pattern else "files.name"
    return f"{matched} ILIKE $pattern ESCAPE '!'"


def _is_in_a_folder(connection: "duckdb.DuckDBPyConnection", pattern: str) -> bool:
    """Whether the path of any folder has it: there are far fewer of them than of files, whose folders need not be looked at then."""
    query = """SELECT 1 FROM rollup WHERE "by" = 'folder' AND contains(lower("key"), $pattern) LIMIT 1"""
    return bool(connection.execute(query, {"pattern": pattern.lower()}).fetchall())


def _is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _like(pattern: str) -> str:
    for special in "!%_":
        pattern = pattern.replace(special, f"!{special}")
    return pattern.replace("*", "%").replace("?", "_")
