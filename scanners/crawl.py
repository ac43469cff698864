"""Scans a volume: shards over this process and workers, one commit of entries, and the row in `scans` that publishes them."""

import dataclasses
import importlib.metadata
import json
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scanners
from catalog import lock, table
from catalog.errors import LastcopyError, NotFoundError, RefusedError, UnreachableError
from catalog.schema import SCANS
from catalog.snapshot import SINCE
from scanners import Facts, Scanner, Settings, Shard
from scanners.progress import Progress, Talk

if TYPE_CHECKING:
    from catalog.config import Config
    from catalog.snapshot import ScanRow
    from catalog.volumes import Volume
    from scanners.change_lists import Changes
    from scanners.journal import Journal

_GREATEST_SUM = 2**63 - 1  # that a column of integers holds; no volume within its share of it makes a sum that is beyond
_FEW_PLACES = 100  # directories: fewer in a shard tell that the end is near


@dataclass(frozen=True)
class ScanResult:
    """A published scan, see `schema.SCANS`."""

    scan_id: str
    volume: str
    state: str
    started_at: datetime
    finished_at: datetime
    entries: int
    files: int
    bytes: int
    problems: int
    excluded: int
    carried_entries: int
    previous_scan_id: str | None
    missed: int = 0  # entries that changed before the scan before, which went by a list that did not name them


@dataclass(frozen=True)
class Budget:
    """How much of a tree is read at a time. Small trees are done within the first budget and start no process."""

    first_entries: int = 100_000
    first_seconds: float = 0.25  # about what it costs to start a process
    entries: int = 250_000
    seconds: float = 1.0  # in a worker
    own_seconds: float = 0.4  # in this process, that also has to hear the workers
    far_seconds: float = 10.0  # on a cluster, where a round takes as long as its longest shard, and some more to begin


@dataclass
class _Run:
    """One scan on its way."""

    root: Path
    settings: Settings
    declared: "Volume"
    previous: "ScanRow | None"
    started_at: datetime
    facts: Facts
    journal: "Journal"
    since: str | None = None  # the scan that it goes on from by a list of what changed
    missed: int | None = None  # entries of which such lists should have told; None = there were none to look at


def scan(
    root: Path,
    config: "Config",
    volume: str,
    *,
    now: Callable[[], datetime],
    workers: int | None = None,
    resume: bool = False,
    accept_losses: bool = False,
    explained: int = 0,
    progress: Callable[[Progress], None] | None = None,
    budget: Budget = Budget(),
    cluster: str | None = None,
    changes: "Changes | None" = None,
) -> ScanResult:
    """Scan a volume into the catalog at `root` and publish the scan. `now` gives an aware time; `workers` counts this process (None: one a CPU).

    `cluster` is the address of one that runs the shards, `workers` of them at a time, where the kind of volume lets it; None: they run on this machine.
    `changes`: what changed since the last good scan, if only that is to be looked at; such a scan cannot be resumed.
    `explained` of the entries that vanished were taken away by jobs since the last good scan: they are no losses.
    Only the catalog is written. Raises NotFoundError, LockedError, UnreachableError, RefusedError, and KeyboardInterrupt: then
    the catalog is as it was, and `resume` goes on. A scan that is refused or fails on the way leaves a row of state `failed`.
    """
    if volume not in config.volumes:
        raise NotFoundError(f"there is no volume {volume!r}; volumes are {', '.join(config.volumes) or 'none'}")
    module = scanners.load(config.volumes[volume].kind)
    with lock.hold(root, f"volume-{volume}"):
        started_at = scanners.utc(now())
        run = None
        try:
            run = _begin(root, config, volume, module, started_at, resume, None if accept_losses else explained, changes is not None)
            if changes is not None:
                _follow(run, module, changes, partial(_crawl, run, module, _workers(workers), budget, progress))
            elif cluster is not None and module.CAPABILITIES.elsewhere:
                _crawl_elsewhere(run, module, cluster, workers, budget, progress)
            else:
                _crawl(run, module, _workers(workers), budget, progress)
            return _publish(run, config, now, None if accept_losses else explained)
        except RefusedError as error:
            if run:
                _discard(run)
            _publish_failure(_row(run, now) if run else _failed_row(root, config, volume, started_at, now), error, root)
            raise
        except Exception as error:  # also one that nobody foresaw: the volume's failure is known, and the others are scanned
            if run:
                _publish_failure(_row(run, now), error, root)
            elif _has_failed(error, config.volumes[volume]):
                _publish_failure(_failed_row(root, config, volume, started_at, now), error, root)
            raise


