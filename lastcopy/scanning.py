"""What one `scan` command does: each volume is crawled, what could have a copy is digested, and the answers are derived."""

import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lastcopy
from catalog.config import Config
from catalog.errors import ConfigError, LockedError, NotFoundError, RefusedError, UnreachableError
from lastcopy import changed, diagnosis, engines, exits, journals, output, settings, signals, storing, talk
from lastcopy.bars import Bars
from lastcopy.exits import Exit
from lastcopy.settings import Changes, Engine, Mode, Settings

if TYPE_CHECKING:
    from catalog.snapshot import Snapshot
    from scanners.change_lists import Changes as Listed
    from scanners.crawl import ScanResult
    from scanners.digest import DigestCounts
    from scanners.restoring import Restored

_NOT_READ = "{}: nothing that it stores, or tells of, can be read here"
_DERIVE_TRIES = 600
_DERIVE_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    volumes: Sequence[str] = ()  # empty: all
    digest: Mode | None = None  # None: as the configuration says
    resume: bool = False
    accept_losses: bool = False
    workers: int | None = None
    again: bool = False  # whether content that is known is read once more
    budget: int | None = None  # bytes of it, what was read longest ago first; None: all of it
    restore: int = 0  # so many files of each volume, backups, are given back by its program, and compared
    seed: int = 0  # that they are chosen with
    engine: Engine = "local"  # what runs the shards of volumes that other hosts can read
    changes: str | None = None  # the file that lists what changed on the one volume
    changes_form: Changes = "paths"


@dataclass
class Outcome:
    """What came of it: scans and errors by volume, and what was published."""

    wanted: Sequence[str]
    skipped: Mapping[str, str]  # volume -> why
    scans: "dict[str, ScanResult]" = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    digests: "DigestCounts | None" = None
    restored: "list[Restored]" = field(default_factory=list)
    unread: Exception | None = None  # what ended the reading of contents
    before: "Snapshot | None" = None
    snapshot: "Snapshot | None" = None
    again: bool = False

    @property
    def code(self) -> Exit:
        """The exit code: the greatest harm of all volumes."""
        partly = [Exit.PARTLY for scan in self.scans.values() if scan.state != "complete"]
        unread = [Exit.PARTLY] if (self.digests and self.digests.problems) or any(one.failed for one in self.restored) else []
        return exits.worst([*partly, *unread, *(exits.code_of(error) for error in (*self.errors.values(), self.unread) if error)])


def scan(chosen: Settings, wish: Wish) -> Exit:
    """Scan, say on stderr what was found, print the object that JSON asks for; gives the exit code. Reads storage, writes the catalog."""
    config = chosen.configuration()
    root = settings.root_of(config)
    outcome = Outcome(*chosen_volumes(root, config, wish.volumes), again=wish.again)
    cluster = engines.remote(wish.engine, root)
    listed = changed.listed(config, wish) if wish.changes else None
    for name in _only_here(config, outcome.wanted) if cluster else []:
        _say(chosen, f"{name}: a volume of kind {config.volumes[name].kind} is scanned by this machine, not on the cluster")
    unable = _not_read(config, outcome.wanted) if wish.again else []
    if unable and set(wish.volumes) & set(unable):
        programs = "'restic check --read-data' or 'borg check --verify-data'"
        raise RefusedError(f"{_NOT_READ.format(', '.join(unable))}; leave it out, and look at it with the program of the backup, as {programs}")
    if wish.restore:
        _refuse_other_than_backups(config, outcome.wanted)
    for name in unable:
        _say(chosen, _NOT_READ.format(name))
    wrong = diagnosis.predicates(config)  # looked at now: the derivation would find them only after hours of scanning
    if wrong:
        raise ConfigError("\n".join(remark.text for remark in wrong))
    with signals.terminated_like_interrupted():
        try:
            _run(root, config, wish, outcome, chosen, cluster, listed)
        except KeyboardInterrupt:
            left = [name for name in outcome.wanted if name not in outcome.scans]
            text = f"interrupted; nothing half-read was published. Go on with: {' '.join(['lastcopy scan', *left, '--resume'])}"
            talk.report_error(text, Exit.INTERRUPTED, as_json=chosen.chosen_format == "json")
            return Exit.INTERRUPTED
        except Exception as error:
            told = storing.refusal(root, error)
            if told is None:
                raise
            raise told from error
    _report(root, outcome, chosen)
    return outcome.code


