"""From the newest good scans to copies, files, duplicate groups, sums and history: runs the SQL files and publishes a snapshot."""

import datetime
import hashlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from catalog import former, lock, place, recovery, snapshot, table, verification
from catalog.config import Config
from catalog.derive import earlier, export, facts, labels, memory, publishing
from catalog.derive.expressions import parquet, problem_rows, recovery_points, verifications
from catalog.derive.facts import Inputs
from catalog.errors import CatalogError, RefusedError
from catalog.schema import DERIVED, TABLES
from catalog.snapshot import ScanRow, Snapshot

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# In this order; those of _VIEWS are not stored between the steps. After some steps, what nothing later reads is dropped.
STEPS = (
    "dirs", "file_systems", "read_twice", "reread", "readings", "known_paths", "digest_numbers", "sample_numbers", "known", "seen_before", "items",
    "failures", "failed", "tried", "doubted", "unreadable", "shared_file_systems", "own_copies", "dir_targets", "path_pairs", "path_matches",
    "chosen_versions", "homes", "assets", "own_matches", "holders", "content_matches", "best_matches", "conflicts", "blind_dirs", "expected_targets",
    "unseen", "checked", "restored", "evidence", "copies_elsewhere", "copy_locks", "lock_words", "left_out", "absences", "later_names", "repeated",
    "contents", "own_duplicates", "per_asset", "asset_words", "signatures", "signature_locks", "testimonies",
    "threat_values", "threat_results", "threat_reasons", "counts", "control_results", "verdicts", "asset_outcomes", "copy_statuses",
    "content_statuses", "outcomes",
)  # fmt: skip
_VIEWS = frozenset({"readings", "path_pairs", "own_matches", "expected_targets", "assets", "per_asset", "outcomes"})
_DROPPED_AFTER = {
    "items": ("sample_numbers", "seen_before"),
    "unreadable": ("known", "known_paths"),
    "best_matches": ("path_matches", "chosen_versions"),
    "evidence": ("best_matches", "content_matches", "holders", "conflicts", "checked", "restored"),
    "absences": ("unseen", "left_out"),
    "asset_words": ("absences", "lock_words"),
    "asset_outcomes": ("asset_words",),
}
# Steps that give no row where what they begin with has none.
_EMPTY_WITHOUT = {
    "pair_list": (
        "shared_file_systems", "own_copies", "path_pairs", "path_matches", "own_matches", "holders", "content_matches", "best_matches", "conflicts",
        "unseen", "evidence", "copies_elsewhere", "left_out", "absences", "per_asset",
    ),
    "exclusions": ("left_out",),
    "checks": ("checked",),
    "doubts": ("doubted",),
    "verifications": ("restored",),
    "lock_files": ("copy_locks", "lock_words", "signature_locks"),
    "mappings": ("dir_targets", "expected_targets"),
    "problem_paths": ("blind_dirs", "unseen"),
    "problem_paths WHERE unread_at IS NOT NULL": ("tried",),
    "digests WHERE inode IS NULL OR fs_id IS NULL": ("known_paths",),
    "volume_facts WHERE role = 'archive'": ("homes",),
}  # fmt: skip
# Joins are run as the steps are written, with the right table in memory: what a step makes has no statistics, and beside an empty
# table DuckDB would hold the largest ones. With statistics_propagation, joins of DuckDB 2.0 over dictionary columns can fail.
_NOT_OPTIMIZED = "statistics_propagation,join_order,build_side_probe_side"
_LEAST_MEMORY_BYTES = 256 * 1024**2  # where the configuration sets no limit
_MEMORY_AN_ENTRY_BYTES = 64  # where this is more
_SQL = Path(__file__).parent


def derive(root: Path, config: Config, as_of: datetime.datetime, lastcopy_version: str = "") -> Snapshot:
    """Derive from the newest good scans of the configured volumes, and publish the snapshot. Writes to the catalog only.

    `as_of` is naive UTC. Raises RefusedError if no configured volume has a good scan, LockedError if another run derives, or did.
    """
    with lock.hold(root, "derive"):
        imported = {number: _import(root, config, number) for number, label in enumerate(config.labels) if label.table is not None}
        good = {name: scan for name, scan in snapshot.newest_scans(root).items() if name in config.volumes}
        if not good:
            raise RefusedError(f"{root}: no volume of the configuration was ever scanned; run 'lastcopy scan'")
        if place.of(root):
            _refuse_parts(root, good)
        before = snapshot.snapshots(root)
        stored = config.stored()
        new = Snapshot(
            snapshot_id=f"{as_of:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(2)}",
            as_of=as_of,
            previous_id=snapshot.newest(before).snapshot_id if before else None,
            complete=all(name in good and good[name].state == "complete" for name in config.volumes) and not _problems(root, good),
            scans={name: scan.scan_id for name, scan in good.items()},
            versions={name: table.version(root, name) for name in TABLES if name not in (*DERIVED, "snapshots")},
            config=config,
            config_hash=hashlib.sha256(stored.encode()).hexdigest(),
            label_tables=imported,
            lastcopy_version=lastcopy_version,
        )
        _derive_tables(root, new)
        return publishing.publish(root, new)


