"""Parquet files as table expressions of SQL."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from catalog import table
from catalog.schema import PROBLEMS, RECOVERY_POINTS, VERIFICATIONS
from catalog.snapshot import Snapshot


def parquet(files: Sequence[str], schema: pa.Schema, *partitions: str) -> str:
    """A table expression over Parquet files; over none, an empty one with the columns of the schema."""
    if not files:
        columns = ", ".join(f'CAST(NULL AS {sql_type(field.type)}) AS "{field.name}"' for field in schema)
        return f"(SELECT {columns} WHERE FALSE)"
    hive = f", hive_partitioning = true, hive_types = {{{', '.join(f'{key}: VARCHAR' for key in partitions)}}}" if partitions else ", hive_partitioning = false"
    return f"read_parquet([{', '.join(map(quoted, files))}]{hive})"


def problem_rows(files: Sequence[str]) -> str:
    """A query over files of `problems`: volume, path, inode (null: whatever is there), and `unread_at`, when that could not be read, if so."""
    schema = PROBLEMS.append(pa.field("volume", pa.string()))
    unread = "CASE WHEN stage IN ('open', 'read', 'changed') AND NOT hides_below THEN seen_at END AS unread_at"
    return f"SELECT volume, path, inode, {unread} FROM {parquet(files, schema, 'scan_id', 'volume')}"


def recovery_points(root: Path, wanted: Snapshot) -> str:
    """A query over the recovery points that a snapshot's scans saw, with their volumes."""
    files = table.files(root, "recovery_points", wanted.versions.get("recovery_points", -1), scan_id=wanted.scans.values())
    return f"SELECT * FROM {parquet(files, RECOVERY_POINTS.append(pa.field('volume', pa.string())), 'scan_id', 'volume')}"


def verifications(root: Path, wanted: Snapshot) -> str:
    """A query over what was recorded of backups until a snapshot."""
    return f"SELECT * FROM {parquet(table.files(root, 'verifications', wanted.versions.get('verifications', -1)), VERIFICATIONS)}"


def sql_type(kind: pa.DataType) -> str:
    """The engine's name of a column's type."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return {"string": "VARCHAR", "int64": "BIGINT", "int32": "INTEGER", "bool": "BOOLEAN", "binary": "BLOB", "timestamp[us]": "TIMESTAMP"}[str(plain)]


def quoted(text: str) -> str:
    """A text as a literal."""
    return "'" + text.replace("'", "''") + "'"
