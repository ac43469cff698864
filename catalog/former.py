"""Scans that are not stored whole any more: what a later scan did not see as it was is kept of them, and they are read as if they were whole.

Scans of a volume follow one another. Of an older one only those rows are stored that the next one did not see exactly so, each with the first scan that saw
it and the first that did not (`former_entries`); the others are rows of the next scan that is stored whole, of which it is known since when they have been
there (`entry_origins`). See `thinning` for how that comes about. Here are the SQL texts by which such scans are read; they make no file.
"""

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import snapshot, table
from catalog.derive.expressions import parquet, quoted
from catalog.errors import CatalogError
from catalog.schema import ENTRIES, ENTRY_ORIGINS, FORMER_ENTRIES, FORMER_SCANS

COLUMNS = ", ".join(f'"{name}"' for name in ENTRIES.names if name != "entry_id")
ORDER = ", ".join(f'"{name}" ASC NULLS LAST' for name in ENTRIES.names if name != "entry_id")
_PARTED = ENTRIES.append(pa.field("volume", pa.string())).append(pa.field("scan_id", pa.string()))
_TRIES = 5


@dataclass(frozen=True)
class Segment:
    """Scans of a volume that are made one of another, oldest first, and the files of which they are made. The last one is stored whole."""

    volume: str
    scan_ids: Sequence[str]
    former: Sequence[str]
    whole: Sequence[str]
    origins: Sequence[str]

    def rows(self, columns: str) -> str:
        """A query over the rows of all its scans but the last: these columns, `first_scan_id`, and `gone_scan_id`, which is the last where they are in that."""
        last = quoted(self.scan_ids[-1])
        columns = f"{columns}, first_scan_id"
        whole, origins = f"{parquet(self.whole, ENTRIES)} AS whole", f"{parquet(self.origins, ENTRY_ORIGINS)} AS origins"
        still = f"SELECT {columns}, {last} AS gone_scan_id FROM {whole} INNER JOIN {origins} USING (entry_id)"
        gone = f"SELECT {columns}, gone_scan_id FROM {parquet(self.former, FORMER_ENTRIES)} WHERE volume = {quoted(self.volume)}"
        return f"{gone} AND gone_scan_id IN ({_listed(self.scan_ids[1:])}) UNION ALL {still} WHERE first_scan_id <> {last}"


def entries(root: Path, scans: Mapping[str, str]) -> tuple[str, bool]:
    """A table expression over the entries of scans, by volume, with their volume and scan id; and whether any of it has to be made anew for each reading.

    Raises CatalogError where what is stored of a scan does not come to its rows.
    """
    whole: list[str] = []
    made: list[str] = []
    for volume, scan_id in scans.items():
        files = snapshot.entry_files(root, scan_id, volume)
        whole += files
        if not files and table.files(root, "former_scans", scan_id=[scan_id], volume=[volume]):
            made.append(query(root, scan_id, volume))
    read = parquet(whole, _PARTED, "scan_id", "volume")
    if not made:
        return read, False
    columns = ", ".join(f'"{name}"' for name in _PARTED.names)
    return f"({' UNION ALL '.join(f'SELECT {columns} FROM {part}' for part in [read, *(f'({one})' for one in made)])})", True


def query(root: Path, scan_id: str, volume: str) -> str:
    """A query that makes the rows of a scan of what is stored of it: the columns of ENTRIES, volume and scan id. Raises CatalogError as `entries`."""
    scan = next(scan for scan in snapshot.scans(root) if scan.scan_id == scan_id)
    found = segment(root, scan_id, volume)
    _check(root, [scan], found)
    place = found.scan_ids.index(scan_id)
    there = f"first_scan_id IN ({_listed(found.scan_ids[: place + 1])}) AND gone_scan_id IN ({_listed(found.scan_ids[place + 1 :])})"
    numbered = f"SELECT {COLUMNS}, row_number() OVER (ORDER BY {ORDER}) - 1 AS place FROM ({found.rows(COLUMNS)}) WHERE {there}"
    runs = f"SELECT place, first_entry_id FROM {parquet(stored(root, 'former_scans', volume)[scan_id], FORMER_SCANS)}"
    ids = "runs.first_entry_id + numbered.place - runs.place AS entry_id"
    named = f"{quoted(volume)} AS volume, {quoted(scan_id)} AS scan_id"
    return f"SELECT {ids}, {COLUMNS}, {named} FROM ({numbered}) AS numbered ASOF JOIN ({runs}) AS runs ON numbered.place >= runs.place"


def first_seen(root: Path, volume: str, scans: Sequence[snapshot.ScanRow]) -> Iterator[str]:
    """Queries of volume, dir, name and first_seen_at: when files of those scans that are not stored whole were seen first. Raises CatalogError as `entries`."""
    times = {scan.scan_id: scan.known_at for scan in scans}
    for found in _segments(root, volume, stored(root, "entries", volume)):
        here = [scan for scan in scans if scan.scan_id in found.scan_ids[:-1]]
        if not here:
            continue
        _check(root, here, found)
        chain = ", ".join(f"({quoted(scan_id)}, {place}, {_time(times.get(scan_id))})" for place, scan_id in enumerate(found.scan_ids))
        yield f"""
            WITH chain(scan_id, place, seen_at) AS (VALUES {chain}),
            seen AS ({found.rows("dir, name, type")}),
            spans AS (
                SELECT span.first_scan_id, span.gone_scan_id, min(chain.seen_at) AS seen_at
                FROM (SELECT DISTINCT first_scan_id, gone_scan_id FROM seen) AS span
                INNER JOIN chain AS first ON first.scan_id = span.first_scan_id
                INNER JOIN chain AS gone ON gone.scan_id = span.gone_scan_id
                INNER JOIN chain ON chain.place >= first.place AND chain.place < gone.place
                GROUP BY ALL
            )
            SELECT {quoted(volume)} AS volume, seen.dir, seen.name, spans.seen_at AS first_seen_at
            FROM seen INNER JOIN spans USING (first_scan_id, gone_scan_id)
            WHERE seen.type IN ('file', 'object') AND spans.seen_at IS NOT NULL
        """


