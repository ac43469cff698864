"""The versions of files in a backup's repository that damage hits, by what each is made of, and where in the repository that lies."""

import datetime
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

import scanners
from catalog.config import Config
from catalog.errors import UnreachableError
from catalog.schema import ENTRIES
from scanners import ShardRecord
from scanners.suspects import Suspects

KEYS = (
    "dir", "name", "path_hash", "fs_id", "inode", "size_bytes", "modified_at", "modified_ns", "changed_at", "changed_ns", "last_recovery_point",
)  # fmt: skip
_SCHEMA = pa.schema([ENTRIES.field(name) for name in KEYS])


def find(config: Config, volume: str, suspects: Suspects, repository: str | None, now: datetime.datetime) -> pa.Table:
    """The versions that need something suspect, or lack something: columns `KEYS`. Reads the repository, which must be the one of that identity.

    Raises UnreachableError where it is another one, cannot be looked into, or is no longer as it was when damage was found.
    """
    kind = config.volumes[volume].kind
    if kind != suspects.kind:
        raise UnreachableError(f"volume {volume}: it is of kind {kind}, and the check of one of kind {suspects.kind}")
    started_us = int(now.timestamp() * 1_000_000)
    scanner = scanners.load(kind).Scanner(scanners.settings(config, volume, started_us))
    try:
        if scanner.probe().fs_id != repository:
            raise UnreachableError(f"volume {volume}: another repository is there than the last scan saw")
        scanner.suspect(suspects.marks)
        with _Hits() as hits:
            scanner.run_shard(scanner.root_shard(), hits)
            return hits.table()
    finally:
        scanner.close()


class _Hits:
    """A sink that keeps the files that are not whole, in memory. Its folder is removed when the block ends."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="lastcopy-hits-")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._folder.cleanup()

    def table(self) -> pa.Table:
        """What was kept."""
        return pa.concat_tables([_SCHEMA.empty_table(), *self._parts])

    def spent(self, unwritten: int) -> bool:
        """It has no budget."""
        del unwritten
        return False

    def write(self, columns: Mapping[str, pa.Array]) -> None:
        """Keep the files that are not whole."""
        rows = len(columns["name"])
        hit = pc.and_(pc.equal(columns["type"].cast(pa.string()), "file"), columns["restore_state"].is_null())
        arrays = [columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type) for field in _SCHEMA]
        self._parts.append(pa.table(arrays, _SCHEMA).filter(hit))

    def problem(self, path: str, stage: str, error: str, errno: int | None, hides_below: bool, inode: int | None = None) -> None:
        """Scans tell of these."""

    def recovery_points(self, rows: pa.Table) -> None:
        """Scans tell of these."""

    def told(self, at_us: int) -> None:
        """Of what is looked at nothing is told."""

    def room(self) -> Path:
        """A folder for what does not fit in memory."""
        return Path(self._folder.name)

    def exclude(self, count: int) -> None:
        """Scans count these."""

    def leave(self, places: Iterable[str]) -> None:
        """A repository is read at once."""

    def finish(self) -> ShardRecord:
        """Nothing was written."""
        return ShardRecord(0)
