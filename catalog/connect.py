"""A locked, read-only DuckDB connection whose views are one snapshot."""

import datetime
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog import derive, domains, former, limiting, omissions, preservation, recovery, requirement, snapshot, table
from catalog.columns import INT, SMALL, TEXT, TIMESTAMP
from catalog.derive.expressions import parquet, recovery_points, verifications
from catalog.derive.facts import Inputs
from catalog.errors import UnderivedError
from catalog.schema import DERIVED, TABLES
from catalog.sight import Sight
from catalog.snapshot import ScanRow, Snapshot

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# The view `volumes`, one row a volume of the snapshot's configuration: what is declared, detected or inherited, and its newest good scan.
VOLUMES = pa.schema(
    [
        ("position", SMALL),  # order of the configuration, from 0
        ("volume", TEXT),
        ("kind", TEXT),
        ("url", TEXT),
        ("role", TEXT),
        ("systems", pa.list_(TEXT)),  # effective failure domains, sorted; empty = unknown
        ("sites", pa.list_(TEXT)),
        ("regions", pa.list_(TEXT)),
        ("admins", pa.list_(TEXT)),
        ("devices", pa.list_(TEXT)),
        ("perhaps_with", pa.list_(TEXT)),  # volumes that may lie on the same device: declared for one side, detected for the other
        ("domain_sources", TEXT),  # JSON: attribute -> declared | detected | inherited | unknown
        ("media", TEXT),
        ("access", TEXT),
        ("immutability", TEXT),
        ("immutable_until", TIMESTAMP),
        ("encrypted", TEXT),  # yes | no | unknown: whether a key or a password is needed to read it
        ("key_on", pa.list_(TEXT)),  # volumes that each hold what opens it; empty and encrypted = nobody says
        ("keeps_versions_days", pa.float64()),  # as declared
        ("seen_to_keep_days", pa.float64()),  # of a backup: from its oldest recovery point to its newest; null = not known
        ("cost_per_tib_month", pa.float64()),
        ("currency", TEXT),
        ("state", TEXT),  # complete | incomplete | failed | never_scanned
        ("scan_id", TEXT),
        ("scanned_at", TIMESTAMP),  # start of the newest good scan; of what others tell of a volume the time that it is of
        ("finished_at", TIMESTAMP),
        ("entries", INT),
        ("files", INT),
        ("bytes", INT),
        ("problems", INT),
        ("carried_entries", INT),
        ("clock", TEXT),
        ("capacity_bytes", INT),
        ("free_bytes", INT),
        ("last_error", TEXT),  # of a newer scan that failed
        ("last_failed_at", TIMESTAMP),
    ]
)
# The view `controls`, one row a class and control, by class and then in the order of docs/protection.md; threats that a class waives are told, too.
CONTROLS = pa.schema([("position", SMALL), ("data_class", TEXT), ("control", TEXT), ("requirement", TEXT), ("waived", pa.bool_()), ("sets", TEXT)])

# Content that could not be read is known after the scan was published.
_WITH_LATER_PROBLEMS = """
UPDATE volumes SET problems = found.problems, state = 'incomplete'
FROM (SELECT volume, scan_id, count(*) AS problems FROM problems GROUP BY volume, scan_id) AS found
WHERE volumes.volume = found.volume AND volumes.scan_id = found.scan_id
"""
_WITH_PATH = {"duplicate_groups", "copies", "orphans"}
# A primary volume by itself has what it holds more than once of the groups of all primary volumes.
DUPLICATES_BY_SCOPE = """
SELECT * FROM duplicate_groups
UNION ALL
SELECT * EXCLUDE (own) REPLACE (volume AS "scope", own AS members, (own - 1) * size_bytes AS reclaimable_bytes)
FROM (SELECT *, count(*) OVER (PARTITION BY digest, volume) AS own FROM duplicate_groups WHERE "scope" = 'primary')
WHERE own > 1
"""
_NUMBERS = ("copies", "systems", "sites", "regions", "admins", "media", "offline_or_immutable", "min_verification_level")  # that a class asks for
_JOINED = ("files", "verdicts")  # the view `files` joins them


