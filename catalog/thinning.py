"""Stores of older scans only what later ones did not see any more, where that is smaller. What is read of any scan stays the same, row by row."""

import itertools
import os
import re
import shutil
import uuid
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from catalog import compaction, former, lock, snapshot, table
from catalog.errors import CatalogError
from catalog.schema import ENTRIES, FORMER_SCANS, TABLES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_MOST = 0.5  # of a scan's rows, or bytes: if so much of it or more would be stored, it stays whole
_READ = "read_parquet({}, hive_partitioning = false)"
_BATCH_ROWS = 50_000
_SAME = " AND ".join(f'older."{name}" IS NOT DISTINCT FROM newer."{name}"' for name in ENTRIES.names if name != "entry_id")
_OLDER = f"(SELECT *, $older_id AS first_scan_id FROM {_READ.format('$older')})"
_OLDER_WITH_ORIGINS = f"(SELECT * FROM {_READ.format('$older')} AS whole INNER JOIN {_READ.format('$origins')} AS origins USING (entry_id))"
_MATCHED = f"""
CREATE TEMP TABLE matched AS
SELECT older.entry_id AS older_entry_id, newer.entry_id AS newer_entry_id, older.first_scan_id
FROM {{older}} AS older
INNER JOIN {_READ.format("$newer")} AS newer ON {_SAME}
"""
_GONE = f"""
SELECT $volume AS volume, first_scan_id, $newer_id AS gone_scan_id, {former.COLUMNS}
FROM {{older}} AS older
WHERE entry_id NOT IN (SELECT older_entry_id FROM matched)
ORDER BY {former.ORDER}
"""
_ORIGINS = f"""
SELECT newer.entry_id, coalesce(matched.first_scan_id, $newer_id) AS first_scan_id
FROM {_READ.format("$newer")} AS newer
LEFT JOIN matched ON matched.newer_entry_id = newer.entry_id
ORDER BY 1
"""
_IN_ORDER = f"SELECT entry_id FROM {_READ.format('$older')} ORDER BY {former.ORDER}"
_ALL_IN_ORDER = f"SELECT * FROM {_READ.format('$files')} ORDER BY volume, {former.ORDER}, first_scan_id, gone_scan_id"
_FORMER_SUM = f"SELECT count(*), sum(hash(volume, first_scan_id, gone_scan_id, {former.COLUMNS})) FROM {_READ.format('$1')}"
_SUM = f"SELECT count(*), sum(hash(entry_id, {former.COLUMNS})) FROM {{}}"
_SUMS_BEFORE = f"SELECT first_scan_id, count(*), sum(hash({former.COLUMNS})) FROM {{older}} AS older GROUP BY ALL ORDER BY 1"
_SUMS_AFTER = f"""
SELECT first_scan_id, count(*), sum(hash({former.COLUMNS}))
FROM ({{rows}}) AS found
WHERE gone_scan_id = $newer_id
GROUP BY ALL
ORDER BY 1
"""


@dataclass(frozen=True)
class Thinned:
    """An older scan: its rows, its bytes as it was stored whole, and those that are stored of it now. `stays_whole` says why it is as it was, if it is."""

    scan_id: str
    volume: str
    rows: int
    bytes: int
    stored_rows: int = 0
    stored_bytes: int = 0
    stays_whole: Literal["changed", "alike", "small"] | None = None


@dataclass(frozen=True)
class _Pair:
    """A scan and the next one of its volume, both stored whole."""

    root: Path
    volume: str
    older_id: str
    newer_id: str
    older: Sequence[str]
    newer: Sequence[str]
    origins: Sequence[str]  # of the older one's rows; none, if no older scan is made with it


def plan(root: Path) -> list[Thinned]:
    """The scans that `thin` would look at. Reads only. Raises CatalogError where a table is damaged, or has columns that this version does not know."""
    return [Thinned(pair.older_id, pair.volume, *_size(pair)) for volume, chain in _chains(root).items() for pair in _pairs(root, volume, chain)]


def thin(root: Path) -> Generator[Thinned, None, None]:
    """Look at each older scan that is stored whole, the oldest first, and store what the next one did not see of it, where that is less; gives what was done.

    The newest good scan of a volume stays whole. A scan leaves `entries` only after its rows, ids and all, were made again of what is stored and found to be
    the same; until then, and wherever a run is killed, it is read from there. Its file lies where it was until `expire` removes it. Writes to the catalog only.
    Raises LockedError where another run is at it; CatalogError, after all other volumes, where a table is damaged, and before anything is changed where one
    has columns that this version does not know: it would drop them.
    """
    wrong: list[CatalogError] = []
    with lock.hold(root, compaction.LOCK):
        plan(root)
        for volume, chain in _chains(root).items():
            try:
                while pair := next(iter(_pairs(root, volume, chain)), None):
                    yield _thin(pair)
                _forget_origins(root, volume)
            except CatalogError as error:
                wrong.append(error)
        _merge(root)
    if wrong:
        raise wrong[0]


