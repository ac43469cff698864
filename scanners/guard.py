"""What keeps a scan from calling an unmounted disk a deletion: refusals, and what is carried over where sight was lost."""

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import domains, ours, snapshot, table
from catalog.errors import RefusedError
from catalog.schema import ENTRIES, PROBLEMS
from catalog.snapshot import ScanRow
from scanners import Facts, load
from scanners.sink import Target

if TYPE_CHECKING:
    import duckdb

    from catalog.config import Config

_BATCH_ROWS = 65_536
VAST = "the sizes of the volume's files add up to"
_ACCEPT = "if it is right, scan with --accept-losses"


@dataclass(frozen=True)
class Losses:
    """What the previous scan had and this one has not: `hidden` below unreadable directories, `excluded` by the configuration, the rest `lost`."""

    lost: int
    hidden: int
    excluded: int
    previous: int

    def pct(self, explained: int) -> float:
        """The share of `lost`, without those that jobs took, in what could have been seen again."""
        return 100 * max(0, self.lost - explained) / max(1, self.previous - self.hidden - self.excluded)


def check_place(volume: str, place: str) -> None:
    """Refuse a root, links resolved, that lies where jobs keep what waits for its purge: what a job took away would be a copy. Raises RefusedError."""
    if os.fsdecode(ours.HOME) in Path(place).parts:
        raise RefusedError(f"volume {volume}: {place} lies in a folder of Lastcopy's own; give the folder that holds it as the url")


def check_repository(config: "Config", volume: str) -> None:
    """Refuse a backup repository where it could protect nothing: as what is to be protected, or within the tree of it. Raises RefusedError."""
    role, place = config.volumes[volume].role, config.roots.get(volume)
    if role in ("primary", "archive"):
        raise RefusedError(f"volume {volume}: a backup repository holds copies, and cannot be of role {role!r}; declare role = 'backup'")
    for name, other in config.volumes.items():
        outer = config.roots.get(name)
        if place and outer and other.role == "primary" and Path(place).is_relative_to(outer):
            raise RefusedError(f"volume {volume}: the repository lies in the tree of the primary volume {name}, and is lost with it; move it to another system")


def check_told(config: "Config", volume: str) -> None:
    """Refuse what tells of a volume where it lies with a primary one, or with one that protects the same: it tells of that one's files. Raises RefusedError."""
    if config.volumes[volume].role == "primary":
        raise RefusedError(f"volume {volume}: what others tell of is no production storage; declare role = 'backup', 'replica' or 'archive'")
    for name, other in config.volumes.items():
        if name == volume or not _lies_with(config, volume, name):
            continue
        where = f"volume {volume}: what tells of it lies in the tree of"
        if other.role == "primary":
            raise RefusedError(f"{where} the primary volume {name}, or around it, and is lost with it; keep it elsewhere")
        if _protect_the_same(config, volume, name):
            raise RefusedError(f"{where} volume {name}, or around it: the files of that one would count as two copies; keep it elsewhere")


def check_folder(config: "Config", volume: str, facts: Facts, scans: Mapping[str, ScanRow]) -> None:
    """Refuse a folder that another volume shows by another name of it, or of one above or below: copies of it would be itself. Raises RefusedError."""
    for name, scan in scans.items():
        if name == volume or name not in config.volumes or not facts.fs_id or not scan.root_fs_id or ":/" not in facts.fs_id:
            continue
        if facts.fs_id.startswith(scan.root_fs_id) or scan.root_fs_id.startswith(facts.fs_id):
            if domains.holds(config, volume, name) or domains.holds(config, name, volume):
                continue  # their URLs say so
            raise RefusedError(
                f"volume {volume}: it is the folder of volume {name}, or lies in it or around it, by another name; write both urls alike, or leave one out"
            )


