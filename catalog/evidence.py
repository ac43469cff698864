"""What the answers about one snapshot rest on, as plain Parquet files: written out of a catalog, and put back into an empty one."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog import config, derive, foreign, snapshot, table
from catalog.config import Config
from catalog.errors import CatalogError, RefusedError
from catalog.schema import DERIVED, LABELS, TABLES
from catalog.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    from duckdb import DuckDBPyConnection

_BATCH_ROWS = 50_000
_VOLUME, _SCAN, _SNAPSHOT = pa.field("volume", pa.string()), pa.field("scan_id", pa.string()), pa.field("snapshot_id", pa.string())
_FILE = ("volume", "dir", "name", "entry_id")
_EARLIER = ("files", "verdicts")  # derived tables of the snapshot before

# Of the digests, those of files that the snapshot has: by what they are on their file system, or by where they lie.
_DIGESTS = """
SELECT * FROM digests AS g
WHERE
    EXISTS (
        SELECT 1 FROM entries AS e
        WHERE
            e.type IN ('file', 'object') AND e.fs_id = g.fs_id AND e.inode = g.inode AND e.size_bytes = g.size_bytes
            AND e.modified_at IS NOT DISTINCT FROM g.modified_at
    )
    OR EXISTS (
        SELECT 1 FROM entries AS e
        WHERE
            e.type IN ('file', 'object') AND e.volume = g.volume AND e.dir = g.dir AND e.name = g.name AND e.size_bytes = g.size_bytes
            AND e.modified_at IS NOT DISTINCT FROM g.modified_at
    )
"""
# Of the paths that an earlier scan saw, when that was; all others were first seen by the scan that holds.
_FIRST_SEEN = """
SELECT f.volume, f.dir, f.name, min(f.first_seen_at) AS first_seen_at
FROM stored_files AS f INNER JOIN volumes AS v ON f.volume = v.volume AND f.first_seen_at < v.scanned_at
GROUP BY f.volume, f.dir, f.name
"""


@dataclass(frozen=True)
class Kind:
    """One file of evidence. `what` says what it is; its rows are sorted by `first`, and by all other columns where these do not tell rows apart."""

    what: str
    schema: pa.Schema
    query: str
    first: tuple[str, ...] = ()
    apart: bool = False  # no two rows have the same of `first`

    def ordered(self) -> str:
        """The query whose rows are those of the file, in their order."""
        names = [*self.first, *(name for name in self.schema.names if name not in self.first and not self.apart)]
        columns, order = (", ".join(f'"{name}"{how}' for name in these) for these, how in ((self.schema.names, ""), (names, " ASC NULLS FIRST")))
        return f"SELECT {columns} FROM ({self.query}) AS evidence ORDER BY {order}"


def _plain(*parts: pa.Schema | pa.Field) -> pa.Schema:
    """Columns without dictionaries, as they stand in the files."""
    fields = [field for part in parts for field in ([part] if isinstance(part, pa.Field) else part)]
    return pa.schema([field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in fields])


KINDS = {
    "scans": Kind(
        "every scan of the volumes of the configuration",
        TABLES["scans"],
        "SELECT * FROM scans WHERE volume IN (SELECT volume FROM volumes)",
        ("volume", "started_at"),
    ),
    "entries": Kind("what the newest good scan of each volume saw", _plain(_VOLUME, TABLES["entries"]), "SELECT * FROM entries", _FILE, apart=True),
    "digests": Kind("what was read of these files, and when", _plain(TABLES["digests"]), _DIGESTS, ("volume", "dir", "name", "digested_at")),
    "problems": Kind("what these scans could not read", _plain(_VOLUME, TABLES["problems"]), "SELECT * FROM problems", ("volume", "path", "stage")),
    "recovery_points": Kind(
        "what backups can give back", _plain(_VOLUME, TABLES["recovery_points"]), "SELECT * FROM recovery_points", ("volume", "started_at")
    ),
    "verifications": Kind(
        "what was said of backups by those who checked them",
        _plain(TABLES["verifications"]),
        "SELECT * FROM verifications WHERE volume IN (SELECT volume FROM volumes)",
        ("volume", "started_at"),
    ),
    "labels": Kind("rows of imported label tables, in their order", pa.schema([("place", pa.int32()), ("row", pa.int32()), *LABELS]), ""),
    "snapshots": Kind(
        "the snapshots up to this one",
        pa.schema([_SNAPSHOT, ("as_of", pa.timestamp("us")), ("complete", pa.bool_()), ("previous_snapshot_id", pa.string())]),
        "SELECT * FROM snapshots",
        ("as_of",),
    ),
    "first_seen": Kind(
        "when a path was first seen, where an earlier scan saw it",
        pa.schema([_VOLUME, ("dir", pa.string()), ("name", pa.string()), ("first_seen_at", pa.timestamp("us"))]),
        _FIRST_SEEN,
    ),
    "history": Kind(
        "the sums that the catalog kept of earlier snapshots",
        _plain(_SNAPSHOT, TABLES["history"]),
        "SELECT * FROM history WHERE snapshot_id NOT IN (SELECT snapshot_id FROM snapshot)",
        ("as_of", "snapshot_id"),
    ),
    "files_before": Kind(
        "the files of the snapshot before, as it was derived", _plain(TABLES["files"]), "SELECT * FROM stored_files_before", _FILE, apart=True
    ),
    "verdicts_before": Kind("what was judged of them", _plain(TABLES["verdicts"]), "SELECT * FROM stored_verdicts_before", ("signature_no",)),
}


@dataclass(frozen=True)
class Subject:
    """A snapshot in a catalog, and the text of the configuration that held, whose SHA-256 the snapshot has."""

    root: Path
    snapshot: Snapshot
    configuration: str


def subject(root: Path, wanted: Snapshot) -> Subject:
    """A snapshot to give evidence of. Raises CatalogError where its configuration was changed, RefusedError where that could hold a secret."""
    rows = table.read(root, "snapshots", ["snapshot_id", "config"]).to_pylist()
    text = next(str(row["config"]) for row in rows if row["snapshot_id"] == wanted.snapshot_id)
    if hashlib.sha256(text.encode()).hexdigest() != wanted.config_hash:
        raise CatalogError(f"snapshot {wanted.snapshot_id}: its configuration is not what its hash was made from")
    if strange := unknown_keys(text):
        raise RefusedError(f"snapshot {wanted.snapshot_id}: its configuration has {', '.join(strange)}, which may be secret; give evidence of a newer snapshot")
    return Subject(root, wanted, text)


def unknown_keys(configuration: str) -> list[str]:
    """The keys of a stored configuration that no snapshot of today keeps."""
    given, kept = json.loads(configuration), json.loads(config.restore(configuration).stored())
    found = sorted(set(given) - set(kept))
    for name, volume in given.get("volumes", {}).items():
        found += [f"volumes.{name}.{key}" for key in sorted(set(volume) - set(kept["volumes"].get(name, ())))]
    return found


def write(connection: "DuckDBPyConnection", of: Subject, folder: Path) -> dict[str, int]:
    """Write every file of evidence into a folder; gives their numbers of rows. `connection` is one of `connect` to the snapshot."""
    rows = {}
    for name, kind in KINDS.items():
        path = folder / f"{name}.parquet"
        if name == "labels":
            rows[name] = save(path, kind.schema, _labels(of))
            continue
        relation = connection.sql(kind.ordered())
        assert relation is not None  # noqa: S101  # a SELECT gives a relation
        with relation.to_arrow_reader(_BATCH_ROWS) as batches:
            rows[name] = save(path, kind.schema, batches)
    return rows


def save(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write batches as one Parquet file, whose bytes depend on nothing but the rows; gives their number."""
    import pyarrow.parquet as pq

    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, store_schema=False) as out:
        for group in table.groups(batches):
            out.write_table(group.cast(schema))
            rows += group.num_rows
    return rows


