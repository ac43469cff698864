"""Assets of one volume that every loss treats alike: of one class, owner and verdict, with matches of one kind on the same volumes.

There are some thousand such sets where there are millions of assets: a loss is worked out for the sets, which are found once a snapshot.
What the volumes that may hold copies say of an asset is put into words of ten bits a volume, as many words as the estate needs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from catalog import domains
from catalog.config import Config

if TYPE_CHECKING:
    import duckdb

_COLUMNS = ("volume", "entry_id", "dir", "name", "size_bytes", "counted_bytes", "data_class", "label_owner", "file_owner", "signature_no", "carried")
COLUMNS = ", ".join(f"f.{name}" for name in _COLUMNS)  # what is asked of a file
_BITS = 10  # of what one volume says
_PER_WORD = 6  # volumes in a signed 64-bit word
_MATCHED, _USABLE, _PERHAPS_USABLE, _CURRENT, _OLDER, _CONFLICT, _LOCK = (1 << bit for bit in range(7))  # the last four bits are the number of a lock
_THREE = "WHEN 'yes' THEN 2 WHEN 'unknown' THEN 1 ELSE 0"
_CODE = f"""CAST({_MATCHED}
    + CASE c.usable WHEN 'yes' THEN {_USABLE} WHEN 'unknown' THEN {_PERHAPS_USABLE} ELSE 0 END
    + CASE WHEN c.is_current AND c.match <> 'older' THEN {_CURRENT} ELSE 0 END
    + CASE c.match WHEN 'older' THEN {_OLDER} WHEN 'conflict' THEN {_CONFLICT} ELSE 0 END
    + CASE WHEN c.lock_outlasts IS NULL THEN 0 ELSE {_LOCK} * (1 + 3 * CASE c.lock_outlasts {_THREE} END + CASE c.lock_binds {_THREE} END) END AS BIGINT)"""
_PLACES = pa.schema([("volume", pa.string()), ("position", pa.int32()), ("copy_volume", pa.string()), ("word", pa.int32()), ("shift", pa.int32())])


@dataclass(frozen=True)
class Alike:
    """How many words the sets of an estate have, and the SQL about them."""

    words: int

    @property
    def keys(self) -> str:
        """The columns that tell one set from another."""
        return ", ".join(["volume", "data_class", "owner", "signature_no", "carried", *(f"word_{number}" for number in range(self.words))])

    def assets(self, chosen: str = "stored_files", copies: str = "copies") -> str:
        """A query for assets with the keys of their sets; `chosen` is where they are taken from, `copies` the matches of at least these."""
        numbers = range(self.words)
        words = [f"bit_or(CASE WHEN p.word = {number} THEN {_CODE} << p.shift ELSE 0 END) AS word_{number}" for number in numbers]
        return f"""
        SELECT
            {COLUMNS},
            coalesce(f.label_owner, f.file_owner, '') AS owner,
            {", ".join(f"coalesce(m.word_{number}, 0) AS word_{number}" for number in numbers)}
        FROM {chosen} AS f
        INNER JOIN volumes AS v ON f.volume = v.volume
        LEFT JOIN (
            SELECT p.position, c.entry_id, {", ".join(words)}
            FROM {copies} AS c
            INNER JOIN loss_places AS p ON c.volume = p.volume AND c.copy_volume = p.copy_volume
            GROUP BY p.position, c.entry_id
        ) AS m ON v.position = m.position AND f.entry_id = m.entry_id
        WHERE f.signature_no IS NOT NULL
        """

    @property
    def testimonies(self) -> str:
        """A query for what each volume says of each set, if it says something: `usable` is 0 = no, 1 = unknown, 2 = yes, `lock` as of `reach.number`."""
        word = f"CASE p.word {' '.join(f'WHEN {number} THEN a.word_{number}' for number in range(self.words))} END"
        return f"""
        SELECT
            volume,
            alike_no,
            data_class,
            copy_volume,
            CASE WHEN code & {_USABLE} > 0 THEN 2 WHEN code & {_PERHAPS_USABLE} > 0 THEN 1 ELSE 0 END AS usable,
            code & {_CURRENT} > 0 AS is_current,
            code & {_OLDER} > 0 AS is_older,
            code & {_CONFLICT} > 0 AS is_conflict,
            CAST(code // {_LOCK} AS INTEGER) AS lock
        FROM (
            SELECT a.volume, a.alike_no, a.data_class, p.copy_volume, ({word} >> p.shift) & {2**_BITS - 1} AS code
            FROM loss_alike AS a INNER JOIN loss_places AS p ON a.volume = p.volume
        ) AS said
        WHERE code & {_MATCHED} > 0
        """


def prepare(connection: "duckdb.DuckDBPyConnection", config: Config) -> None:
    """Find the sets of a snapshot, for all losses that are asked of the connection and its cursors from now on. Creates two tables in its memory."""
    if not _is_prepared(connection):
        _create(connection, config, "TABLE")


@contextmanager
def prepared(connection: "duckdb.DuckDBPyConnection", config: Config) -> Iterator[Alike]:
    """The sets of a snapshot, in the tables `loss_alike` and `loss_places`, for the length of a block unless they were prepared."""
    if _is_prepared(connection):
        yield _alike(config)
        return
    _create(connection, config, "TEMP TABLE")
    try:
        yield _alike(config)
    finally:
        connection.execute("DROP TABLE loss_alike; DROP TABLE loss_places")


def _alike(config: Config) -> Alike:
    most = max((len(domains.protectors(config, name)) for name in config.volumes), default=0)
    return Alike(max(1, -(-most // _PER_WORD)))


def _is_prepared(connection: "duckdb.DuckDBPyConnection") -> bool:
    return bool(connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'loss_alike'").fetchall())


def _create(connection: "duckdb.DuckDBPyConnection", config: Config, kind: str) -> None:
    rows = []
    for position, name in enumerate(config.volumes):
        for place, other in enumerate(domains.protectors(config, name)):
            word, within = divmod(place, _PER_WORD)
            rows.append({"volume": name, "position": position, "copy_volume": other, "word": word, "shift": within * _BITS})
    connection.register("loss_place_rows", pa.Table.from_pylist(rows, _PLACES))
    try:
        connection.execute(f"CREATE {kind} loss_places AS SELECT * FROM loss_place_rows")
    finally:
        connection.unregister("loss_place_rows")
    found = _alike(config)
    connection.execute(
        f"""
        CREATE {kind} loss_alike AS
        SELECT *, CAST(row_number() OVER () AS INTEGER) AS alike_no
        FROM (SELECT {found.keys}, count(*) AS assets, sum(counted_bytes) AS bytes FROM ({found.assets()}) AS one GROUP BY {found.keys}) AS sets
        """
    )