def _begin(root: Path, config: "Config", volume: str, module: Any, started_at: datetime, resume: bool, explained: int | None, listed: bool) -> _Run:  # noqa: ANN401 - a module
    """Look at the root, refuse what must be refused, and make or find the journal. `explained` None: all losses are. `listed`: of a list of changes."""
    from catalog import snapshot
    from scanners import guard, journal, media
    from scanners.sink import Target

    newest = snapshot.newest_scans(root)
    previous = newest.get(volume)
    if config.volumes[volume].media_types:
        media.libmagic()
    guard.check_place(volume, config.roots.get(volume, ""))
    if module.CAPABILITIES.recovery_points:
        guard.check_repository(config, volume)
    if module.CAPABILITIES.told:
        guard.check_told(config, volume)
    settings = _settings(root, config, volume, started_at)
    scanner: Scanner = module.Scanner(settings)
    try:
        facts = scanner.probe()
    finally:
        scanner.close()
    guard.check_folder(config, volume, facts, newest)
    guard.check_bucket(config, volume, facts, newest)
    if explained is not None:
        guard.check_root(volume, facts, previous, explained)
    found = None if listed else _resumed(root, settings, facts, resume)  # what a whole scan has so far stays for it
    if found is None:
        scan_id = _scan_id(started_at, volume)
        found = journal.Journal(Target(root, scan_id, volume))
        header = {"settings": journal.comparable(settings), "started_at": started_at.isoformat(), "facts": dataclasses.asdict(facts), "listed": listed}
        found.begin(header)
    else:
        started_at = datetime.fromisoformat(found.header["started_at"])
        settings = dataclasses.replace(settings, started_us=scanners.microseconds(started_at))
    if settings.media_types:
        settings = dataclasses.replace(settings, known_media=media.remember(found.target, previous))
    return _Run(root, settings, config.volumes[volume], previous, started_at, facts, found)


def _resumed(root: Path, settings: Settings, facts: Facts, resume: bool) -> "Journal | None":
    """The newest interrupted scan, if it is to be gone on with and can be; all others are removed."""
    from catalog import snapshot
    from scanners import guard, journal

    found = None
    published = {row.scan_id for row in snapshot.scans(root)}
    for target in reversed(journal.interrupted(root, settings.volume)):
        if resume and found is None and target.scan_id not in published:
            candidate = journal.resume(target, settings)
            if candidate and candidate.header["facts"]["fs_id"] == facts.fs_id and all(guard.readable(root, n, candidate.files(n)) for n in journal.TABLES):
                found = candidate
                continue
        journal.discard(target)
    if found:
        journal.drop_strays(found)
    return found