def _labels(of: Subject) -> Iterator[pa.RecordBatch]:
    for place, digest in sorted(of.snapshot.label_tables.items()):
        rows = table.read(of.root, "labels", table_hash=[digest])
        counted = pa.table({"place": pa.array([place] * rows.num_rows, pa.int32()), "row": pa.array(range(rows.num_rows), pa.int32())})
        for name in LABELS.names:
            counted = counted.append_column(name, rows[name])
        yield from counted.to_batches()


def restore(folder: Path, root: Path, wanted: Snapshot) -> Snapshot:
    """Put the evidence in a folder into an empty catalog, derive the snapshot from it, and publish it there; `wanted` needs no versions.

    The files may be an enemy's: what is not of the columns and of the volumes and scans of the snapshot is refused. Raises CatalogError.
    """
    root.mkdir()
    for name in ("entries", "problems", "recovery_points"):
        _put_by_volume(folder, root, wanted, name)
    for name in ("digests", "scans", "verifications"):
        _put(root, name, [_written(root, name, {}, _rows(folder, name))])
    _put_labels(folder, root, wanted)
    _put_earlier(folder, root, wanted)
    first_seen = root / "first_seen.parquet"
    save(first_seen, KINDS["first_seen"].schema, _rows(folder, "first_seen"))
    versions = {name: table.version(root, name) for name in TABLES if name not in (*DERIVED, "snapshots")}
    found = replace(wanted, versions=versions)
    table.append(root, "snapshots", found.row(), found.snapshot_id)
    derive.ensure(root, found, [str(first_seen)])
    return found


def _rows(folder: Path, name: str) -> Iterator[pa.RecordBatch]:
    """The rows of one file of evidence. Raises CatalogError where it is none."""
    import pyarrow.parquet as pq

    path, wanted, called = folder / f"{name}.parquet", KINDS[name].schema, f"evidence {name}"
    found = pq.read_schema(path).remove_metadata()
    if not found.equals(wanted):
        raise CatalogError(f"{called}: its columns are {_told(found)}; wanted are {_told(wanted)}")
    with foreign.opened(path, called) as file:
        yield from foreign.limited(foreign.batches(file, wanted), path, called)


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)[:2000]