def check_bucket(config: "Config", volume: str, facts: Facts, scans: Mapping[str, ScanRow]) -> None:
    """Refuse what tells of a bucket, and a bucket of its name at another address: nobody can tell whether they are one. Raises RefusedError."""
    from catalog import store
    from scanners import _objects

    if facts.bucket is None:
        return
    mine = config.volumes[volume].endpoint
    for name, scan in scans.items():
        theirs = config.volumes[name].endpoint if name in config.volumes and name != volume else mine
        there = store.identity(theirs, facts.bucket)
        if there == store.identity(mine, facts.bucket) or not (load(config.volumes[volume].kind).CAPABILITIES.told or scan.is_hearsay):
            continue
        if scan.root_fs_id == _objects.fs_id(there):
            told = f"volume {volume}: its bucket {facts.bucket} may be that of volume {name}: they are at other endpoints, or one says none"
            raise RefusedError(f"{told}; write the same endpoint for both if so, else leave the inventory out, for what lies in one bucket is no copy of it")


def _lies_with(config: "Config", told: str, other: str) -> bool:
    """Whether what tells of a volume lies in the tree of another, or in the folder that holds it; of two that are told of, whether it is the same."""
    place, theirs = config.roots.get(told), config.roots.get(other)
    if not place or not theirs:
        return False
    mine = Path(place)
    if mine.is_relative_to(theirs):
        return True
    if not load(config.volumes[told].kind).CAPABILITIES.told_in_place:
        return False
    is_told = load(config.volumes[other].kind).CAPABILITIES.told
    return Path(theirs).is_relative_to(mine if is_told or mine.is_dir() else mine.parent)


def _protect_the_same(config: "Config", one: str, other: str) -> bool:
    return any(
        domains.may_protect(config, asset, one) and (asset == other or domains.may_protect(config, asset, other))
        for asset, volume in config.volumes.items()
        if volume.role in ("primary", "archive")
    )


def check_root(volume: str, facts: Facts, previous: ScanRow | None, explained: int) -> None:
    """Refuse a root that is empty though it was not at the last scan, and jobs did not take all of it; and one on another file system. Raises RefusedError."""
    if facts.empty and not (previous and previous.entries + previous.carried_entries <= explained):
        new = "" if previous else f"; a new one that is to be filled by jobs: lastcopy volume prepare {volume}"
        raise RefusedError(f"volume {volume}: its root is empty, as of a disk that is not mounted; mount it, or {_ACCEPT}{new}")
    if previous and previous.root_fs_id and facts.fs_id and previous.root_fs_id != facts.fs_id:
        raise RefusedError(
            f"volume {volume}: its root is on file system {facts.fs_id}, the scan of {previous.started_at:%Y-%m-%d} saw {previous.root_fs_id}; {_ACCEPT}"
        )


def check_losses(volume: str, losses: Losses, explained: int, max_loss_pct: float) -> None:
    """Refuse a scan in which too much vanished that jobs did not take. Raises RefusedError."""
    if losses.pct(explained) > max_loss_pct:
        taken = f", {explained} were taken by jobs" if explained else ""
        raise RefusedError(
            f"volume {volume}: {losses.lost} of {losses.previous} entries of the last scan vanished{taken} ({losses.pct(explained):.1f} % unexplained, "
            f"max_loss_pct is {max_loss_pct:g}); look whether all of it is mounted; {_ACCEPT}"
        )


def check_mounts(volume: str, changed: Sequence[tuple[str, int]]) -> None:
    """Refuse a scan in which entries vanished below a directory that is on another file system now. Raises RefusedError."""
    if changed:
        told = "; ".join(f"{lost} below {directory}" for directory, lost in changed[:5])
        raise RefusedError(
            f"volume {volume}: entries of the last scan vanished in directories that lie on another file system now ({told}), "
            f"as of a disk that is not mounted, or of one that is mounted over them; {_ACCEPT}"
        )


