"""Scans that are not stored whole any more: what a later scan did not see as it was is kept of them, and they are read as if they were whole.

Scans of a volume follow one another. Of an older one only those rows are stored that the next one did not see exactly so, each with the first scan that saw
it and the first that did not (`former_entries`); the others are rows of the next scan that is stored whole, of whose rows it is known since when they have
been there (`entry_origins`). See `thinning` for how that comes about.
"""

import atexit
import hashlib
import itertools
import os
import secrets
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog import hashes, names, snapshot, table
from catalog.errors import CatalogError
from catalog.schema import ENTRIES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

COLUMNS = ", ".join(f'"{name}"' for name in ENTRIES.names if name != "entry_id")
ORDER = ", ".join(f'"{name}"' for name in ENTRIES.names if name not in ("entry_id", "path_hash"))  # that hash is one of directory and name
BATCH_ROWS = 50_000
_BEGAN_IN = os.getpid()
_PLACE = Path(tempfile.gettempdir()) / f"lastcopy-entries-{_BEGAN_IN}-{secrets.token_hex(8)}"
_ONE_AT_A_TIME = threading.Lock()
_TRIES = 5
_GONE = f"""
SELECT {COLUMNS}
FROM read_parquet($former, hive_partitioning = false)
WHERE volume = $volume AND first_scan_id IN (SELECT unnest($upto)) AND gone_scan_id IN (SELECT unnest($after))
"""
_STILL_THERE = f"""
SELECT {COLUMNS}
FROM read_parquet($whole, hive_partitioning = false) AS whole
INNER JOIN read_parquet($origins, hive_partitioning = false) AS origins USING (entry_id)
WHERE first_scan_id IN (SELECT unnest($upto))
"""


@dataclass(frozen=True)
class Parts:
    """Where the rows of a scan are that is not stored whole: absolute paths of files, and which rows of them."""

    volume: str
    former: Sequence[str]
    whole: Sequence[str]
    origins: Sequence[str]
    upto: Sequence[str]  # the scan and those before it, one of which saw a row first
    after: Sequence[str]  # those after it, up to the one that is whole, one of which did not see a row any more

    def rows(self, connection: "DuckDBPyConnection") -> "DuckDBPyRelation":
        """Ask for the rows, without ids, and those of older scans without hashes, in the order of all other columns."""
        told: dict[str, Any] = {"whole": self.whole, "origins": self.origins, "upto": self.upto}
        if not self.former:
            return connection.sql(f"{_STILL_THERE} ORDER BY {ORDER}", params=told)
        told |= {"former": self.former, "volume": self.volume, "after": self.after}
        return connection.sql(f"{_GONE} UNION ALL {_STILL_THERE} ORDER BY {ORDER}", params=told)


def place() -> Path:
    """Where this process puts scans that it reads as if they were whole; made when the first one is, and gone when the process ends."""
    return _PLACE


def files(root: Path, scan_id: str, volume: str) -> list[str]:
    """The Parquet file with the rows of a scan that is not stored whole, made now; of any other scan none.

    Raises CatalogError where what is stored does not come to as many rows as the scan had.
    """
    if not table.files(root, "former_scans", scan_id=[scan_id], volume=[volume]):
        return []
    catalog = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:16]
    made = _PLACE / catalog / f"scan_id={scan_id}" / f"volume={volume}" / "part-0.parquet"
    with _ONE_AT_A_TIME:
        if not made.exists():
            if not _PLACE.exists():
                _PLACE.mkdir(mode=0o700)
                atexit.register(_remove)
            unfinished = _PLACE / f"{secrets.token_hex(8)}.parquet"
            make(root, scan_id, volume, unfinished)
            made.parent.mkdir(parents=True)
            unfinished.rename(made)
    return [str(made)]


