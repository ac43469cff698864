"""The catalog's Delta tables: append-only, one commit for all files of a scan, everything on disk before it is said to be."""

import functools
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog import log, mirror, place, printable
from catalog.durable import sync
from catalog.errors import CatalogError, ConfigError, ConflictError
from catalog.schema import DERIVED, PARTITIONS, TABLES

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_SAFE_FEATURES = {"timestampNtz"}  # with any other a plain file list could lie: deletion vectors, column mapping
_DELTA_ENCODED = {
    "name": "DELTA_BYTE_ARRAY",
    "copy_name": "DELTA_BYTE_ARRAY",
    "inode": "DELTA_BINARY_PACKED",
    "path_hash": "DELTA_BINARY_PACKED",
    "entry_id": "DELTA_BINARY_PACKED",
}
_PLAIN = {"accessed_at": 3, "size_bytes": 1}  # zstd's level: it packs these smaller than they are with a delta encoding or a dictionary
_NEVER_REPEATED = {*_DELTA_ENCODED, *_PLAIN, "digest", "sample"}
_GROUP_BYTES = 256 << 20
GROUP_ROWS = 100_000  # of each row group: the same rows give the same bytes
_TRIES = 20  # to add files while others take some out
LONGEST_SECONDS = 12 * 3600.0  # that files may take to an object store: those that nothing names for longer are taken for nobody's
_KEPT_FILES, _SMALL_BYTES = 512, 32 << 10  # of tables that have a small file a scan or snapshot
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PARTITION_VALUE = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class NewFile:
    """A Parquet file that lies in a table's folder and is not yet in its log. `path` is relative to that folder."""

    path: str
    size_bytes: int
    rows: int
    partition: dict[str, str] = field(default_factory=dict)


def new_path(table: str, partition: dict[str, str] | None = None) -> str:
    """A unique relative path for a new file of a table."""
    values = partition or {}
    for value in values.values():
        if not _PARTITION_VALUE.fullmatch(value):
            raise CatalogError(f"table {table}: {value!r} cannot be a partition value")
    return "/".join([*(f"{key}={values[key]}" for key in PARTITIONS[table]), f"part-{uuid.uuid4().hex}.parquet"])


def is_own(table: str, path: str) -> bool:
    """Whether a relative path is one that `new_path` gives for a table, or that of a derived table's file before it is whole, which DuckDB names."""
    return _own_path(table).fullmatch(path) is not None


@functools.cache
def _own_path(table: str) -> re.Pattern[str]:
    folders = "".join(f"{key}={_PARTITION_VALUE.pattern}/" for key in PARTITIONS[table])
    return re.compile(f"{folders}{'(tmp_)?' if table in DERIVED else ''}part-[0-9a-f]{{32}}\\.parquet")


def writer(root: Path, table: str, path: str, schema: pa.Schema | None = None) -> "pq.ParquetWriter":
    """A Parquet writer for a new file of a table, with the encodings that were measured to be smallest. Makes its folder."""
    import pyarrow.parquet as pq

    file = root / table / path
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = schema or TABLES[table]
    return pq.ParquetWriter(
        file,
        columns,
        compression="zstd",
        compression_level={name: _PLAIN.get(name, 3) for name in columns.names},
        use_dictionary=[f.name for f in columns if f.name not in _NEVER_REPEATED],
        column_encoding={name: encoding for name, encoding in _DELTA_ENCODED.items() if name in columns.names},
        write_statistics=True,
        store_schema=False,
    )


def write(root: Path, table: str, rows: pa.Table, partition: dict[str, str] | None = None) -> NewFile:
    """Write rows as one new file of a table, not yet in its log."""
    path = new_path(table, partition)
    with writer(root, table, path) as sink:
        sink.write_table(_as(TABLES[table], rows))
    return NewFile(path, (root / table / path).stat().st_size, rows.num_rows, partition or {})