class Comparison:
    """This scan's files against those of the previous good scan."""

    def __init__(self, target: Target, previous: ScanRow, entries: Sequence[str], problems: Sequence[str], exclude: str | None) -> None:
        """`entries` and `problems` are this scan's files; `exclude` the expression of what is left out now."""
        self._target, self._previous, self._entries = target, previous, list(entries)
        self._connection = connect(target)
        self._before = snapshot.entry_files(target.root, previous.scan_id, target.volume)
        if self._before:
            self._find_gone(list(problems), exclude)

    def __enter__(self) -> "Comparison":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def losses(self) -> Losses:
        """How much is gone, and why."""
        if not self._before:
            return Losses(0, 0, 0, 0)
        counts: dict[str, int] = dict(self._connection.execute("SELECT why, count(*) FROM gone GROUP BY why").fetchall())
        previous = self._previous.entries + self._previous.carried_entries
        return Losses(counts.get("lost", 0), counts.get("hidden", 0), counts.get("excluded", 0), previous)

    def changed_mounts(self) -> list[tuple[str, int]]:
        """The uppermost directories that changed their file system and lost entries, with the number of these."""
        if not self._before or not self._entries:
            return []
        query = """
            SELECT before.dir || before.name || '/' FROM read_parquet($before, hive_partitioning = false) AS before
            INNER JOIN read_parquet($now, hive_partitioning = false) AS now
            ON before.path_hash = now.path_hash AND before.dir = now.dir AND before.name = now.name
            WHERE before.type = 'dir' AND now.type = 'dir' AND before.fs_id <> now.fs_id ORDER BY 1
        """
        found = list(_outermost(self._connection.execute(query, {"before": self._before, "now": self._entries})))
        if not found:
            return []
        self._connection.register("changed", pa.table({"prefix": pa.array(found, pa.string())}))
        query = """
            SELECT changed.prefix, count(*) FROM read_parquet($before, hive_partitioning = false) AS before
            SEMI JOIN (SELECT entry_id FROM gone WHERE why = 'lost') AS lost ON before.entry_id = lost.entry_id
            ASOF INNER JOIN changed ON before.dir >= changed.prefix
            WHERE starts_with(before.dir, changed.prefix) GROUP BY ALL ORDER BY 1
        """
        return self._connection.execute(query, {"before": self._before}).fetchall()

    def missed(self) -> int:
        """How many entries are not what the previous scan has, and have a time of change from before it began: what told of changes left them out."""
        if not self._before or not self._entries:
            return 0
        query = """
            SELECT count(*) FROM read_parquet($now, hive_partitioning = false) AS now
            LEFT JOIN read_parquet($before, hive_partitioning = false) AS before
            ON before.path_hash = now.path_hash AND before.dir = now.dir AND before.name = now.name
            WHERE now.type <> 'dir' AND now.changed_at < $began AND (before.changed_at, before.inode) IS DISTINCT FROM (now.changed_at, now.inode)
        """
        given = {"now": self._entries, "before": self._before, "began": self._previous.started_at}
        [(found,)] = self._connection.execute(query, given).fetchall()
        return int(found)

    def carry(self, number: int) -> Iterator[table.NewFile]:
        """Write the entries that are hidden now as the previous scan had them; `number` is a shard number that is free."""
        query = """
            SELECT before.* REPLACE (coalesce(before.carried_from, $scan) AS carried_from)
            FROM read_parquet($before, hive_partitioning = false) AS before
            SEMI JOIN (SELECT entry_id FROM gone WHERE why = 'hidden') AS hidden ON before.entry_id = hidden.entry_id
            ORDER BY before.dir, before.name
        """
        found = self._connection.sql(query, params={"before": self._before, "scan": self._previous.scan_id})
        rows: pa.RecordBatchReader = found.to_arrow_reader(_BATCH_ROWS)
        path, count = table.new_path("entries", self._target.partition), 0
        with table.writer(self._target.root, "entries", path) as out:
            for batch in rows:
                ids = pa.array(range((number << 32) + count, (number << 32) + count + batch.num_rows), pa.int64())
                known = pa.Table.from_batches([batch]).set_column(batch.schema.get_field_index("entry_id"), "entry_id", ids)
                out.write_table(_as_entries(known))
                count += batch.num_rows
        file = self._target.root / "entries" / path
        if count:
            yield table.NewFile(path, file.stat().st_size, count, self._target.partition)
        else:
            file.unlink()

    def _find_gone(self, problems: list[str], exclude: str | None) -> None:
        """Make the table of what the previous scan had and this one has not, with the reason."""
        run = self._connection.execute
        run("CREATE TEMP TABLE hidden (prefix VARCHAR)")
        if problems:
            found = run(
                """
                SELECT DISTINCT CASE WHEN path = '' THEN '' ELSE path || '/' END
                FROM read_parquet($files, hive_partitioning = false) WHERE hides_below ORDER BY 1
                """,
                {"files": problems},
            )
            self._connection.register("prefixes", pa.table({"prefix": pa.array(_outermost(found), pa.string())}))
            run("INSERT INTO hidden SELECT prefix FROM prefixes")
        now = "SELECT path_hash, dir, name FROM read_parquet($now, hive_partitioning = false)" if self._entries else "SELECT 0, '', '' WHERE $now IS NULL"
        run(
            f"""
            CREATE TEMP TABLE gone AS
            WITH missing AS (
                SELECT before.entry_id, before.dir || before.name || '/' AS path, before.type
                FROM read_parquet($before, hive_partitioning = false) AS before
                ANTI JOIN ({now}) AS now (path_hash, dir, name)
                ON before.path_hash = now.path_hash AND before.dir = now.dir AND before.name = now.name
            )
            SELECT missing.entry_id,
                CASE
                    WHEN regexp_full_match(CASE WHEN missing.type = 'dir' THEN path ELSE path[:-2] END, $exclude) THEN 'excluded'
                    WHEN starts_with(path, hidden.prefix) THEN 'hidden'
                    ELSE 'lost'
                END AS why
            FROM missing
            ASOF LEFT JOIN hidden ON missing.path >= hidden.prefix
            """,
            {"before": self._before, "now": self._entries, "exclude": exclude or r"[^\s\S]"},
        )