def _run(root: Path, config: Config, wish: Wish, outcome: Outcome, chosen: Settings, cluster: str | None, listed: "Listed | None") -> None:
    from catalog import snapshot
    from scanners import crawl
    from scanners.digest import digest

    known = snapshot.snapshots(root)
    outcome.before = snapshot.newest(known) if known else None
    before = snapshot.newest_scans(root)
    for name, why in outcome.skipped.items():
        _say(chosen, f"{name}: offline and {why}, skipped; its last scan stays")
    with Bars(quiet=chosen.quiet) as bars:
        for name in outcome.wanted:
            if listed is not None and name in before:
                _say(chosen, f"{name}: the list must reach back to the begin of the last good scan, {before[name].started_at:%Y-%m-%d %H:%M:%S} UTC")
            try:
                outcome.scans[name] = crawl.scan(
                    root,
                    config,
                    name,
                    now=now,
                    workers=wish.workers,
                    resume=wish.resume,
                    accept_losses=wish.accept_losses,
                    explained=journals.taken(config, name, before[name].started_at) if name in before else 0,
                    progress=bars.crawl(name),
                    cluster=cluster,
                    changes=listed,
                )
            except Exception as error:  # one volume's, foreseen or not: the others are scanned all the same
                if storing.refusal(root, error):
                    raise
                outcome.errors[name] = error
                talk.complain(error, as_json=chosen.chosen_format == "json", verbose=chosen.verbose)
            else:
                _say(chosen, _line(outcome.scans[name], before[name].entries if name in before else None))
        if outcome.scans:
            names = list(outcome.scans)
            try:
                outcome.restored = [_restored(root, config, name, wish) for name in names if wish.restore]
                outcome.digests = digest(
                    root,
                    config,
                    mode=wish.digest,
                    volumes=names,
                    now=now,
                    workers=wish.workers,
                    again=wish.again,
                    budget=wish.budget,
                    progress=bars.digest(),
                )
            except Exception as error:  # what was read until then is kept, what was not is unknown: the scans are judged all the same
                if storing.refusal(root, error):
                    raise
                outcome.unread = error
                talk.complain(error, as_json=chosen.chosen_format == "json", verbose=chosen.verbose)
            bars.derive()
            outcome.snapshot = _derived(root, config, chosen)


def _restored(root: Path, config: Config, name: str, wish: Wish) -> "Restored":
    from lifecycle import people
    from scanners import restoring

    return restoring.sample(root, config, name, wish.restore, wish.seed, now=now, by=people.actor())


def _refuse_other_than_backups(config: Config, names: Sequence[str]) -> None:
    import scanners

    for name in names:
        if not scanners.load(config.volumes[name].kind).CAPABILITIES.recovery_points:
            raise RefusedError(
                f"volume {name}: it is no repository of a backup, so nothing can be restored from it; what it holds is read by 'lastcopy fixity {name}'"
            )


def _derived(root: Path, config: Config, chosen: Settings) -> "Snapshot":
    """Derive; while another run does, wait for it: it may have begun before our scans were published. Raises LockedError after ten minutes."""
    from catalog import derive

    for tries_left in reversed(range(_DERIVE_TRIES)):
        try:
            return derive.derive(root, config, _naive(), lastcopy.version())
        except LockedError as error:
            if not tries_left:
                raise
            if tries_left == _DERIVE_TRIES - 1:
                _say(chosen, f"waiting: {error}")
            time.sleep(_DERIVE_WAIT_SECONDS)
    raise AssertionError("unreachable: the last try raises")


