"""Runs the statements of a derivation within its memory: what does not fit runs again in more of it where nobody set a limit, then in one thread."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from catalog.errors import CatalogError
from catalog.fields import size

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ROW_BYTES = 130  # of what we read ourselves, in the hash table of a join
_MOST_BUCKETS = 64


def limit_bytes(connection: "DuckDBPyConnection") -> int:
    """How much memory a connection may use."""
    [(text,)] = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    return max(1, int(str(size(text))))


def begin_with(connection: "DuckDBPyConnection", enough_bytes: int) -> None:
    """Have a connection use no more than what should be enough; where it is not, `execute` gives it more, up to what it could use before."""
    most = limit_bytes(connection)
    if enough_bytes < most:
        connection.execute(f"SET VARIABLE most_memory_bytes = {most}")
        connection.execute(f"SET memory_limit = '{enough_bytes}B'")


def execute(connection: "DuckDBPyConnection", query: str) -> list[tuple[Any, ...]]:
    """Run a statement that may be run again; gives its rows. Hash tables of several joins at once have to fit, and do not go to disk.

    Raises CatalogError where it does not fit in one thread either.
    """
    import duckdb

    try:
        return _in_more(connection, query)
    except duckdb.OutOfMemoryException as error:
        return _in_one_thread(connection, query, error)


def create_in_buckets(connection: "DuckDBPyConnection", name: str, query: str, keys: Mapping[str, str]) -> None:
    """Make a temporary table of a query, in as many buckets as memory asks for; where one does not fit, what is left is done in twice as many.

    `keys` has the sources that only meet where a number is equal, by their names, and that number's column: the last of them is what is held in memory.
    The query begins with its SELECT, and is the same for every bucket. Raises CatalogError as `execute` does.
    """
    import duckdb

    [(rows,)] = connection.execute(f"SELECT count(*) FROM {list(keys)[-1]}").fetchall()
    count = buckets(rows, limit_bytes(connection))
    waiting = list(range(count))
    what = f"CREATE OR REPLACE TEMP TABLE {name} AS"
    while waiting:
        number = waiting.pop()
        sources = ", ".join(f"{source} AS NOT MATERIALIZED ({_bucket(source, column, number, count)})" for source, column in keys.items())
        part = f"{what} {f'WITH {sources} ' if count > 1 else ''}{query}"
        try:
            _in_more(connection, part)
        except duckdb.OutOfMemoryException as error:
            if count < _MOST_BUCKETS:
                waiting = [half for one in (*waiting, number) for half in (one, one + count)]
                count *= 2
                continue
            _in_one_thread(connection, part, error)
        what = f"INSERT INTO {name}"


def buckets(rows: int, limit: int) -> int:
    """How many buckets a join of that many rows is begun in: each in a third of the memory, for the query has other joins."""
    return max(1, -(-rows * _ROW_BYTES // max(1, limit // 3)))


def _bucket(source: str, column: str, number: int, count: int) -> str:
    """A part of a source; what has no number is in the first one."""
    return f"SELECT * FROM {source} WHERE coalesce(({column} % {count} + {count}) % {count}, 0) = {number}"


def _in_more(connection: "DuckDBPyConnection", query: str) -> list[tuple[Any, ...]]:
    """Run a statement in ever more memory, as far as it goes. Raises DuckDB's OutOfMemoryException."""
    import duckdb

    while True:
        try:
            return connection.execute(query).fetchall()
        except duckdb.OutOfMemoryException:
            if not _more(connection):
                raise


def _more(connection: "DuckDBPyConnection") -> bool:
    """Double the memory, as far as it goes; whether there is more now."""
    now, most = limit_bytes(connection), connection.execute("SELECT getvariable('most_memory_bytes')").fetchall()[0][0]
    if most is None or now >= most:
        return False
    connection.execute(f"SET memory_limit = '{min(2 * now, most)}B'")
    return limit_bytes(connection) > now


def _in_one_thread(connection: "DuckDBPyConnection", query: str, first: Exception) -> list[tuple[Any, ...]]:
    import duckdb

    [(threads,)] = connection.execute("SELECT current_setting('threads')").fetchall()
    error = first
    if threads > 1:
        connection.execute("SET threads = 1")
        try:
            return connection.execute(query).fetchall()
        except duckdb.OutOfMemoryException as again:
            error = again
        finally:
            connection.execute(f"SET threads = {threads}")
    raise CatalogError(f"what is derived does not fit into {limit_bytes(connection) >> 20} MiB of memory; set [catalog] memory_limit higher") from error