def groups(batches: Iterable[pa.RecordBatch], size: int = GROUP_ROWS) -> Iterator[pa.Table]:
    """The rows of batches in tables of that many rows each, but for the last one and where so many would take a memory."""
    waiting: list[pa.RecordBatch] = []
    rows = size_bytes = 0
    for batch in batches:
        waiting.append(batch)
        rows, size_bytes = rows + batch.num_rows, size_bytes + batch.nbytes
        if size_bytes > _GROUP_BYTES:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting, rows, size_bytes = [], 0, 0
        while rows >= size:
            whole = pa.Table.from_batches(waiting)
            yield whole.slice(0, size).combine_chunks()
            waiting = whole.slice(size).to_batches()
            rows, size_bytes = rows - size, sum(part.nbytes for part in waiting)
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def append(root: Path, table: str, rows: pa.Table, app_id: str, partition: dict[str, str] | None = None, after: int | None = None) -> int:
    """Write rows as one new file and commit it; gives the table's new version. Nothing is done for an `app_id` that was committed before."""
    return commit(root, table, [write(root, table, rows, partition)] if rows.num_rows else [], app_id, after=after)


def commit(root: Path, table: str, files: Sequence[NewFile], app_id: str, replaced: Sequence[str] = (), after: int | None = None) -> int:
    """Put files into a table's log in one commit, after they and their folders are on disk; gives the table's new version.

    `replaced` are absolute paths of files that leave the table with it. Where there are none of either, the table is made, and nothing is written.
    A second commit of one `app_id` does nothing, so that a commit whose reply was lost can be repeated.
    Raises ConflictError where one of the replaced files is in the table no more, or the table is not of the version `after` any more: nothing was changed.
    """
    is_stored, begun = False, 0.0
    for tries_left in reversed(range(_TRIES)):
        mirror.catch_up(root, table)
        known = _made(root, table)
        if app_id in known.app_ids or not (files or replaced):
            return known.version
        if after is not None and known.version != after:
            raise ConflictError(f"{root / table}: another run wrote version {known.version}; run it again")
        leaving = list(map(_within(root, table), replaced))
        if gone := [path for path in leaving if path not in known.files]:
            raise ConflictError(f"{root / table}: another run replaced {gone[0]}; run it again")
        if not is_stored:
            begun = time.clock_gettime(time.CLOCK_BOOTTIME)  # it goes on while the host sleeps
            _store_files(root, table, files)
            is_stored = True
        if time.clock_gettime(time.CLOCK_BOOTTIME) - begun > LONGEST_SECONDS:
            raise CatalogError(f"{root / table}: its files took too long to be stored; run it again, with a faster way to the store")
        try:
            _write_commit(root, table, files, app_id, {path: known.files[path].partition for path in leaving}, known.version, after is not None)
            break
        except CatalogError as error:
            mirror.catch_up(root, table)
            if app_id in state(root, table).app_ids:  # it was done, and the answer was lost
                break
            # What is only added stands beside whatever was done meanwhile, removals too. Whether what leaves is still there is looked at again above;
            # in a folder delta-rs has done that.
            if not isinstance(error, ConflictError) or (leaving and place.of(root) is None) or after is not None or not tries_left:
                raise
    if place.of(root):
        mirror.catch_up(root, table)
        return log.newest(root / table)
    for written in log.written_after(root / table, known.version):
        sync(written)
    sync(root / table / log.FOLDER)
    return log.newest(root / table)


def files(root: Path, table: str, version: int | None = None, **partition: Iterable[str]) -> list[str]:
    """Absolute paths of a table's files at a version (default: now), limited to those partition values; sorted. They are there to be read.

    A table that does not exist has no files. Raises CatalogError as `state` does, and where a file is gone from an object store.
    """
    found = named(root, table, version, **partition)
    fetch(root, table, found)
    folder = str((root / table).absolute())
    return [f"{folder}/{path}" for path in found]


def named(root: Path, table: str, version: int | None = None, **partition: Iterable[str]) -> dict[str, log.Logged]:
    """As `files`, by their paths in the table's folder: they are not read, and of a catalog on an object store perhaps not there."""
    check_place(root)
    if version == -1 or (version is None and not exists(root, table)):
        return {}
    wanted = {key: frozenset(values) for key, values in partition.items()}
    found = state(root, table, version).files.items()
    return dict(sorted((path, file) for path, file in found if all(file.partition[key] in accepted for key, accepted in wanted.items())))