def connect(
    root: Path,
    wanted: Snapshot,
    against: Snapshot | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
    sight: Sight | None = None,
    *,
    derives: bool = True,
    begun: "Callable[[DuckDBPyConnection], object] | None" = None,
) -> "DuckDBPyConnection":
    """A connection with the views of docs/architecture.md; `files_before` are the files of `against`, by default of the previous snapshot.

    With a sight the views hold what it lets see, and totals are counted anew from that.

    No file outside the catalog can be read through it and no setting changed; a query is still to be held against `predicate.select`,
    for COPY could write into the catalog. Derived rows that an older snapshot lacks are derived again first; without `derives` nothing is written,
    and UnderivedError raised. `begun` is given the connection before its views are made, which can take long, so that it can be interrupted.
    """
    earlier = against or _previous(root, wanted)
    for one in (wanted, *([earlier] if earlier else [])):
        _ensure(root, one, derives)
    connection = _open(root, memory_limit, threads)
    if begun is not None:
        begun(connection)
    _create_small(connection, root, wanted, earlier)
    _create_stored(connection, root, wanted, earlier, sight)
    if sight is None:
        connection.execute("CREATE TABLE sight (part VARCHAR)")
    else:
        limiting.tables(connection, sight)
    connection.execute(_WITH_LATER_PROBLEMS)
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    return connection


def volume_rows(root: Path, wanted: Snapshot) -> pa.Table:
    """One row a volume of the snapshot's configuration, see VOLUMES."""
    known = snapshot.scans(root, wanted.versions.get("scans"))
    good = {scan.volume: scan for scan in known if wanted.scans.get(scan.volume) == scan.scan_id}
    effective = domains.effective(wanted.config, {name: scan.device for name, scan in good.items()})
    points = recovery.read(root, wanted.versions.get("recovery_points", -1), wanted.scans)
    rows = []
    for position, (name, volume) in enumerate(wanted.config.volumes.items()):
        domain, kept = effective[name], recovery.kept_seconds(wanted.config, name, points.get(name, ()))
        row: dict[str, Any] = {
            "position": position,
            "volume": name,
            "kind": volume.kind,
            "url": volume.url,
            "role": volume.role,
            "systems": sorted(domain.systems),
            "sites": sorted(domain.sites),
            "regions": sorted(domain.regions),
            "admins": sorted(domain.admins),
            "devices": sorted(domain.devices),
            "perhaps_with": sorted(domain.perhaps),
            "domain_sources": json.dumps(dict(domain.sources)),
            "media": volume.media,
            "access": volume.access,
            "immutability": volume.immutability,
            "immutable_until": volume.immutable_until and datetime.datetime.combine(volume.immutable_until, datetime.time()),
            "encrypted": {True: "yes", False: "no", None: "unknown"}[volume.needs_key],
            "key_on": list(volume.key_on),
            "keeps_versions_days": None if volume.keeps_versions is None else volume.keeps_versions / 86400,
            "seen_to_keep_days": None if kept is None else kept / 86400,
            "cost_per_tib_month": volume.cost_per_tib_month,
            "currency": wanted.config.catalog.currency,
        }
        rows.append(row | _scan_columns(good.get(name), [scan for scan in known if scan.volume == name], volume.capacity))
    return pa.Table.from_pylist(rows, VOLUMES)


def _scan_columns(good: ScanRow | None, known: Sequence[ScanRow], declared_bytes: int | None) -> dict[str, Any]:
    failed = known[-1] if known and known[-1].state == "failed" else None
    failure = {"last_error": failed.error if failed else None, "last_failed_at": failed.started_at if failed else None}
    if good is None:
        return {"state": "failed" if failed else "never_scanned"} | failure
    names = ("state", "scan_id", "finished_at", "entries", "files", "bytes", "problems", "carried_entries", "clock", "capacity_bytes", "free_bytes")
    room = {} if good.capacity_bytes is not None or declared_bytes is None else {"capacity_bytes": declared_bytes, "free_bytes": declared_bytes - good.bytes}
    return {name: getattr(good, name) for name in names} | {"scanned_at": good.known_at} | failure | room


def _ensure(root: Path, wanted: Snapshot, derives: bool) -> None:
    if derives:
        derive.ensure(root, wanted)
    elif not all(table.named(root, name, snapshot_id=[wanted.snapshot_id]) for name in DERIVED):
        raise UnderivedError(
            f"the derived rows of snapshot {wanted.snapshot_id} are not stored; 'lastcopy report overview --snapshot {wanted.snapshot_id}' derives them again"
        )