def _crawl(run: _Run, module: Any, workers: int, budget: Budget, progress: Callable[[Progress], None] | None) -> None:  # noqa: ANN401 - a module
    """Run shards until none is left: the first one here, what it leaves here and in workers."""
    from scanners.pool import Pool
    from scanners.sink import ParquetSink, read_places

    journal, talk = run.journal, Talk(run.settings.volume, run.previous, run.journal.records, progress)
    settings = run.settings
    scanner: Scanner = module.Scanner(settings)

    def run_here(shard: Shard, taken: list[scanners.Segment], entries: int, seconds: float) -> None:
        record = scanner.run_shard(shard, ParquetSink(journal.target, shard.number, entries, seconds))
        journal.add(taken, record)
        talk.say(record)

    try:
        with Pool(module.__name__, settings, journal.target, 0 if module.CAPABILITIES.recovery_points else workers - 1, budget.entries) as pool:
            if run.previous and run.previous.entries > budget.first_entries:
                pool.start()  # they need a quarter of a second until they can take a shard
            if not journal.records:
                run_here(scanner.root_shard(), [], budget.first_entries, budget.first_seconds)
            while journal.waiting or pool.busy:
                share = max(1, journal.places // (2 * workers))
                longer = 1.0 if share < _FEW_PLACES else 4.0  # near the end, short shards keep all processes busy
                while journal.waiting and (worker := pool.hungry):
                    pool.give(worker, *journal.take(share), longer * budget.seconds)
                if journal.waiting:
                    number, taken = journal.take(share)
                    shard = Shard(number, tuple(read_places(journal.target.journal, taken)))
                    run_here(shard, taken, budget.entries, longer * budget.own_seconds)
                for result in pool.results(0 if journal.waiting else 0.5):
                    journal.add(result.taken, result.record)
                    talk.say(result.record)
    finally:
        scanner.close()


def _follow(run: _Run, module: Any, listed: "Changes", crawl: Callable[[], None]) -> None:  # noqa: ANN401 - a module
    """Look at what a list of changes names, and keep what the scan before knew of all else."""
    from scanners import changes as followed

    if not module.CAPABILITIES.looks:
        raise RefusedError(f"volume {run.settings.volume}: single names of volumes of kind {run.declared.kind} are not looked at; scan it as a whole")
    changes = followed.Changes(run.journal.target, run.previous, _options(run), listed)
    scanner: Scanner = module.Scanner(run.settings)
    try:
        followed.follow(changes, run.journal, scanner, crawl)
    finally:
        scanner.close()
        changes.close()
    run.since = changes.since


def _crawl_elsewhere(run: _Run, module: Any, remote: str, workers: int | None, budget: Budget, progress: Callable[[Progress], None] | None) -> None:  # noqa: ANN401 - a module
    """Run all shards on a cluster."""
    from scanners import _elsewhere, cluster

    scanner: Scanner = module.Scanner(run.settings)
    try:
        work = cluster.Work(module.__name__, run.settings, run.journal.target, _elsewhere.identity(scanner, run.settings))
        root = scanner.root_shard()
    finally:
        scanner.close()
    first, later = (budget.first_entries, budget.first_seconds), (budget.entries, budget.far_seconds)
    cluster.crawl(
        remote, work, root, run.journal, workers or cluster.AT_ONCE, first, later, Talk(run.settings.volume, run.previous, run.journal.records, progress).say
    )


def _publish(run: _Run, config: "Config", now: Callable[[], datetime], explained: int | None) -> ScanResult:
    """Compare with the previous scan, then commit problems, entries and at last the row that publishes them. `explained` None: all losses are."""
    from scanners import guard, journal

    target, records = run.journal.target, run.journal.records
    entries, problems = run.journal.files("entries"), run.journal.files("problems")
    seen = [str(run.root / "entries" / file.path) for file in entries]
    size = sum(record.bytes for record in records)
    if any(record.linked for record in records):
        size += guard.linked_bytes(target, seen)
    carried: list[table.NewFile] = []
    if run.previous:
        found = [str(run.root / "problems" / file.path) for file in problems]
        with guard.Comparison(target, run.previous, seen, found, run.settings.exclude) as comparison:
            losses = comparison.losses()
            if explained is not None:
                guard.check_losses(target.volume, losses, explained, run.declared.max_loss_pct)
                guard.check_mounts(target.volume, comparison.changed_mounts() if losses.lost else [])
            if run.since is None and run.previous.is_by_list:
                run.missed = comparison.missed()
            if losses.hidden:
                carried = list(comparison.carry(run.journal.next_number))
    if size > _GREATEST_SUM // len(config.volumes):
        problems.append(table.write(run.root, "problems", guard.vast(target, seen, size, scanners.utc(now())), target.partition))
    table.commit(run.root, "problems", problems, target.scan_id)
    if points := run.journal.files("recovery_points"):
        table.commit(run.root, "recovery_points", points, target.scan_id)
    table.commit(run.root, "entries", [*entries, *carried], target.scan_id)
    row = _row(run, now) | {
        "state": "incomplete" if problems else "complete",
        "entries": sum(record.rows for record in records),
        "files": sum(record.files for record in records),
        "bytes": min(size, _GREATEST_SUM),
        "carried_entries": sum(file.rows for file in carried),
        "problems": sum(file.rows for file in problems),
        "excluded": sum(record.excluded for record in records),
        "evidence_at": min((_moment(record.told_us) for record in records if record.told_us is not None), default=None),
    }
    _append(run.root, row)
    journal.forget(target)
    return ScanResult(**{f.name: row[f.name] for f in dataclasses.fields(ScanResult) if f.name != "missed"}, missed=run.missed or 0)


def _has_failed(error: Exception, declared: "Volume") -> bool:
    """Whether an error before the scan began is the volume's own: a shelved medium has not failed, nor has what another run scans."""
    return declared.access != "offline" if isinstance(error, UnreachableError) else not isinstance(error, (LastcopyError, OSError))


def _publish_failure(row: dict[str, Any], error: Exception, root: Path) -> None:
    """Write that a scan failed, under an id of its own: the scan itself can still be gone on with."""
    said = str(error) if isinstance(error, (LastcopyError, OSError)) else f"{type(error).__name__}: {error}"
    failed = {"scan_id": _scan_id(row["started_at"], row["volume"]), "state": "failed", "error": said}
    counts = ("entries", "files", "bytes", "carried_entries", "problems", "excluded")
    try:
        _append(root, row | failed | dict.fromkeys(counts, 0))
    except (LastcopyError, OSError) as another:
        error.add_note(f"and the catalog could not be told: {another}")


def _failed_row(root: Path, config: "Config", volume: str, started_at: datetime, now: Callable[[], datetime]) -> dict[str, Any]:
    """What the row in `scans` says of a volume whose root was not there, or was refused."""
    from catalog import snapshot

    previous = snapshot.newest_scans(root).get(volume)
    known = {"volume": volume, "kind": config.volumes[volume].kind, "started_at": started_at, "finished_at": scanners.utc(now())}
    version = importlib.metadata.version("lastcopy")
    return dict.fromkeys(SCANS.names) | known | {"previous_scan_id": previous and previous.scan_id, "host": socket.gethostname(), "lastcopy_version": version}


def _discard(run: _Run) -> None:
    from scanners import journal

    journal.discard(run.journal.target)


def _row(run: _Run, now: Callable[[], datetime]) -> dict[str, Any]:
    """What the row in `scans` says whatever became of the scan."""
    settings = run.settings
    told = {SINCE: run.since, "missed": run.missed}
    options = _options(run) | {name: value for name, value in told.items() if value is not None}
    return {
        "scan_id": run.journal.target.scan_id,
        "volume": settings.volume,
        "kind": run.declared.kind,
        "started_at": run.started_at,
        "finished_at": scanners.utc(now()),
        "root_fs_id": run.facts.fs_id,
        "device": run.facts.device,
        "clock": run.facts.clock,
        "capacity_bytes": run.facts.capacity_bytes,
        "free_bytes": run.facts.free_bytes,
        "previous_scan_id": run.previous.scan_id if run.previous else None,
        "error": None,
        "host": socket.gethostname(),
        "lastcopy_version": importlib.metadata.version("lastcopy"),
        "options": json.dumps(options),
    }


def _options(run: _Run) -> dict[str, object]:
    settings = run.settings
    return {
        "exclude": list(run.declared.exclude),
        "skip": list(settings.skip),
        "cross_mounts": settings.cross_mounts,
        "media_types": settings.media_types,
        "root_inode": run.facts.inode,
    }


def _append(root: Path, row: dict[str, Any]) -> None:
    import pyarrow as pa

    table.append(root, "scans", pa.Table.from_pylist([row], SCANS), row["scan_id"])


def _settings(root: Path, config: "Config", volume: str, started_at: datetime) -> Settings:
    """The settings of a scan: the catalog itself is not scanned where it lies in the volume."""
    found = scanners.settings(config, volume, scanners.microseconds(started_at))
    inside = scanners.relative(Path(found.location), root)
    skip = (*found.skip, inside) if inside else found.skip
    return dataclasses.replace(found, skip=skip)


def _scan_id(started_at: datetime, volume: str) -> str:
    return f"{started_at:%Y%m%dT%H%M%S%f}Z-{volume}-{secrets.token_hex(2)}"


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=microseconds)


def _workers(wanted: int | None) -> int:
    import os

    return max(1, wanted or len(os.sched_getaffinity(0)))
