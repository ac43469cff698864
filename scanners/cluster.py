"""Runs the shards of a scan on a cluster, in rounds: what the shards of a round leave is cut into those of the next one.

The cluster's workers see the volume and the catalog at the same places as this host, and have the same Lastcopy. Only small texts travel: which segments of
the journal's files a shard is, and its record. A file that no record names, as of a worker that died, does not exist.
"""

import dataclasses
import importlib.metadata
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from catalog import spark
from catalog.errors import CatalogError
from scanners import Segment, Settings, Shard, ShardRecord
from scanners.journal import TABLES, Journal
from scanners.sink import Target

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

AT_ONCE = 64  # shards of a round, where nobody says how many
_ROW = "number bigint, record string"


@dataclasses.dataclass(frozen=True)
class Work:
    """What all shards of a scan have in common, for a worker that knows nothing else."""

    module: str
    settings: Settings
    target: Target
    identity: tuple[str, int]  # of the volume's root, see `_elsewhere.identity`

    def written(self) -> str:
        """As a text in ASCII, whatever bytes the names of folders have."""
        settings, target = dataclasses.asdict(self.settings), self.target
        known = {"module": self.module, "settings": settings, "root": str(target.root.absolute()), "scan_id": target.scan_id, "identity": self.identity}
        return json.dumps(known | {"version": importlib.metadata.version("lastcopy")})


def crawl(
    remote: str,
    work: Work,
    root: Shard,
    journal: Journal,
    at_once: int,
    first: tuple[int, float],
    later: tuple[int, float],
    told: Callable[[ShardRecord], None],
) -> None:
    """Run shards until none is left; `first` and `later` are the budgets, entries and seconds, of the root's shard and of all others.

    Writes the catalog's files. Raises as `spark.connected` does, and CatalogError where a shard failed as often as the cluster tries.
    """
    from scanners import journal as journals

    with spark.connected(remote) as session:
        if not journal.records:
            _round(session, work, journal, {root.number: []}, first, told)
        while journal.waiting:
            share = max(1, journal.places // at_once)
            _round(session, work, journal, dict(_shards(journal, share)), later, told)
    journals.drop_strays(journal)


def _shards(journal: Journal, share: int) -> Iterator[tuple[int, Sequence[Segment]]]:
    while journal.waiting:
        yield journal.take(share)


def _round(
    session: "SparkSession",
    work: Work,
    journal: Journal,
    shards: dict[int, Sequence[Segment]],
    budget: tuple[int, float],
    told: Callable[[ShardRecord], None],
) -> None:
    """Have the cluster run some shards, each in a task of its own, and take the first record that comes of each."""
    given = [[number, [dataclasses.astuple(segment) for segment in taken]] for number, taken in shards.items()]
    with spark.foreseen(f"volume {work.settings.volume}: a shard failed on the cluster"):
        task = _task(work.written(), json.dumps(given), budget)
        rows = session.range(0, len(given), 1, len(given)).mapInArrow(task, _ROW).toArrow()
    waiting = dict(shards)
    for row in rows.to_pylist():
        record = _record(row["record"])
        if record.number in waiting:  # else it was run twice, and another record of it came first
            _check(work.target, record)
            journal.add(waiting.pop(record.number), record)
            told(record)
    if waiting:
        raise CatalogError(f"volume {work.settings.volume}: the cluster gave no answer for {len(waiting)} of {len(shards)} shards")


def _record(text: str) -> ShardRecord:
    found = json.loads(text)
    return ShardRecord(**{**found, "left": tuple(Segment(**segment) for segment in found["left"])})


def _check(target: Target, record: ShardRecord) -> None:
    """Look whether what a worker wrote is here: it may have another folder at the catalog's place. Raises CatalogError."""
    for name in TABLES:
        path = getattr(record, name)
        if path is not None:
            file = target.root / name / path
            size = file.stat().st_size if file.is_file() else None
            if size != getattr(record, {"recovery_points": "recovery_points_size_bytes"}.get(name, f"{name}_size_bytes")):
                raise CatalogError(
                    f"{file}: a worker of the cluster says that it wrote it, and it is not here as it says: both must share the catalog's folder"
                )


def _task(work: str, shards: str, budget: tuple[int, float]) -> "Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]":
    """The function that a worker runs for the shards whose places it is given. It goes there by value, and finds us there by import."""

    def run(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        try:
            from scanners import _elsewhere
        except ImportError as error:
            raise ImportError(f"the Python of this worker has no Lastcopy ({error}): install the same version there") from error
        yield from _elsewhere.run(work, shards, budget, batches)

    return run