def _refuse_parts(root: Path, good: Mapping[str, ScanRow]) -> None:
    """Raises CatalogError where a mirror has not all entries of a scan that is stored whole: what is not there would be taken for gone."""
    for scan in good.values():
        rows = [file.rows for file in table.named(root, "entries", scan_id=[scan.scan_id], volume=[scan.volume]).values()]
        told, found = scan.entries + scan.carried_entries, sum(count or 0 for count in rows)
        if told != found and None not in rows and not table.named(root, "former_scans", scan_id=[scan.scan_id], volume=[scan.volume]):
            text = f"scan {scan.scan_id} of volume {scan.volume} had {told} entries, and the log names {found} of it"
            raise CatalogError(f"{root}: {text}; try again, then 'lastcopy catalog verify' says more")


def ensure(root: Path, wanted: Snapshot, first_seen: Sequence[str] = ()) -> None:
    """Derive an older snapshot again, with the configuration of its day, if its derived rows are not stored. Writes to the catalog only.

    `first_seen` are Parquet files of volume, dir, name, first_seen_at, where the catalog does not have what earlier scans saw.
    """
    if not all(table.named(root, name, snapshot_id=[wanted.snapshot_id]) for name in DERIVED):
        with lock.hold(root, "derive"):
            _derive_tables(root, wanted, first_seen)


def judge(connection: "DuckDBPyConnection", inputs: Inputs, imported: Mapping[int, pa.Table]) -> None:
    """Make every intermediate table from the views `entries`, `recovery_points` (both with `volume`), `digests`, `verifications`, `problem_rows` and
    `files_before`.
    """
    for name, rows in facts.tables(inputs).items():
        connection.register("small_table", rows)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM small_table")
        connection.unregister("small_table")
    connection.execute(_PROBLEM_PATHS)
    connection.execute(sql("same_time"))
    _create_file_entries(connection)
    memory.execute(connection, f"CREATE OR REPLACE TEMP TABLE lock_files AS {sql('lock_files')}")
    labels.create_view(connection, inputs.config, imported, inputs.classes, inputs.as_of)
    without_rows = {step for source, steps in _EMPTY_WITHOUT.items() if _is_empty(connection, source) for step in steps}
    for step in STEPS:
        if step == "items":
            memory.create_in_buckets(connection, step, sql(step), {"labelled": "inode", "known": "inode"})
        else:
            kind = "VIEW" if step in _VIEWS else "TABLE"
            query = f"SELECT * FROM ({sql(step)}) AS nothing LIMIT 0" if step in without_rows else sql(step)
            memory.execute(connection, f"CREATE OR REPLACE TEMP {kind} {step} AS {query}")
        for finished in _DROPPED_AFTER.get(step, ()):
            connection.execute(f"DROP TABLE {finished}")


def _create_file_entries(connection: "DuckDBPyConnection") -> None:
    """Make the view of all files that are no pointers. Where there are no stubs, nothing is asked but that."""
    memory.execute(connection, f"CREATE OR REPLACE TEMP TABLE stubs AS {sql('stubs')}")
    targets = sql("stub_targets") + (" LIMIT 0" if _is_empty(connection, "stubs") else "")
    memory.execute(connection, f"CREATE OR REPLACE TEMP TABLE stub_targets AS {targets}")
    connection.execute(_FILE_ENTRIES if _is_empty(connection, "stub_targets") else f"{_FILE_ENTRIES} {_BUT_POINTERS}")


def _is_empty(connection: "DuckDBPyConnection", name: str) -> bool:
    return not connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchall()


def sql(name: str) -> str:
    """The text of one step, derived table or macro."""
    return (_SQL / f"{name}.sql").read_text("utf-8")


def queries() -> list[str]:
    """The names of all steps, derived tables and macros, sorted."""
    return sorted(file.stem for file in _SQL.glob("*.sql"))


def inputs_of(root: Path, wanted: Snapshot, imported: Mapping[int, pa.Table]) -> Inputs:
    """What a snapshot's derivation depends on besides rows of the catalog."""
    known = [scan for scan in snapshot.scans(root, wanted.versions.get("scans")) if scan.state != "failed"]
    holding = {scan.volume: scan for scan in known if wanted.scans.get(scan.volume) == scan.scan_id}
    return Inputs(
        config=wanted.config,
        scans=holding,
        first_scanned=_first_scanned(known),
        classes=labels.class_names(wanted.config, imported),
        as_of=wanted.as_of,
        points=recovery.read(root, wanted.versions.get("recovery_points", -1), wanted.scans),
        checks=verification.read(root, wanted.versions.get("verifications", -1), {name: scan.root_fs_id for name, scan in holding.items()}),
    )