def make(root: Path, scan_id: str, volume: str, made: Path) -> int:
    """Write the rows of a scan that is not stored whole, with the ids that they had, into a new file; gives how many. Raises CatalogError as `files`."""
    scan = next(scan for scan in snapshot.scans(root) if scan.scan_id == scan_id)
    ids = _ids(table.read(root, "former_scans", ["first_entry_id", "entries"], scan_id=[scan_id], volume=[volume]))
    rows = 0
    with opened(made.parent) as connection, table.writer(made.parent, ".", made.name, ENTRIES) as sink:
        reader = parts(root, scan_id, volume).rows(connection).to_arrow_reader(BATCH_ROWS)
        for group in table.groups(reader):
            numbers = pa.array(itertools.islice(ids, group.num_rows), pa.int64())
            if len(numbers) < group.num_rows:
                break
            sink.write_table(hashed(group).append_column("entry_id", numbers).select(ENTRIES.names).cast(ENTRIES))
            rows += group.num_rows
    if rows != scan.entries + scan.carried_entries or next(ids, None) is not None:
        told = f"scan {scan_id} of volume {volume} had {scan.entries + scan.carried_entries} entries, and what is stored of it comes to {rows}"
        raise CatalogError(f"{root}: {told}; 'lastcopy catalog verify' says more")
    return rows


def hashed(rows: pa.Table) -> pa.Table:
    """Rows with the hashes of their paths, where they have none."""
    place = rows.schema.get_field_index("path_hash")
    given = zip(rows["path_hash"].to_pylist(), rows["dir"].to_pylist(), rows["name"].to_pylist(), strict=True)
    made = [hashes.of_path(names.unescape(folder + name)) if known is None else known for known, folder, name in given]
    return rows.set_column(place, "path_hash", pa.array(made, pa.int64()))


def unhashed(rows: pa.Table) -> pa.Table:
    """Rows without those hashes that `hashed` makes again."""
    place = rows.schema.get_field_index("path_hash")
    made = hashed(rows.set_column(place, "path_hash", pa.nulls(rows.num_rows, pa.int64())))["path_hash"].to_pylist()
    kept = [None if known == again else known for known, again in zip(rows["path_hash"].to_pylist(), made, strict=True)]
    return rows.set_column(place, "path_hash", pa.array(kept, pa.int64()))


def opened(folder: Path) -> "DuckDBPyConnection":
    """A connection that puts what does not fit into its memory below a folder."""
    import duckdb

    return duckdb.connect(config={"temp_directory": str(folder / f"{secrets.token_hex(8)}.spill"), "autoinstall_known_extensions": False})


def parts(root: Path, scan_id: str, volume: str) -> Parts:
    """Where the rows of a scan are. Raises CatalogError where a part is not there."""
    previous = {scan.scan_id: scan.previous_scan_id for scan in snapshot.scans(root)}
    for _ in range(_TRIES):  # another run may do the same with the scan that is whole, and take its origins away
        whole, following = stored(root, "entries", volume), followers(root, volume)
        chain = [scan_id]  # which may still be stored whole, too
        while (len(chain) == 1 or chain[-1] not in whole) and chain[-1] in following:
            chain.append(following[chain[-1]])
        origins = table.files(root, "entry_origins", scan_id=chain[-1:], volume=[volume])
        if len(chain) > 1 and chain[-1] in whole and origins:
            before = [scan_id]
            while (one := previous.get(before[-1])) and following.get(one) == before[-1]:
                before.append(one)
            return Parts(volume, table.files(root, "former_entries"), whole[chain[-1]], origins, before, chain[1:])
    raise CatalogError(f"{root}: of scan {scan_id} of volume {volume} a part is not there; 'lastcopy catalog verify' says more")


def followers(root: Path, volume: str) -> Mapping[str, str]:
    """The scan that each of a volume is made from, where it is not stored whole any more, or was about to be not."""
    import pyarrow.parquet as pq

    found = {}
    for scan_id, paths in stored(root, "former_scans", volume).items():
        following = pq.ParquetFile(paths[0]).read(["next_scan_id"], use_threads=False)["next_scan_id"].to_pylist()
        if following and following[0]:
            found[scan_id] = str(following[0])
    return found