def _open(root: Path, memory_limit: str | None, threads: int | None) -> "DuckDBPyConnection":
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {}
    if memory_limit is not None:
        settings["memory_limit"] = memory_limit
    if threads is not None:
        settings["threads"] = threads
    connection = duckdb.connect(config=settings)
    folder = str(root.absolute()).replace("'", "''")
    spill = f"{tempfile.gettempdir()}/lastcopy-{os.getpid()}-{secrets.token_hex(4)}".replace("'", "''")  # a reader may not write to the catalog
    connection.execute(f"SET temp_directory = '{spill}'; SET allowed_directories = ['{folder}/']")
    return connection


def _create_stored(connection: "DuckDBPyConnection", root: Path, wanted: Snapshot, earlier: Snapshot | None, sight: Sight | None) -> None:
    def create(name: str, query: str) -> None:
        _view(connection, name, query if sight is None else limiting.view(name, query, sight))

    create("entries", f"SELECT *, dir || name AS path FROM {former.entries(root, wanted.scans)[0]}")
    stored = {name: _stored(root, name, wanted) for name in DERIVED}
    for name in _JOINED:
        create(f"stored_{name}", stored.pop(name))
    _view(connection, "files", f"SELECT *, dir || name AS path FROM ({derive.sql('file_rows')}) AS file_rows")
    _view(connection, "assets", "SELECT * FROM files WHERE is_asset")
    for name, query in stored.items():
        create(name, query)
    _view(connection, "duplicates_by_scope", DUPLICATES_BY_SCOPE)
    _view(connection, "preservation", derive.sql("preservation"))
    create("elsewhere", stored["copies"] if sight else "SELECT volume, entry_id, CAST(0 AS BIGINT) AS copies FROM copies WHERE FALSE")
    for name in _JOINED:
        before = _derived_files(root, name, earlier) if earlier else []
        create(f"stored_{name}_before", f"SELECT * FROM {parquet(before, TABLES[name])}")
    rows_before = derive.sql("file_rows").replace("stored_files", "stored_files_before").replace("stored_verdicts", "stored_verdicts_before")
    _view(connection, "files_before", f"SELECT *, dir || name AS path FROM ({rows_before}) AS file_rows")
    problems = table.files(root, "problems", wanted.versions.get("problems"), scan_id=wanted.scans.values())
    columns = TABLES["problems"].append(pa.field("volume", pa.string())).append(pa.field("scan_id", pa.string()))
    create("problems", f"SELECT * FROM {parquet(problems, columns, 'scan_id', 'volume')}")
    digests = table.files(root, "digests", wanted.versions.get("digests"))
    create("digests", f"SELECT *, dir || name AS path FROM {parquet(digests, TABLES['digests'])}")
    create("recovery_points", recovery_points(root, wanted))
    create("verifications", verifications(root, wanted))
    _view(connection, "excepted", derive.labels.excepted(wanted.config.exceptions if sight is None else (), "entries"))


def _stored(root: Path, name: str, wanted: Snapshot) -> str:
    """The query over a derived table: of this snapshot, `history` of all up to it."""
    if name == "history":
        files = table.files(root, name, snapshot_id=[s.snapshot_id for s in snapshot.snapshots(root) if s.as_of <= wanted.as_of])
        return f"SELECT * FROM {parquet(files, TABLES[name].append(pa.field('snapshot_id', pa.string())), 'snapshot_id')}"
    path = ", dir || name AS path" if name in _WITH_PATH else ""
    return f"SELECT *{path} FROM {parquet(_derived_files(root, name, wanted), TABLES[name])}"


def _derived_files(root: Path, name: str, of: Snapshot) -> list[str]:
    """The files of a derived table of a snapshot. Raises UnderivedError where they were dropped since they were asked for: no rows would be a wrong answer."""
    found = table.files(root, name, snapshot_id=[of.snapshot_id])
    if not found:
        raise UnderivedError(f"the derived rows of snapshot {of.snapshot_id} were dropped meanwhile by 'lastcopy catalog expire'; ask again")
    return found


