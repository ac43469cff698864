"""Writes the many small files of a growing table together into few. What is read stays the same, row by row, now and at every older version."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from catalog import lock, table
from catalog.errors import CatalogError, ConflictError

LOCK = "upkeep"
# They get a file or more with every scan, and are read as a whole. The others are parted by scan or snapshot, and a question reads few of their files:
# written together, what older snapshots are read at would only lie there twice.
GROWING = ("scans", "digests", "verifications", "snapshots")
TOGETHER = 8  # files of about one size are written together
_LEAST_BYTES, _LARGEST_BYTES = 256 << 10, 128 << 20
_BATCH_ROWS = 50_000
_TRIES = 5


@dataclass(frozen=True)
class Merge:
    """Files of a table, by its name, that become one. `into` None: it was not done yet."""

    name: str
    files: tuple[str, ...]  # relative to the table's folder, in the order in which they were added
    rows: int
    bytes: int
    into: table.NewFile | None = None


def plan(root: Path) -> list[Merge]:
    """What `compact` would write together. Reads only. Raises CatalogError as it does."""
    return [merge for name in GROWING if table.exists(root, name) for merge in _merges(root, name)]


def compact(root: Path) -> Iterator[Merge]:
    """Write small files together, table by table, and commit each; gives what was done. Writes to the catalog only.

    The old files stay where they are, for readers that began before and for snapshots that are read at older versions: `expire` takes away what none of
    them can need. Killed at any moment it leaves the table as it was, or compacted, and perhaps a file that no log names. Safe beside scans and readers.
    Raises LockedError where another run is at it, CatalogError where the rows read back are not those that were written, and, before anything is changed,
    where a table or a file has other columns than this version knows: what it does not know it would drop.
    """
    with lock.hold(root, LOCK):
        plan(root)
        for name in GROWING:
            if table.exists(root, name):
                yield from _compact(root, name)


def chosen(files: Sequence[tuple[str, int]]) -> list[list[str]]:
    """Which of some files, path and bytes, are written together: eight or more of about one size, so that no row is written again and again.

    Each time a row is written again its file is some times larger than before: in a catalog of n scans that happens log n times.
    """
    alike: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for path, size_bytes in files:
        if size_bytes < _LARGEST_BYTES // 2:
            alike[_level(size_bytes)].append((path, size_bytes))
    found = []
    for _, some in sorted(alike.items()):
        if len(some) >= TOGETHER:
            found += [group for group in _parted(some) if len(group) > 1]
    return found


def _level(size_bytes: int) -> int:
    level = 0
    while size_bytes > _LEAST_BYTES:
        size_bytes, level = size_bytes // TOGETHER, level + 1
    return level


def _parted(files: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    group: list[str] = []
    total = 0
    for path, size_bytes in files:
        if group and total + size_bytes > _LARGEST_BYTES:
            yield group
            group, total = [], 0
        group.append(path)
        total += size_bytes
    yield group


def _merges(root: Path, name: str) -> list[Merge]:
    files = table.state(root, name).files
    groups = chosen([(path, file.size_bytes) for path, file in files.items()])
    check_columns(root, name, [path for group in groups for path in group])
    return [Merge(name, tuple(group), sum(files[path].rows or 0 for path in group), sum(files[path].size_bytes for path in group)) for group in groups]


def check_columns(root: Path, name: str, paths: Iterable[str]) -> None:
    """Raises CatalogError where a table, or a file of it, has not exactly the columns that are written here."""
    import pyarrow.parquet as pq

    unlike = "which this version of Lastcopy does not write; nothing was changed, compact it with the version that wrote it"
    if strange := (table.state(root, name).columns or frozenset()) ^ set(table.stored_schema(name).names):
        raise CatalogError(f"{root / name}: has the columns {', '.join(sorted(strange))}, {unlike}")
    files = table.named(root, name)
    chosen = list(paths)
    table.fetch(root, name, {path: files[path] for path in chosen if path in files})
    for path in chosen:
        try:
            found = pq.read_schema(root / name / path)
        except (OSError, pa.ArrowException) as error:
            raise CatalogError(f"{root / name / path}: cannot be read ({error}); nothing was changed, 'lastcopy catalog verify' says more") from error
        if not found.equals(table.file_schema(name)):
            raise CatalogError(f"{root / name / path}: has columns {unlike}")


def _compact(root: Path, name: str) -> list[Merge]:
    """All merges of one table in one commit. Where another host takes a file away meanwhile, it is looked at anew."""
    for tries_left in reversed(range(_TRIES)):
        merges = _merges(root, name)
        if not merges:
            return []
        done = [Merge(name, merge.files, merge.rows, merge.bytes, _written(root, merge)) for merge in merges]
        replaced = [str((root / name / path).absolute()) for merge in done for path in merge.files]
        try:
            table.commit(root, name, [merge.into for merge in done if merge.into], f"compact-{uuid.uuid4().hex}", replaced)
        except ConflictError:
            if not tries_left:
                raise
        else:
            return done
    raise AssertionError("unreachable: the last try raises")


def _written(root: Path, merge: Merge) -> table.NewFile:
    """A new file with the rows of the old ones, read back and compared. It is in no log yet."""
    path, schema = table.new_path(merge.name), table.file_schema(merge.name)
    rows = 0
    with table.writer(root, merge.name, path, schema) as sink:
        for group in table.groups(_batches(root, merge.name, merge.files, schema)):
            sink.write_table(group)
            rows += group.num_rows
    if not _are_equal(_batches(root, merge.name, merge.files, schema), _batches(root, merge.name, [path], schema)):
        raise CatalogError(f"{root / merge.name / path}: its rows are not those that were written; nothing was changed, 'lastcopy catalog verify' says more")
    return table.NewFile(path, (root / merge.name / path).stat().st_size, rows)


def _batches(root: Path, name: str, paths: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    for path in paths:
        with pq.ParquetFile(root / name / path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=schema.names, use_threads=False):
                yield batch.select(schema.names).cast(schema)


def _are_equal(these: Iterator[pa.RecordBatch], those: Iterator[pa.RecordBatch]) -> bool:
    """Whether the rows of two sequences of batches are the same, in the same order."""
    one: pa.RecordBatch | None = None
    other: pa.RecordBatch | None = None
    while True:
        one = one if one is not None and one.num_rows else next((batch for batch in these if batch.num_rows), None)
        other = other if other is not None and other.num_rows else next((batch for batch in those if batch.num_rows), None)
        if one is None or other is None:
            return one is other
        count = min(one.num_rows, other.num_rows)
        if not one.slice(0, count).equals(other.slice(0, count)):
            return False
        one, other = one.slice(count), other.slice(count)