def _written(root: Path, name: str, partition: Mapping[str, str], batches: Iterable[pa.RecordBatch]) -> table.NewFile:
    """A new file of a table; columns that the table lacks are left out."""
    path, schema, rows = table.new_path(name, dict(partition)), table.file_schema(name), 0
    with table.writer(root, name, path, schema) as sink:
        for group in table.groups(batches):
            sink.write_table(group.select(schema.names).cast(schema))
            rows += group.num_rows
    return table.NewFile(path, (root / name / path).stat().st_size, rows, dict(partition))


def _put(root: Path, name: str, files: Sequence[table.NewFile]) -> None:
    table.commit(root, name, files, f"evidence-{name}")


def _put_by_volume(folder: Path, root: Path, wanted: Snapshot, name: str) -> None:
    """Put the rows of a table that is parted by scan and volume; none of it is held in memory as a whole."""
    schema, paths, rows = table.file_schema(name), dict[str, str](), dict[str, int]()
    with ExitStack() as open_files:
        sinks: dict[str, pq.ParquetWriter] = {}
        for group in table.groups(_rows(folder, name)):
            for volume, share in _by(group, "volume"):
                if volume not in sinks:
                    paths[volume] = table.new_path(name, _partition(name, wanted, volume))
                    sinks[volume], rows[volume] = open_files.enter_context(table.writer(root, name, paths[volume], schema)), 0
                sinks[volume].write_table(share.select(schema.names).cast(schema))
                rows[volume] += share.num_rows
    made = [table.NewFile(path, (root / name / path).stat().st_size, rows[volume], _partition(name, wanted, volume)) for volume, path in paths.items()]
    _put(root, name, made)


def _put_labels(folder: Path, root: Path, wanted: Snapshot) -> None:
    rows = _whole(folder, "labels")
    for place, share in _by(rows, "place"):
        if place not in wanted.label_tables:
            raise CatalogError(f"evidence labels: has rows of label table {place}, and the snapshot has none")
        digest = wanted.label_tables[place]
        table.append(root, "labels", share.select(LABELS.names).cast(LABELS), digest, {"table_hash": digest})


def _put_earlier(folder: Path, root: Path, wanted: Snapshot) -> None:
    """The snapshots before, without their configurations, and what is kept of them."""
    known = {row["snapshot_id"]: row for row in _whole(folder, "snapshots").to_pylist()}
    mine = {"snapshot_id": wanted.snapshot_id, "as_of": wanted.as_of, "complete": wanted.complete, "previous_snapshot_id": wanted.previous_id}
    if known.pop(wanted.snapshot_id, None) != mine:
        raise CatalogError(f"evidence snapshots: does not have snapshot {wanted.snapshot_id} as the pack tells it")
    nothing: dict[str, Any] = {"scans": {}, "versions": {}, "config": Config(), "config_hash": "", "label_tables": {}, "lastcopy_version": ""}
    before = [Snapshot(key, row["as_of"], row["previous_snapshot_id"], row["complete"], **nothing).row() for key, row in known.items()]
    if before:
        table.append(root, "snapshots", pa.concat_tables(before), "evidence-snapshots")
    sums = [_written(root, "history", {"snapshot_id": key}, share.to_batches()) for key, share in _by(_whole(folder, "history"), "snapshot_id")]
    if wanted.previous_id in known:
        partition = {"snapshot_id": str(wanted.previous_id)}
        for name in (name for name in DERIVED if name != "history"):
            _put(root, name, [_written(root, name, partition, _rows(folder, f"{name}_before") if name in _EARLIER else [])])
        if not any(file.partition == partition for file in sums):
            sums.append(_written(root, "history", partition, []))
    _put(root, "history", sums)


def _whole(folder: Path, name: str) -> pa.Table:
    return pa.Table.from_batches(_rows(folder, name), KINDS[name].schema)


def _by(rows: pa.Table, column: str) -> Iterator[tuple[Any, pa.Table]]:
    import pyarrow.compute as pc

    for value in rows[column].unique().to_pylist():
        yield value, rows.filter(pc.equal(rows[column], pa.scalar(value, rows[column].type)))


def _partition(name: str, wanted: Snapshot, volume: str) -> dict[str, str]:
    if volume not in wanted.scans:
        raise CatalogError(f"evidence {name}: has rows of volume {volume!r}, of which the snapshot has no scan")
    return {"scan_id": wanted.scans[volume], "volume": volume}


def is_complete(root: Path, wanted: Snapshot) -> bool:
    """Whether a snapshot is complete, from the scans and problems that a catalog has: every volume was scanned, and nothing of it is unread."""
    states = {scan.scan_id: scan.state for scan in snapshot.scans(root, wanted.versions.get("scans"))}
    unread = table.files(root, "problems", wanted.versions.get("problems"), scan_id=wanted.scans.values())
    return not unread and all(states.get(wanted.scans.get(name, "")) == "complete" for name in wanted.config.volumes)