def _chains(root: Path) -> dict[str, list[str]]:
    """The good scans of each volume that follow one another up to the newest, oldest first."""
    scans = snapshot.scans(root)
    good = {scan.scan_id: scan for scan in scans if scan.state != "failed"}
    found: dict[str, list[str]] = {}
    for volume, newest in snapshot.newest_of(scans).items():
        chain = [newest.scan_id]
        while (before := good.get(good[chain[-1]].previous_scan_id or "")) and before.volume == volume and before.scan_id not in chain:
            chain.append(before.scan_id)
        found[volume] = chain[::-1]
    return found


def _pairs(root: Path, volume: str, chain: Sequence[str]) -> Generator[_Pair, None, None]:
    """The scans of a volume that can be looked at, each with the next one: both are whole, and it is not known that the older one stays so."""
    whole, looked_at = former.stored(root, "entries", volume), former.looked_at(root, volume)
    origins = former.stored(root, "entry_origins", volume)
    made_with = {after for before, (after, _) in looked_at.items() if before not in whole}
    for older_id, newer_id in itertools.pairwise(chain):
        if older_id not in whole or newer_id not in whole or looked_at.get(older_id, (None, None))[1]:
            continue
        if older_id in made_with and older_id not in origins:
            raise CatalogError(f"{root}: since when the entries of scan {older_id} of volume {volume} have been there is not stored any more; restore a backup")
        pair = _Pair(root, volume, older_id, newer_id, whole[older_id], whole[newer_id], origins.get(older_id, ()))
        compaction.check_columns(root, "entries", [os.path.relpath(path, root.absolute() / "entries") for path in (*pair.older, *pair.newer)])
        yield pair


def _thin(pair: _Pair) -> Thinned:
    root, name = pair.root, f"thin-{pair.older_id}-{pair.newer_id}"  # whoever did a part of it and was killed did the same
    older_partition = _partition(pair.older_id, pair.volume)
    rows, size_bytes = _size(pair)
    before = former.stored(root, "former_scans", pair.volume).get(pair.older_id, ())
    with _opened(root) as connection:
        _asked(connection, pair, _MATCHED)
        why = _why_whole(connection, rows)
        if why is None:
            gone = _written(root, "former_entries", {}, _asked(connection, pair, _GONE))
            runs = table.write(root, "former_scans", _runs(_asked(connection, pair, _IN_ORDER), pair.newer_id), older_partition)
            why = "small" if gone.size_bytes + runs.size_bytes >= size_bytes * _MOST else None
            if why:
                (root / "former_scans" / runs.path).unlink()
            if why or not gone.rows:
                (root / "former_entries" / gone.path).unlink()
        if why:
            kept = table.write(root, "former_scans", pa.Table.from_pylist([{"stays_whole": why}], FORMER_SCANS), older_partition)
            table.commit(root, "former_scans", [kept], f"whole-{pair.older_id}-{pair.newer_id}", before)
            return Thinned(pair.older_id, pair.volume, rows, size_bytes, stays_whole=why)
        origins = _written(root, "entry_origins", _partition(pair.newer_id, pair.volume), _asked(connection, pair, _ORIGINS))
    table.commit(root, "former_entries", [gone] if gone.rows else [], name)
    table.commit(root, "entry_origins", [origins], name)
    table.commit(root, "former_scans", [runs], name, before)
    _compare(pair)
    table.commit(root, "entries", [], name, pair.older)
    return Thinned(pair.older_id, pair.volume, rows, size_bytes, gone.rows, gone.size_bytes + runs.size_bytes)


def _why_whole(connection: "DuckDBPyConnection", rows: int) -> Literal["changed", "alike", "small"] | None:
    """Why a scan stays whole, by how its rows match those of the next one."""
    counted = "SELECT count(*), count(DISTINCT older_entry_id), count(DISTINCT newer_entry_id) FROM matched"
    ((matched, older, newer),) = connection.execute(counted).fetchall()
    if not matched == older == newer:
        return "alike"
    return "changed" if rows - matched >= rows * _MOST else None


def _compare(pair: _Pair) -> None:
    """Raises CatalogError where the older scan, or one that is made with it, would be read differently by what was stored now."""
    comes_of = former.query(pair.root, pair.older_id, pair.volume)
    segment = former.segment(pair.root, pair.older_id, pair.volume)
    with _opened(pair.root) as connection:
        was = connection.execute(_SUM.format(_READ.format("$1")), [pair.older]).fetchall()
        comes = connection.execute(_SUM.format(f"({comes_of})")).fetchall()
        before = _asked(connection, pair, _SUMS_BEFORE).fetchall()
        after = connection.execute(_SUMS_AFTER.format(rows=segment.rows(former.COLUMNS)), {"newer_id": pair.newer_id}).fetchall()
    if was != comes or before != after:
        text = f"scan {pair.older_id} of volume {pair.volume} does not come to the same rows of what was stored of it"
        raise CatalogError(f"{pair.root}: {text}; it stays as it was, 'lastcopy catalog verify --contents' says more")