def chains(root: Path) -> Mapping[str, list[str]]:
    """The good scans of each volume that follow one another up to the newest, oldest first."""
    good = {scan.scan_id: scan for scan in snapshot.scans(root) if scan.state != "failed"}
    found: dict[str, list[str]] = {}
    for volume, newest in snapshot.newest_scans(root).items():
        chain = [newest.scan_id]
        while (before := good.get(good[chain[-1]].previous_scan_id or "")) and before.volume == volume and before.scan_id not in chain:
            chain.append(before.scan_id)
        found[volume] = chain[::-1]
    return found


def stored(root: Path, name: str, volume: str) -> Mapping[str, list[str]]:
    """The files of a table that is parted by scan, by scan id, for one volume; each an absolute path."""
    found: dict[str, list[str]] = defaultdict(list)
    known = table.state(root, name).files if table.exists(root, name) else {}
    for path, file in known.items():
        if file.partition["volume"] == volume:
            found[str(file.partition["scan_id"])].append(str((root / name / path).absolute()))
    return found


def counts(root: Path) -> Mapping[tuple[str | None, str | None], int | None]:
    """How many rows each scan that is not stored whole comes to, by scan id and volume; 0 where a part of it is not there."""
    found: dict[tuple[str | None, str | None], int | None] = {}
    known = table.state(root, "former_scans").files.values() if table.exists(root, "former_scans") else ()
    for volume in sorted({str(file.partition["volume"]) for file in known}):
        whole, following = stored(root, "entries", volume), followers(root, volume)
        for scan_id in following.keys() - whole.keys():
            found[scan_id, volume] = 0
        for segment in _segments(whole, following):
            rows = _sums(root, volume, segment)
            for place, scan_id in enumerate(segment[:-1]):
                found[scan_id, volume] = sum(rows[: place + 1])
    return found


def _segments(whole: Collection[str], following: Mapping[str, str]) -> Iterator[list[str]]:
    """Scans that are made one of another, oldest first; the last one is stored whole."""
    made_of = {after: before for before, after in following.items() if before not in whole}
    for scan_id in whole:
        segment = [scan_id]
        while (before := made_of.get(segment[-1])) is not None:
            segment.append(before)
        if len(segment) > 1:
            yield segment[::-1]


def _sums(root: Path, volume: str, segment: Sequence[str]) -> list[int]:
    """By how many rows each scan has more than the one before it: those that it saw first, less those that it did not see any more."""
    places = {scan_id: place for place, scan_id in enumerate(segment)}
    rows = [0] * len(segment)
    with opened(Path(tempfile.gettempdir())) as connection:
        if former := table.files(root, "former_entries"):
            asked = "SELECT first_scan_id, gone_scan_id, count(*) FROM read_parquet($1, hive_partitioning = false) WHERE volume = $2 GROUP BY ALL"
            for first, gone, count in connection.execute(asked, [former, volume]).fetchall():
                if first in places and gone in places:
                    rows[places[first]] += count
                    rows[places[gone]] -= count
        if origins := table.files(root, "entry_origins", scan_id=segment[-1:], volume=[volume]):
            asked = "SELECT first_scan_id, count(*) FROM read_parquet($1, hive_partitioning = false) GROUP BY ALL"
            for first, count in connection.execute(asked, [origins]).fetchall():
                rows[places.get(first, 0)] += count
    return rows


def _ids(runs: pa.Table) -> Iterator[int]:
    for first, count in zip(runs["first_entry_id"].to_pylist(), runs["entries"].to_pylist(), strict=True):
        yield from range(first, first + count)


def _remove() -> None:
    if os.getpid() == _BEGAN_IN:  # and no fork of it
        shutil.rmtree(_PLACE, ignore_errors=True)
