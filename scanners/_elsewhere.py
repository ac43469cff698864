"""What a worker of a cluster does for a scan: it looks whether it is in the right place, and runs shards. Sent there by scanners.cluster."""

import dataclasses
import importlib
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import CatalogError, RefusedError
from scanners import Scanner, Segment, Settings, Shard
from scanners.sink import ParquetSink, Target, read_places

if TYPE_CHECKING:
    import pyarrow as pa


def run(work: str, shards: str, budget: tuple[int, float], batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """On a worker: run the shards at the places that come, and give the record of each. Raises CatalogError where this is not the place to do so."""
    import pyarrow as pa

    start, given = json.loads(work), json.loads(shards)
    settings = Settings(**{**start["settings"], "skip": tuple(start["settings"]["skip"])})
    target = Target(Path(start["root"]), start["scan_id"], settings.volume)
    _check_place(start, target)
    scanner: Scanner = importlib.import_module(start["module"]).Scanner(settings)
    try:
        _check_volume(start, scanner, settings)  # once: its root is held open from here on
        for batch in batches:
            for place in batch.column(0).to_pylist():
                number, segments = given[place]
                taken = [Segment(*segment) for segment in segments]
                shard = Shard(number, tuple(read_places(target.journal, taken))) if taken else scanner.root_shard()
                record = scanner.run_shard(shard, ParquetSink(target, number, *budget, alone=False))
                yield pa.RecordBatch.from_pydict({"number": pa.array([number], pa.int64()), "record": [json.dumps(dataclasses.asdict(record))]})
    finally:
        scanner.close()


def _check_place(start: dict[str, Any], target: Target) -> None:
    here = importlib.metadata.version("lastcopy")
    if here != start["version"]:
        raise CatalogError(f"this worker has Lastcopy {here}, and the scan was begun by {start['version']}: install the same version there")
    if not target.journal.is_dir():
        raise CatalogError(f"{target.journal} is not there on this worker: the catalog's folder must be one that all share, at the same place")


def _check_volume(start: dict[str, Any], scanner: Scanner, settings: Settings) -> None:
    """Look whether the volume is mounted here: of a folder that is not, every directory would seem to have vanished."""
    found = identity(scanner, settings)
    if list(found) != list(start["identity"]):
        raise CatalogError(f"{settings.location} is another folder on this worker, or not mounted: the volume must be at the same place everywhere")


def identity(scanner: Scanner, settings: Settings) -> tuple[str, int]:
    """The file system of a volume's root, and the root's number on it: so a worker knows that it reads the same tree.

    Raises RefusedError where nothing tells, UnreachableError.
    """
    facts = scanner.probe()
    if facts.fs_id is None or facts.inode is None:
        raise RefusedError(f"volume {settings.volume}: its file system has no identity, so no worker of a cluster could tell that it reads the same one")
    return facts.fs_id, facts.inode