def fetch(root: Path, table: str, found: Mapping[str, log.Logged]) -> None:
    """Have some files of a table lie in its folder: those of a catalog on an object store are brought there. Raises CatalogError where one is gone."""
    if place.of(root):
        mirror.fetch(root, table, {path: file.size_bytes for path, file in found.items()})


@functools.cache
def check_place(root: Path) -> None:
    """Raises ConfigError for a folder in which a catalog would be misread.

    Readers of partitioned Parquet take every folder `key=value` of a path for a column, those above the catalog too, and
    delta-rs decodes `%41` in the path of a table that exists.
    """
    for part in (*root.absolute().parts, *root.resolve().parts):
        if "=" in part or "%" in part:
            raise ConfigError(f"{root}: a catalog cannot lie below a folder with '=' or '%' in its name ({part!r}); set [catalog] path to another place")


def version(root: Path, table: str) -> int:
    """A table's version now; -1 if it does not exist."""
    return state(root, table).version if exists(root, table) else -1


def exists(root: Path, table: str) -> bool:
    """Whether a table was ever made."""
    mirror.catch_up(root)
    return log.newest(root / table) >= 0


def read(root: Path, table: str, columns: Sequence[str] | None = None, version: int | None = None, **partition: Iterable[str]) -> pa.Table:
    """A small table, or some of its partitions, in memory, without its partition columns. Starts no thread: who has none can still be forked."""
    wanted = pa.schema([TABLES[table].field(c) for c in columns]) if columns else TABLES[table]
    found = files(root, table, version, **partition)
    parts = [_as(wanted, _rows(path, tuple(wanted.names))) for path in found]
    return pa.concat_tables([wanted.empty_table(), *parts]).unify_dictionaries()


def _rows(path: str, columns: tuple[str, ...]) -> pa.Table:
    """Columns of one file. Small ones are read once: a file of a table never changes, and one command asks for the scans again and again."""
    found = os.stat(path)
    identity = (found.st_ino, found.st_mtime_ns, found.st_size)
    return _read_once(path, identity, columns) if found.st_size <= _SMALL_BYTES else _read(path, columns)


@functools.lru_cache(maxsize=_KEPT_FILES)
def _read_once(path: str, _identity: tuple[int, ...], columns: tuple[str, ...]) -> pa.Table:
    return _read(path, columns)


def _read(path: str, columns: tuple[str, ...]) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, pre_buffer=False).read(columns=list(columns), use_threads=False).select(list(columns))


def _as(wanted: pa.Schema, rows: pa.Table) -> pa.Table:
    return rows if rows.schema.equals(wanted) else rows.cast(wanted)  # a cast imports all of Arrow's compute functions


def state(root: Path, table: str, version: int | None = None) -> log.State:
    """What a version of a table consists of. Raises CatalogError if it is damaged or was written by a tool whose files we would misread."""
    if version is None:
        mirror.catch_up(root)
    try:
        found = log.replay(root / table, version)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CatalogError(f"{root / table}: not readable as a Delta table ({error}); 'lastcopy doctor' says what is damaged") from error
    strange = (found.reader_features or frozenset()) - _SAFE_FEATURES
    if strange:
        raise CatalogError(f"{root / table}: another tool turned on {', '.join(sorted(strange))}; its rows would be misread, restore an older version of it")
    missing = set(stored_schema(table).names) - (found.columns or frozenset())
    if missing:
        raise CatalogError(f"{root / table}: has no column {', '.join(sorted(missing))}; another version of Lastcopy wrote it, scan into a new catalog")
    return found


@functools.cache
def stored_schema(table: str) -> pa.Schema:
    """The schema of a table's rows as Delta and its readers see them: no dictionaries, partition columns as text at the end."""
    plain = [pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in TABLES[table]]
    return pa.schema([*plain, *((key, pa.string()) for key in PARTITIONS[table])])


def file_schema(table: str) -> pa.Schema:
    """The schema of a table's files as their readers see them: no dictionaries, no partition columns."""
    return pa.schema([field for field in stored_schema(table) if field.name not in PARTITIONS[table]])


def _made(root: Path, table: str) -> log.State:
    """The table as it is now, made if it was not."""
    check_place(root)
    if not exists(root, table):
        _make(root, table)
    return state(root, table)