def _check(root: Path, scans: Sequence[snapshot.ScanRow], found: Segment) -> None:
    """Raises CatalogError where what is stored of scans of a segment does not come to their rows."""
    comes = dict(zip(found.scan_ids, counts(found), strict=True))
    for scan in scans:
        told = scan.entries + scan.carried_entries
        if told != comes[scan.scan_id]:
            text = f"scan {scan.scan_id} of volume {scan.volume} had {told} entries, and what is stored of it comes to {comes[scan.scan_id]}"
            raise CatalogError(f"{root}: {text}; 'lastcopy catalog verify' says more")


def segment(root: Path, scan_id: str, volume: str) -> Segment:
    """The scans that one, which may still be stored whole too, is made with. Raises CatalogError where a part is not there."""
    for _ in range(_TRIES):  # another run may do the same with the scan that is whole, and take its origins away
        whole = {other: files for other, files in stored(root, "entries", volume).items() if other != scan_id}
        for found in _segments(root, volume, whole):
            if scan_id in found.scan_ids[:-1] and found.origins:
                return found
    raise CatalogError(f"{root}: of scan {scan_id} of volume {volume} a part is not there; 'lastcopy catalog verify' says more")


def _segments(root: Path, volume: str, whole: Mapping[str, Sequence[str]]) -> Iterator[Segment]:
    made_of = {after: before for before, after in followers(root, volume).items() if before not in whole}
    origins, former = stored(root, "entry_origins", volume), table.files(root, "former_entries")
    for scan_id, files in whole.items():
        scan_ids = [scan_id]
        while (before := made_of.get(scan_ids[-1])) is not None:
            scan_ids.append(before)
        if len(scan_ids) > 1:
            yield Segment(volume, scan_ids[::-1], former, files, origins.get(scan_id, ()))


def counts(found: Segment) -> list[int]:
    """How many rows each scan of a segment comes to. Raises CatalogError where a file cannot be read."""
    places = {scan_id: place for place, scan_id in enumerate(found.scan_ids)}
    more = [0] * len(places)  # rows than the scan before: those that it saw first, less those that it did not see any more
    asked = f"SELECT first_scan_id, gone_scan_id, count(*) FROM ({found.rows('1')}) GROUP BY ALL"
    for first, gone, count in _answered(found.volume, asked):
        if first in places:
            more[places[first]] += count
            more[places[gone]] -= count
    return [sum(more[: place + 1]) for place in range(len(more))]


def all_counts(root: Path) -> Mapping[tuple[str | None, str | None], int | None]:
    """How many rows each scan that is not stored whole comes to, by scan id and volume; 0 where a part of it is not there. Raises CatalogError."""
    found: dict[tuple[str | None, str | None], int | None] = {}
    known = table.state(root, "former_scans").files.values() if table.exists(root, "former_scans") else ()
    for volume in sorted({str(file.partition["volume"]) for file in known}):
        whole = stored(root, "entries", volume)
        found |= dict.fromkeys(((scan_id, volume) for scan_id in followers(root, volume).keys() - whole.keys()), 0)
        for one in _segments(root, volume, whole):
            if one.origins:
                found |= {(scan_id, volume): rows for scan_id, rows in zip(one.scan_ids[:-1], counts(one)[:-1], strict=True)}
    return found


def followers(root: Path, volume: str) -> Mapping[str, str]:
    """The scan that each of a volume is made with, where it is not stored whole any more, or was about to be not."""
    return {scan_id: str(told[0]) for scan_id, told in looked_at(root, volume).items() if told[0]}


def looked_at(root: Path, volume: str) -> Mapping[str, tuple[str | None, str | None]]:
    """Of each scan of a volume that was looked at: the scan that it was held against, or why it stays whole."""
    files = [path for paths in stored(root, "former_scans", volume).values() for path in paths]
    schema = FORMER_SCANS.append(pa.field("scan_id", pa.string()))
    asked = f"SELECT scan_id, min(next_scan_id), min(stays_whole) FROM {parquet(files, schema, 'scan_id', 'volume')} GROUP BY ALL"
    return {scan_id: (after, why) for scan_id, after, why in _answered(volume, asked)} if files else {}


def stored(root: Path, name: str, volume: str) -> Mapping[str, list[str]]:
    """The files of a table that is parted by scan, by scan id, for one volume; each an absolute path."""
    found: dict[str, list[str]] = defaultdict(list)
    known = table.named(root, name, volume=[volume])
    table.fetch(root, name, known)
    for path, file in known.items():
        found[str(file.partition["scan_id"])].append(str((root / name / path).absolute()))
    return dict(found)


def _answered(volume: str, query: str) -> list[tuple[Any, ...]]:
    import duckdb

    try:
        with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
            return connection.execute(query).fetchall()
    except duckdb.Error as error:
        raise CatalogError(f"volume {volume}: what is stored of older scans cannot be read ({error}); 'lastcopy catalog verify' says more") from error


def _listed(scan_ids: Collection[str]) -> str:
    return ", ".join(map(quoted, scan_ids))


def _time(known: datetime.datetime | None) -> str:
    return "CAST(NULL AS TIMESTAMP)" if known is None else f"TIMESTAMP '{known.isoformat(' ')}'"