def _asked(connection: "DuckDBPyConnection", pair: _Pair, text: str) -> "DuckDBPyRelation":
    query = text.format(older=_OLDER_WITH_ORIGINS if pair.origins else _OLDER)
    named = set(re.findall(r"\$(\w+)", query))
    return connection.sql(query, params={key: value for key, value in vars(pair).items() if key in named})


def _merge(root: Path) -> None:
    """Write small files of rows together, in the order of their paths: what a path was at one time and at another is much alike. Commits all at once."""
    known = table.state(root, "former_entries").files if table.exists(root, "former_entries") else {}
    groups = compaction.chosen([(path, file.size_bytes) for path, file in known.items()])
    if groups:
        compaction.check_columns(root, "former_entries", itertools.chain(*groups))
        paths = [[str((root / "former_entries" / path).absolute()) for path in group] for group in groups]
        with _opened(root) as connection:
            written = [_merged(root, connection, group) for group in paths]
        table.commit(root, "former_entries", written, f"merge-{uuid.uuid4().hex}", list(itertools.chain(*paths)))


def _merged(root: Path, connection: "DuckDBPyConnection", files: Sequence[str]) -> table.NewFile:
    """A new file with the rows of some. It is in no log yet. Raises CatalogError where they are not the same."""
    new = _written(root, "former_entries", {}, connection.sql(_ALL_IN_ORDER, params={"files": files}))
    was, comes = (connection.execute(_FORMER_SUM, [paths]).fetchall() for paths in (files, [str(root / "former_entries" / new.path)]))
    if was != comes:
        raise CatalogError(f"{root / 'former_entries' / new.path}: its rows are not those that were written; nothing was changed")
    return new


def _written(root: Path, name: str, partition: dict[str, str], rows: "DuckDBPyRelation") -> table.NewFile:
    """A new file of a table with the rows of an answer. It is in no log yet."""
    path, count = table.new_path(name, partition), 0
    with table.writer(root, name, path) as sink:
        for group in table.groups(rows.to_arrow_reader(_BATCH_ROWS)):
            sink.write_table(group.select(TABLES[name].names).cast(TABLES[name]))
            count += group.num_rows
    return table.NewFile(path, (root / name / path).stat().st_size, count, partition)


def _runs(rows: "DuckDBPyRelation", next_scan_id: str) -> pa.Table:
    """Ids as runs, each of ids that are one more than the one before."""
    places: list[int] = []
    firsts: list[int] = []
    place = expected = 0
    for batch in rows.to_arrow_reader(_BATCH_ROWS):
        for value in batch.column(0).to_pylist():
            if not firsts or value != expected:
                places.append(place)
                firsts.append(value)
            place, expected = place + 1, value + 1
    told = {"place": places, "first_entry_id": firsts, "next_scan_id": [next_scan_id] * len(firsts), "stays_whole": [None] * len(firsts)}
    return pa.table(told, FORMER_SCANS)


def _forget_origins(root: Path, volume: str) -> None:
    """Take out what is stored of the rows of scans that are not whole any more: nothing is read by it."""
    whole = former.stored(root, "entries", volume)
    for scan_id, files in former.stored(root, "entry_origins", volume).items():
        if scan_id not in whole:
            table.commit(root, "entry_origins", [], f"forget-{scan_id}", files)


def _size(pair: _Pair) -> tuple[int, int]:
    """The rows and bytes of a scan that is stored whole."""
    found = [file for file in table.state(pair.root, "entries").files.values() if file.partition == _partition(pair.older_id, pair.volume)]
    return sum(file.rows or 0 for file in found), sum(file.size_bytes for file in found)


def _opened(root: Path) -> "DuckDBPyConnection":
    """A connection within the limits of the newest snapshot. What a killed run left of its spill is removed: the lock is ours."""
    import duckdb

    spill = root / ".tmp" / "thin"
    shutil.rmtree(spill, ignore_errors=True)
    spill.mkdir(parents=True)
    settings: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(spill), "autoinstall_known_extensions": False}
    limits = snapshot.find(root).config.catalog if table.exists(root, "snapshots") else None
    if limits and limits.memory_limit is not None:
        settings["memory_limit"] = f"{limits.memory_limit}B"
    if limits and limits.threads is not None:
        settings["threads"] = limits.threads
    return duckdb.connect(config=settings)


def _partition(scan_id: str, volume: str) -> dict[str, str]:
    return {"scan_id": scan_id, "volume": volume}