def _make(root: Path, table: str) -> None:
    from deltalake import Schema
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import create_table_with_add_actions

    schema: Any = Schema.from_arrow(stored_schema(table))
    if place.of(root) is None:
        (root / table).mkdir(parents=True, exist_ok=True)
        create_table_with_add_actions(str((root / table).absolute()), schema, [], mode="ignore", partition_by=PARTITIONS[table])
        sync(root / table / log.FOLDER / f"{0:020d}.json")
        sync(root / table)
        sync(root)
        return
    mirror.refuse_unsafe(root)
    with mirror.staged(root, table, -1) as folder:
        try:
            create_table_with_add_actions(str(folder), schema, [], mode="ignore", partition_by=PARTITIONS[table])
        except (DeltaError, OSError) as error:
            raise CatalogError(f"{root / table}: could not be made as a Delta table ({_said(error)})") from error
        mirror.put_commit(root, table, 0, folder)  # else another host made it at the same time
    mirror.catch_up(root, table)


def _within(root: Path, table: str) -> Callable[[str], str]:
    folder = f"{(root / table).absolute()}/"
    return lambda path: path.removeprefix(folder)


def _write_commit(
    root: Path, table: str, files: Sequence[NewFile], app_id: str, replaced: Mapping[str, Mapping[str, str | None]], known_version: int, alone: bool = False
) -> None:
    if place.of(root) is None:
        _write_commit_in(root / table, root / table, files, app_id, replaced, known_version if replaced or alone else None, 0 if alone else 100)
        return
    with mirror.staged(root, table, known_version) as folder:
        _write_commit_in(folder, root / table, files, app_id, replaced, known_version, 0)
        if not mirror.put_commit(root, table, known_version + 1, folder):
            raise ConflictError(f"{root / table}: another host wrote version {known_version + 1} meanwhile; run it again")


def _write_commit_in(
    folder: Path, named: Path, files: Sequence[NewFile], app_id: str, replaced: Mapping[str, Mapping[str, str | None]], since: int | None, retries: int
) -> None:
    """Have delta-rs write a commit into the log of the table in a folder; `named` in errors, which are read when a folder of a while is gone.

    `since`: what was committed since that version is held against `replaced`, so that whoever took one of these files away is seen.
    """
    from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
    from deltalake.exceptions import CommitFailedError, DeltaError
    from deltalake.transaction import AddAction, RemoveAction, Transaction

    actions: list[AddAction | RemoveAction] = [AddAction(f.path, f.size_bytes, f.partition, 0, True, json.dumps({"numRecords": f.rows})) for f in files]
    actions += [RemoveAction(path, True, time.time_ns() // 1_000_000, None, dict(partition)) for path, partition in replaced.items()]
    properties = CommitProperties({log.MARK: uuid.uuid4().hex}, retries, [Transaction(app_id, 1)])
    afterwards = PostCommitHookProperties(cleanup_expired_logs=False)  # old snapshots are read at the versions of their day
    try:
        delta = DeltaTable(str(folder.absolute()), version=since)
        delta.create_write_transaction(
            actions, "append", delta.schema(), PARTITIONS[folder.name], commit_properties=properties, post_commithook_properties=afterwards
        )
    except CommitFailedError as error:
        raise ConflictError(f"{named}: another run changed it meanwhile ({_said(error)}); run it again") from error
    except (DeltaError, OSError) as error:
        raise CatalogError(f"{named}: could not be written as a Delta table ({_said(error)}); 'lastcopy doctor' says what is damaged") from error


def _said(error: Exception) -> str:
    """What delta-rs says in many coloured lines, in one that is safe to print."""
    return printable.clean(" ".join(_COLOUR.sub("", str(error)).split()))


def _store_files(root: Path, table: str, files: Sequence[NewFile]) -> None:
    """Have files be where they stay, before a commit names them."""
    if place.of(root):
        mirror.publish(root, table, [file.path for file in files])
        return
    folder = root / table
    parents: set[Path] = set()
    for file in files:
        sync(folder / file.path)
        parents.update((folder / file.path).parents)
    for parent in parents:
        if parent == folder or folder in parent.parents:
            sync(parent)