def chosen_volumes(root: Path, config: Config, wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The volumes to scan, and those that are left out because they are offline and not there, with what was found. Raises ConfigError, NotFoundError."""
    if not config.volumes:
        raise ConfigError(f"{config.path}: no volume to scan; add a table [volumes.NAME] with its url")
    if wanted:
        return known(config, wanted), {}
    away = {name: why for name, volume in config.volumes.items() if volume.access == "offline" and (why := _absence(root, config, name))}
    return [name for name in config.volumes if name not in away], away


def known(config: Config, names: Sequence[str]) -> list[str]:
    """The names, each once. Raises NotFoundError for one that is not declared."""
    for name in names:
        if name not in config.volumes:
            raise NotFoundError(f"there is no volume {name!r}; volumes are {', '.join(config.volumes) or 'none'}")
    return list(dict.fromkeys(names))


def now() -> datetime.datetime:
    """The clock, aware UTC."""
    return datetime.datetime.now(datetime.UTC)


def _not_read(config: Config, names: Sequence[str]) -> list[str]:
    """The volumes of which no content can be read: backup repositories that are only listed, and what others tell of."""
    import scanners

    able = {name: scanners.load(config.volumes[name].kind).CAPABILITIES for name in names}
    return [name for name in names if able[name].told or (able[name].recovery_points and not _is_readable(config, name))]


def _only_here(config: Config, names: Sequence[str]) -> list[str]:
    import scanners

    return [name for name in names if not scanners.load(config.volumes[name].kind).CAPABILITIES.elsewhere]


def _is_readable(config: Config, name: str) -> bool:
    import scanners
    from catalog.errors import UnreachableError

    scanner = scanners.connect(config, name)
    try:
        return scanner.probe().readable
    except UnreachableError:
        return True  # the scan says what is wrong
    finally:
        scanner.close()


def _naive() -> datetime.datetime:
    """The clock as the catalog writes it."""
    return now().replace(tzinfo=None)


def _absence(root: Path, config: Config, name: str) -> str | None:
    """Why an offline volume is taken for absent; None where it is there, or has to be looked at by a scan."""
    place = config.place(name)
    if place is None or place.is_file():
        return None
    if not place.is_dir():
        return "not there"
    try:
        unmounted = place.stat().st_dev == place.resolve().parent.stat().st_dev and not any(place.iterdir())
    except OSError:
        return None  # the scan says what is wrong
    return "not there (its folder is empty, as a mount point without its disk)" if unmounted and not _was_there(root, config, name) else None


def _was_there(root: Path, config: Config, name: str) -> bool:
    """Whether the last good scan of a volume saw the file system on which its root lies now: then it is no mount point."""
    import scanners
    from catalog import snapshot

    last = snapshot.newest_scans(root).get(name)
    if last is None or last.root_fs_id is None:
        return False
    scanner = scanners.connect(config, name)
    try:
        return bool(scanner.probe().fs_id == last.root_fs_id)
    except UnreachableError:
        return True  # the scan says what is wrong
    finally:
        scanner.close()


def _line(found: "ScanResult", before: int | None) -> str:
    from reports.state import counted
    from reports.terminal import size

    seconds = (found.finished_at - found.started_at).total_seconds()
    said = f"{found.volume}: {found.state}, {counted(found.entries, 'entry')}, {size(found.bytes)}, in {seconds:.1f} s"
    if before is not None and found.entries != before:
        said += f", {abs(found.entries - before):,} {'more' if found.entries > before else 'fewer'} than before"
    if found.problems:
        said += f"; {counted(found.problems, 'problem')}: lastcopy report problems"
    if found.missed:
        said += f"; {counted(found.missed, 'entry')} had changed before the scan before, whose list of changes did not tell"
    return said + (f"; {found.carried_entries:,} entries that could not be seen again are unknown" if found.carried_entries else "")


def _say(chosen: Settings, text: str) -> None:
    if not chosen.quiet:
        talk.say(text)


def _report(root: Path, outcome: Outcome, chosen: Settings) -> None:
    """Say what the snapshot means: coverage before and after, what became unprotected."""
    volumes = [{"volume": name, "id": done.scan_id, **_counts(done)} for name, done in outcome.scans.items()]
    volumes += [{"volume": name, "id": None, "state": "failed", "error": talk.printable(str(error))} for name, error in outcome.errors.items()]
    volumes += [{"volume": name, "id": None, "state": "skipped"} for name in outcome.skipped]
    data: dict[str, Any] = {"id": None, "state": _state(outcome), "volumes": volumes}
    if outcome.digests:
        data |= {"digested_files": outcome.digests.read, "digested_bytes": outcome.digests.bytes_read, "digest_problems": outcome.digests.problems}
    data |= {"restored": [asdict(one) for one in outcome.restored]} if outcome.restored else {}
    if outcome.snapshot is None:
        _say(chosen, "no volume was scanned: no new snapshot")
        output.made(chosen, "scan", data, complete=False)
        return
    effect = _effect(root, outcome.snapshot, outcome.before)
    data |= {"id": outcome.snapshot.snapshot_id, **effect}
    for line in _words(outcome, effect):
        _say(chosen, line)
    as_of = outcome.snapshot.as_of.isoformat() + "Z"
    output.made(chosen, "scan", data, complete=outcome.snapshot.complete, snapshot=outcome.snapshot.snapshot_id, as_of=as_of)


def _counts(done: "ScanResult") -> dict[str, object]:
    return {key: getattr(done, key) for key in ("state", "entries", "files", "bytes", "problems", "excluded", "carried_entries")}


def _state(outcome: Outcome) -> str:
    if not outcome.scans and outcome.wanted:
        return "failed"
    return "complete" if outcome.code is Exit.DONE else "incomplete"


def _effect(root: Path, new: "Snapshot", before: "Snapshot | None") -> dict[str, Any]:
    """Assets and how many of them are protected, before and now; what became unprotected since."""
    import reports
    from lastcopy import asking

    effect: dict[str, Any] = {"assets": _sums(root, new), "assets_before": _sums(root, before) if before else None, "newly_unprotected": None}
    if before:
        connection = asking.opened(root, new, before)
        try:
            found = reports.load("changes").run(connection).filter("newly_unprotected").aggregate("count(*)")  # without a parser of conditions
            [(effect["newly_unprotected"],)] = found.fetchall()
        finally:
            connection.close()
    return effect


def _sums(root: Path, of: "Snapshot") -> dict[str, int]:
    import pyarrow.compute as pc

    from catalog import table

    names = ("assets", "protected_assets", "partly_assets", "unprotected_assets", "unknown_assets", "excepted_assets")
    rows = table.read(root, "history", names, snapshot_id=[of.snapshot_id])
    return {name: pc.sum(rows[name]).as_py() or 0 for name in names}


def _read(done: "DigestCounts", *, again: bool) -> str:
    from reports.state import counted
    from reports.terminal import size

    unread = done.problems - done.damaged
    wrong = [f"{counted(done.damaged, 'file')} damaged"] if done.damaged else []
    wrong += [f"{unread:,} could not be read"] if unread else []
    said = f"read {counted(done.read, 'file')} ({size(done.bytes_read)}) " + ("again, from the storage" if again else "to compare content")
    return said + (f"; {', '.join(wrong)}: lastcopy report problems" if wrong else ": each is what it was" if again else "")


def _given_back(one: "Restored") -> str:
    from reports.state import counted
    from reports.terminal import size

    said = f"{one.volume}: {counted(one.same, 'file')} restored by its program as stored ({size(one.bytes)}), chosen with --seed {one.seed}"
    said += f"; {one.failed:,} not: lastcopy report problems" if one.failed else ""
    return said + (f"; {one.untried:,} further names of hard links not tried" if one.untried else "")


def _words(outcome: Outcome, effect: dict[str, Any]) -> Iterator[str]:
    from reports.state import percent

    if outcome.digests:
        yield _read(outcome.digests, again=outcome.again)
    for one in outcome.restored:
        yield _given_back(one)
    assert outcome.snapshot is not None  # noqa: S101  # the caller has one
    yield f"snapshot {outcome.snapshot.snapshot_id}"
    now_sums, before_sums = effect["assets"], effect["assets_before"]
    earlier = f"{percent(before_sums['protected_assets'], before_sums['assets'])} -> " if before_sums else ""
    unknown = percent(now_sums["unknown_assets"], now_sums["assets"])
    yield f"protected {earlier}{percent(now_sums['protected_assets'], now_sums['assets'])} of {now_sums['assets']:,} assets; status unknown {unknown}"
    if effect["newly_unprotected"]:
        yield f"newly unprotected: {effect['newly_unprotected']:,}; lastcopy report changes --where newly_unprotected"
