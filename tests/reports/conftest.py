"""A snapshot made of small rows: every view that a report may read, as a table in memory."""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from catalog import columns, connect, derived, omissions, preservation, schema
from catalog.words import THREATS

Rows = Sequence[Mapping[str, Any]]
Estate = Callable[..., duckdb.DuckDBPyConnection]
AS_OF = datetime.datetime(2026, 11, 20, 12)
TEXT, WHOLE, FLAG, TIME = pa.string(), pa.int64(), pa.bool_(), columns.TIMESTAMP

WORDS, RATIO, SMALL = pa.list_(TEXT), pa.float64(), pa.int32()
CLASSES = pa.schema(
    [
        ("position", SMALL), ("data_class", TEXT), ("copies", SMALL), ("systems", SMALL), ("sites", SMALL),
        ("regions", SMALL), ("admins", SMALL), ("media", SMALL), ("offline_or_immutable", SMALL),
        ("min_verification_level", SMALL), ("max_copy_age_days", RATIO), ("max_verification_age_days", RATIO), ("retention_days", RATIO),
        ("accept_declared", FLAG), ("waive", WORDS),
    ]
)  # fmt: skip
EXCEPTIONS = pa.schema(
    [("position", SMALL), ("where", TEXT), ("reason", TEXT), ("owner", TEXT), ("approver", TEXT), ("until", pa.date32()), ("controls", WORDS)]
)
PRESERVATION = pa.schema(
    [
        ("volume", TEXT),
        ("entry_id", WHOLE),
        ("level", SMALL),
        ("storage_level", SMALL),
        ("integrity_level", SMALL),
        ("possible_level", SMALL),
        ("missing", TEXT),
    ]
)
SNAPSHOT = pa.schema([("snapshot_id", TEXT), ("as_of", TIME), ("complete", FLAG), ("previous_snapshot_id", TEXT)])
VOLUME = {
    "kind": "posix", "role": "primary", "systems": ["nas-1"], "sites": ["paris"], "admins": ["it"], "devices": ["d1"], "media": "disk", "access": "online",
    "immutability": "none", "encrypted": "no", "key_on": [],
    "state": "complete", "scan_id": "s1", "scanned_at": datetime.datetime(2026, 11, 20, 10), "problems": 0, "entries": 10, "files": 9,
    "bytes": 1000, "carried_entries": 0, "currency": "EUR",
}  # fmt: skip
FILE = {
    "volume": "projects", "dir": "", "role": "primary", "size_bytes": 100, "data_class": "default", "carried": False, "is_asset": True,
    "other_copies": 0, "is_last_copy": True, "status": "unprotected", "clock": "accessed", "reasons": "never_copied", "not_met": "", "unknown_controls": "",
    "copies": 1, "systems": 1, "sites": 1, "offline_or_immutable_copies": 0, "freshness": "unprotected", "modified_at": datetime.datetime(2026, 1, 1),
    **dict.fromkeys(THREATS, "no"), **{f"{threat}_reasons": "never_copied" for threat in THREATS},
}  # fmt: skip


@pytest.fixture
def estate() -> Iterator[Estate]:
    """Makes a connection from rows of each view; what a row does not say has a harmless value."""
    connections: list[duckdb.DuckDBPyConnection] = []

    def make(before: Rows = (), **views: Rows) -> duckdb.DuckDBPyConnection:
        connections.append(fill(duckdb.connect(), before, views))
        return connections[-1]

    yield make
    for connection in connections:
        connection.close()