def _derive_tables(root: Path, new: Snapshot, first_seen: Sequence[str] = ()) -> None:
    imported = {number: table.read(root, "labels", table_hash=[digest]) for number, digest in new.label_tables.items()}
    inputs = inputs_of(root, new, imported)
    connection = _open(root, new.config, sum(scan.entries + scan.carried_entries for scan in inputs.scans.values()))
    try:
        _create_sources(connection, root, new)
        before = f"SELECT * FROM {parquet(first_seen, TABLES['files'])}" if first_seen else earlier.files_before(root, new)
        connection.execute(f"CREATE TEMP VIEW files_before AS {before}")
        judge(connection, inputs, imported)
        export.tables(connection, root, new.snapshot_id, new.as_of, sql)
    finally:
        connection.close()


def _problems(root: Path, good: Mapping[str, ScanRow]) -> list[str]:
    """The files with problems of some scans: also what could not be read after they were published."""
    return table.files(root, "problems", scan_id=[scan.scan_id for scan in good.values()])


def _create_sources(connection: "DuckDBPyConnection", root: Path, new: Snapshot) -> None:
    entries, made = former.entries(root, new.scans)
    connection.execute(f"CREATE TEMP {'TABLE' if made else 'VIEW'} entries AS SELECT * FROM {entries}")
    digest_files = table.files(root, "digests", new.versions.get("digests"))
    connection.execute(f"CREATE TEMP VIEW digests AS SELECT * FROM {parquet(digest_files, TABLES['digests'])}")
    problem_files = table.files(root, "problems", new.versions.get("problems"), scan_id=new.scans.values())
    connection.execute(f"CREATE TEMP VIEW recovery_points AS {recovery_points(root, new)}")
    connection.execute(f"CREATE TEMP VIEW verifications AS {verifications(root, new)}")
    connection.execute(f"CREATE TEMP VIEW problem_rows AS {problem_rows(problem_files)}")


def _open(root: Path, config: Config, entries: int = 0) -> "DuckDBPyConnection":
    """A connection that derives from so many entries within the configuration's limits; without one, in as little memory as does not slow it."""
    import duckdb

    spill = root / ".tmp" / "derive"
    shutil.rmtree(spill, ignore_errors=True)  # of a killed run: the lock is ours
    spill.mkdir(parents=True)
    settings: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(spill), "preserve_insertion_order": "false"}
    if config.catalog.memory_limit is not None:
        settings["memory_limit"] = f"{config.catalog.memory_limit}B"
    if config.catalog.threads is not None:
        settings["threads"] = config.catalog.threads
    connection = duckdb.connect(config=settings)
    if config.catalog.memory_limit is None:
        memory.begin_with(connection, max(_LEAST_MEMORY_BYTES, entries * _MEMORY_AN_ENTRY_BYTES))
    connection.execute(f"SET disabled_optimizers = '{_NOT_OPTIMIZED}'")
    return connection


def _import(root: Path, config: Config, number: int) -> str:
    rows = labels.read_imported(config.folder / str(config.labels[number].table), f"labels[{number}].table", config)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    digest = hashlib.sha256(sink.getvalue()).hexdigest()
    table.append(root, "labels", rows, digest, {"table_hash": digest})
    return digest


def _first_scanned(scans: Sequence[ScanRow]) -> dict[str, datetime.datetime]:
    first: dict[str, datetime.datetime] = {}
    for scan in scans:
        first.setdefault(scan.volume, scan.known_at)
    return first


_PROBLEM_PATHS = """
CREATE OR REPLACE TEMP TABLE problem_paths AS
SELECT
    v.v,
    p.path,
    max(p.unread_at) AS unread_at,
    regexp_replace(p.path, '[^/]*$', '') AS dir,
    regexp_extract(p.path, '[^/]*$') AS name,
    CASE WHEN p.path = '' THEN '' ELSE p.path || '/' END AS prefix,
    CASE WHEN p.path = '' THEN chr(1114111) ELSE p.path || '0' END AS prefix_end
FROM problem_rows AS p
INNER JOIN volume_facts AS v ON p.volume = v.volume
GROUP BY v.v, p.path
"""

_FILE_ENTRIES = """
CREATE OR REPLACE TEMP VIEW file_entries AS
SELECT
    e.*,
    e.dir || e.name AS path,
    v.v,
    v.scanned_at,
    v.first_scanned_at,
    v.role IN ('primary', 'archive') AND NOT v.doubled AND (e.last_recovery_point IS NOT NULL OR e.is_latest IS DISTINCT FROM FALSE) AS potential,
    CASE WHEN e.time_flags & 3 = 0 THEN e.modified_at END AS trusted_modified_at,
    CASE WHEN e.time_flags & 12 = 0 THEN e.accessed_at END AS trusted_accessed_at,
    CASE WHEN e.time_flags & 48 = 0 THEN e.changed_at END AS trusted_changed_at
FROM entries AS e
INNER JOIN volume_facts AS v ON e.volume = v.volume
WHERE e.type IN ('file', 'object')
"""
_BUT_POINTERS = "AND NOT EXISTS (SELECT 1 FROM stub_targets AS o WHERE o.proven AND o.v = v.v AND o.entry_id = e.entry_id)"