def small_tables(root: Path, wanted: Snapshot, earlier: Snapshot | None = None) -> dict[str, pa.Table]:
    """The views that are made of the configuration, the scans and the recovery points, by name."""
    known = [s for s in snapshot.snapshots(root) if (s.as_of, s.snapshot_id) <= (wanted.as_of, wanted.snapshot_id)]
    of_snapshots = [{"snapshot_id": s.snapshot_id, "as_of": s.as_of, "complete": s.complete, "previous_snapshot_id": s.previous_id} for s in known]
    before = [{"snapshot_id": s.snapshot_id, "as_of": s.as_of} for s in (earlier,) if s]
    stamps = pa.schema([("snapshot_id", pa.string()), ("as_of", pa.timestamp("us")), ("complete", pa.bool_()), ("previous_snapshot_id", pa.string())])
    points = recovery.read(root, wanted.versions.get("recovery_points", -1), wanted.scans)
    return {
        "volumes": volume_rows(root, wanted),
        "mappings": omissions.mappings(wanted.config, points),
        "omissions": omissions.omissions(wanted.config, points),
        "preservation_places": preservation.places(_inputs(root, wanted)),
        "preservation_levels": preservation.levels(),
        "scans": table.read(root, "scans", version=wanted.versions.get("scans")),
        "snapshots": pa.Table.from_pylist(of_snapshots, stamps),
        "snapshot": pa.Table.from_pylist(of_snapshots[-1:], stamps),
        "snapshot_before": pa.Table.from_pylist(before, pa.schema([stamps.field("snapshot_id"), stamps.field("as_of")])),
        "classes": _class_rows(root, wanted),
        "controls": _control_rows(root, wanted),
        "exceptions": _exception_rows(wanted),
    }


def _create_small(connection: "DuckDBPyConnection", root: Path, wanted: Snapshot, earlier: Snapshot | None) -> None:
    for name, rows in small_tables(root, wanted, earlier).items():
        connection.register("small_table", rows)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM small_table")
        connection.unregister("small_table")


def _inputs(root: Path, wanted: Snapshot) -> Inputs:
    return derive.inputs_of(root, wanted, {place: table.read(root, "labels", table_hash=[digest]) for place, digest in wanted.label_tables.items()})


def _class_names(root: Path, wanted: Snapshot) -> list[str]:
    imported = {place: table.read(root, "labels", table_hash=[digest]) for place, digest in wanted.label_tables.items()}
    return derive.labels.class_names(wanted.config, imported)


def _control_rows(root: Path, wanted: Snapshot) -> pa.Table:
    lines = [(name, line) for name in _class_names(root, wanted) for line in requirement.lines(wanted.config.data_class(name))]
    rows = [
        {"position": place, "data_class": name, "control": line.control, "requirement": line.text, "waived": line.waived, "sets": ",".join(line.sets)}
        for place, (name, line) in enumerate(lines)
    ]
    return pa.Table.from_pylist(rows, CONTROLS)


def _class_rows(root: Path, wanted: Snapshot) -> pa.Table:
    rows = []
    for position, name in enumerate(_class_names(root, wanted)):
        data_class = wanted.config.data_class(name)
        rows.append(
            {
                "position": position,
                "data_class": name,
                **{key: getattr(data_class, key) for key in _NUMBERS},
                "max_copy_age_days": _days(data_class.max_copy_age),
                "max_verification_age_days": _days(data_class.max_verification_age),
                "retention_days": _days(domains.retention(data_class)),
                "accept_declared": data_class.accept_declared,
                "waive": list(data_class.waive),
            }
        )
    days = ("max_copy_age_days", "max_verification_age_days", "retention_days")
    types = {name: pa.int32() for name in ("position", *_NUMBERS)} | {name: pa.float64() for name in days} | {"waive": pa.list_(pa.string())}
    return pa.Table.from_pylist(rows, pa.schema([(name, types.get(name, pa.bool_() if name == "accept_declared" else pa.string())) for name in rows[0]]))


def _exception_rows(wanted: Snapshot) -> pa.Table:
    rows = [
        {"position": n, "where": e.where, "reason": e.reason, "owner": e.owner, "approver": e.approver, "until": e.until, "controls": list(e.controls or ())}
        for n, e in enumerate(wanted.config.exceptions)
    ]
    texts = ("where", "reason", "owner", "approver")
    fields = [("position", pa.int32()), *((name, pa.string()) for name in texts), ("until", pa.date32()), ("controls", pa.list_(pa.string()))]
    return pa.Table.from_pylist(rows, pa.schema(fields))


def _days(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 86400


def _previous(root: Path, wanted: Snapshot) -> Snapshot | None:
    return next((s for s in snapshot.snapshots(root) if s.snapshot_id == wanted.previous_id), None)


def _view(connection: "DuckDBPyConnection", name: str, query: str) -> None:
    connection.execute(f"CREATE VIEW {name} AS {query}")