def fill(connection: duckdb.DuckDBPyConnection, before: Rows, views: Mapping[str, Rows]) -> duckdb.DuckDBPyConnection:
    """Make every view of a reader's connection out of rows."""
    volumes = views.get("volumes", [{"volume": "projects"}])
    _table(connection, "volumes", connect.VOLUMES, [VOLUME | {"position": n, "url": f"/srv/{v['volume']}"} | dict(v) for n, v in enumerate(volumes)])
    _table(connection, "files", _with_path(derived.FILES), [_file(row) for row in views.get("files", [])])
    _table(connection, "files_before", _with_path(derived.FILES), [_file(row) for row in before])
    connection.execute("CREATE VIEW assets AS SELECT * FROM files WHERE is_asset")
    _table(connection, "copies", _with_path(derived.COPIES), [_copy(row) for row in views.get("copies", [])])
    _table(connection, "duplicate_groups", _with_path(derived.DUPLICATE_GROUPS), [_split(row) for row in views.get("duplicate_groups", [])])
    connection.execute(f"CREATE VIEW duplicates_by_scope AS {connect.DUPLICATES_BY_SCOPE}")
    _table(connection, "orphans", _with_path(derived.ORPHANS), [_orphan(row) for row in views.get("orphans", [])])
    _table(connection, "rollup", derived.ROLLUP, views.get("rollup", []))
    _table(connection, "entries", _with_path(schema.ENTRIES).append(pa.field("volume", TEXT)).append(pa.field("scan_id", TEXT)), _entries(views))
    _table(connection, "digests", _with_path(schema.DIGESTS), [_split(row) for row in views.get("digests", [])])
    _table(connection, "history", derived.HISTORY.append(pa.field("snapshot_id", TEXT)), views.get("history", []))
    _table(connection, "problems", schema.PROBLEMS.append(pa.field("scan_id", TEXT)).append(pa.field("volume", TEXT)), views.get("problems", []))
    _table(
        connection,
        "classes",
        CLASSES,
        [{"waive": [], "retention_days": 30.0, "accept_declared": False} | dict(row) for row in views.get("classes", [{"data_class": "default"}])],
    )
    _table(connection, "exceptions", EXCEPTIONS, [{"controls": []} | dict(row) for row in views.get("exceptions", [])])
    _table(
        connection, "controls", connect.CONTROLS, [{"waived": False, "sets": "", "position": n} | dict(row) for n, row in enumerate(views.get("controls", []))]
    )
    _table(connection, "excepted", pa.schema([("position", SMALL), ("volume", TEXT), ("entry_id", WHOLE)]), [_excepted(r) for r in views.get("excepted", [])])
    _table(connection, "mappings", omissions.MAPPINGS, views.get("mappings", []))
    _table(connection, "preservation", PRESERVATION, views.get("preservation", []))
    _table(connection, "preservation_places", preservation.PLACES, views.get("preservation_places", []))
    _table(connection, "omissions", omissions.OMISSIONS, views.get("omissions", []))
    _table(connection, "recovery_points", schema.RECOVERY_POINTS.append(pa.field("volume", TEXT)), views.get("recovery_points", []))
    _table(connection, "verifications", schema.VERIFICATIONS, views.get("verifications", []))
    _table(connection, "scans", schema.SCANS, views.get("scans", []))
    snapshot = {"snapshot_id": "snap-2", "as_of": AS_OF, "complete": True, "previous_snapshot_id": "snap-1"}
    earlier = [{"snapshot_id": "snap-1", "as_of": AS_OF - datetime.timedelta(days=1)}]
    _table(connection, "snapshot_before", pa.schema([SNAPSHOT.field("snapshot_id"), SNAPSHOT.field("as_of")]), views.get("snapshot_before", earlier))
    _table(connection, "sight", pa.schema([("part", TEXT)]), views.get("sight", []))
    _table(connection, "elsewhere", pa.schema([("volume", TEXT), ("entry_id", WHOLE), ("copies", WHOLE)]), views.get("elsewhere", []))
    _table(connection, "snapshot", SNAPSHOT, [snapshot | dict(row) for row in views.get("snapshot", [{}])])
    return connection


def answer(relation: duckdb.DuckDBPyRelation, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a relation, or some of its columns."""
    found = relation.to_arrow_table().select(list(columns) or relation.columns)
    return [tuple(row.values()) for row in found.to_pylist()]


def _entries(views: Mapping[str, Rows]) -> list[dict[str, Any]]:
    return [{"type": "file", "scan_id": "s1", "entry_id": abs(hash(row["path"])) >> 2} | _split(row) for row in views.get("entries", [])]


def _file(row: Mapping[str, Any]) -> dict[str, Any]:
    full = FILE | _split(row)
    return {"counted_bytes": full["size_bytes"], "allocated_bytes": full["size_bytes"], "entry_id": abs(hash(full["path"])) >> 2} | full


def _copy(row: Mapping[str, Any]) -> dict[str, Any]:
    full: dict[str, Any] = {"volume": "projects", "is_current": True, "usable": "yes", "match": "content", "verification_level": 2, "files": 1} | _split(row)
    full |= {"entry_id": abs(hash(full["path"])) >> 2}
    copied = _split({"path": full.pop("copy_path", full["path"])})
    return {"copy_dir": copied["dir"], "copy_name": copied["name"], "size_bytes": 100} | full


def _orphan(row: Mapping[str, Any]) -> dict[str, Any]:
    full = {"kind": "gone", "certain": "yes", "size_bytes": 100} | _split(row)
    return full | {"entry_id": abs(hash(full["path"])) >> 2}


def _excepted(row: Mapping[str, Any]) -> dict[str, Any]:
    full = {"volume": "projects"} | dict(row)
    return full | {"entry_id": abs(hash(full.pop("path"))) >> 2}


def _split(row: Mapping[str, Any]) -> dict[str, Any]:
    folder, slash, name = row["path"].rpartition("/")
    return {"dir": folder + slash, "name": name} | dict(row)


def _with_path(columns: pa.Schema) -> pa.Schema:
    return columns.append(pa.field("path", TEXT))


def _table(connection: duckdb.DuckDBPyConnection, name: str, columns: pa.Schema, rows: Rows) -> None:
    known = {field.name for field in columns}
    strange = {key for row in rows for key in row} - known
    assert not strange, f"{name} has no column {strange}"
    plain = pa.schema([pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in columns])
    rows_table = pa.Table.from_pylist([dict(row) for row in rows], plain)
    connection.register(f"{name}_rows", rows_table)
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_rows")
    connection.unregister(f"{name}_rows")