def linked_bytes(target: Target, entries: Sequence[str]) -> int:
    """The bytes of files with several links, each file once."""
    with connect(target) as connection:
        found = connection.execute(
            """
            SELECT coalesce(sum(size_bytes), 0) FROM (
                SELECT any_value(size_bytes) AS size_bytes FROM read_parquet($files, hive_partitioning = false)
                WHERE type IN ('file', 'object') AND link_count > 1 GROUP BY fs_id, inode
            )
            """,
            {"files": list(entries)},
        ).fetchone()
    return int(found[0]) if found else 0


def vast(target: Target, entries: Sequence[str], size_bytes: int, seen_at: datetime.datetime) -> pa.Table:
    """The problem, at the largest file, of a volume whose sizes add up to so much that sums may not hold it. Rows of `schema.PROBLEMS`."""
    with connect(target) as connection:
        [(path,)] = connection.execute(
            """
            SELECT dir || name FROM read_parquet($files, hive_partitioning = false)
            WHERE type IN ('file', 'object') ORDER BY size_bytes DESC, dir, name LIMIT 1
            """,
            {"files": list(entries)},
        ).fetchall()
    error = f"{VAST} {size_bytes} bytes, this is the largest: sums that hold them say no more than 8 EiB"
    row = {"path": path, "stage": "stat", "error": error, "errno": None, "hides_below": False, "seen_at": seen_at}
    return pa.Table.from_pylist([row], PROBLEMS)


def _outermost(prefixes: "duckdb.DuckDBPyConnection") -> Iterator[str]:
    """Of sorted prefixes those that lie below no other: then the greatest one that is not greater than a path is the only that can hold it."""
    last = None
    while rows := prefixes.fetchmany(10_000):
        for (prefix,) in rows:
            if last is None or not prefix.startswith(last):
                last = prefix
                yield prefix


def entry_column(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A column of entries as their schema has it."""
    return array.cast(wanted.value_type).dictionary_encode() if pa.types.is_dictionary(wanted) else array.cast(wanted)


def _as_entries(rows: pa.Table) -> pa.Table:
    return pa.Table.from_arrays([entry_column(rows[f.name].combine_chunks(), f.type) for f in ENTRIES], schema=ENTRIES)


def connect(target: Target) -> "duckdb.DuckDBPyConnection":
    """A DuckDB of our own for comparing scans: small, with room to spill in the journal's folder."""
    import duckdb

    folder: Path = target.journal / "spill"
    return duckdb.connect(config={"memory_limit": "200MB", "threads": 2, "temp_directory": str(folder), "preserve_insertion_order": False})


def readable(root: Path, name: str, files: Sequence[table.NewFile]) -> bool:
    """Whether files of an interrupted scan are whole: their size and their Parquet footer are as they were recorded."""
    for file in files:
        path = root / name / file.path
        try:
            if path.stat().st_size != file.size_bytes or pq.read_metadata(path).num_rows != file.rows:
                return False
        except (OSError, pa.ArrowException):
            return False
    return True
