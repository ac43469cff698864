"""Whose a file is, as holds ask it: the owner of its storage, and every owner that a label of the configuration gives or may give it."""

import functools
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from catalog import names, predicate
from catalog.config import Config
from catalog.derive import labels
from catalog.errors import ConfigError
from catalog.schema import ENTRIES
from lifecycle.holds import Owners
from lifecycle.stores import Fingerprint


@dataclass(frozen=True)
class File:
    """A file whose owners are asked for. `uid` is None where it is not known."""

    volume: str
    path: bytes
    fingerprint: Fingerprint
    uid: int | None


def of(config: Config, files: Sequence[File]) -> list[Owners]:
    """The owners of each file; None = not known, as where a label cannot be read. A label whose condition cannot be told of a file counts as its own."""
    stored = [None if file.uid is None else named(file.uid) for file in files]
    try:
        given = _given(config, files)
    except ConfigError:
        return [None] * len(files)
    return [None if owner is None else more | {owner} for owner, more in zip(stored, given, strict=True)]


@functools.cache
def named(uid: int) -> str | None:
    """The owner of a file as the catalog and holds name it; None where nobody on this host has that number."""
    try:
        return names.escape(pwd.getpwuid(uid).pw_name.encode("utf-8", "surrogateescape"))
    except (KeyError, OverflowError):
        return None


def _given(config: Config, files: Sequence[File]) -> list[frozenset[str]]:
    """What labels say: every one that holds or may hold, not the first alone. Raises ConfigError."""
    found: list[set[str]] = [set() for _ in files]
    for number, label in enumerate(config.labels):
        if label.table is not None:
            rows = labels.read_imported(config.folder / label.table, f"labels[{number}].table", config).to_pylist()
            for owners, file in zip(found, files, strict=True):
                owners.update(row["owner"] for row in rows if row["owner"] is not None and _is_for(row, file))
    conditions = [(number, label.owner, label.where) for number, label in enumerate(config.labels) if label.owner is not None and label.where is not None]
    if conditions:
        _add_by_conditions(found, conditions, files)
    return [frozenset(owners) for owners in found]


def _is_for(row: dict[str, Any], file: File) -> bool:
    path, wanted = names.escape(file.path), row["path"]
    below = wanted is not None and (wanted == "" or wanted.endswith("/")) and path.startswith(wanted)
    return row["volume"] in (None, file.volume) and (below or path == wanted)


def _add_by_conditions(found: list[set[str]], conditions: Sequence[tuple[int, str, str]], files: Sequence[File]) -> None:
    import duckdb

    asked = ", ".join(f"coalesce({predicate.check(where, labels.COLUMNS, f'labels[{number}].where')}, TRUE)" for number, _, where in conditions)
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        connection.register("files", _rows(files))
        rows = connection.execute(f"SELECT {asked} FROM files ORDER BY place").fetchall()
    for owners, row in zip(found, rows, strict=True):
        owners.update(owner for (_, owner, _), holds in zip(conditions, row, strict=True) if holds)


def _rows(files: Sequence[File]) -> pa.Table:
    """Files as entries, as far as they are known here; what is not known is null."""
    rows = []
    for place, file in enumerate(files):
        path = names.escape(file.path)
        directory, _, name = path.rpartition("/")
        known = {
            "place": place,
            "volume": file.volume,
            "path": path,
            "dir": directory and directory + "/",
            "name": name,
            "type": file.fingerprint.type,
            "size_bytes": file.fingerprint.size_bytes,
            "extension": names.extension(name),
            "modified_at": file.fingerprint.modified_ns // 1000,
            "modified_ns": file.fingerprint.modified_ns % 1000,
            "owner": None if file.uid is None else named(file.uid),
            "uid": file.uid,
            "fs_id": file.fingerprint.fs_id,
            "inode": file.fingerprint.inode,
        }
        rows.append(known)
    types = {field.name: field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in ENTRIES}
    types |= {"volume": pa.string(), "path": pa.string(), "place": pa.int64()}
    fields = [pa.field(name, types[name]) for name in dict.fromkeys(["place", *labels.COLUMNS])]
    return pa.table({field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in fields}, schema=pa.schema(fields))
