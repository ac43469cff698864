"""A chunk of steps under way: what each step has come to, and what all of them share.

A stage is a function of a `Run` and of the steps that take part in it. An end of one step never touches another; a
storage that can do no more is left alone for the rest of the run, and its steps stay as they are for a later one.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event, Lock
from typing import Any, Literal

from catalog import names, printable, snapshot
from catalog.config import Config, Policy
from catalog.domains import Domain, cautious, effective
from catalog.errors import ConfigError, UnreachableError
from catalog.volumes import path_of
from lifecycle import folder_times, guard, stores
from lifecycle.ahead import Ahead
from lifecycle.ends import EndError, failed
from lifecycle.folder_times import Folder, Left
from lifecycle.journal import Journal
from lifecycle.manifest import Copy, Step
from lifecycle.pace import Pace
from lifecycle.readings import Readings
from lifecycle.records import Counted, Move, Record
from lifecycle.states import GUARDING, State
from lifecycle.stores import Fingerprint, Source, Staged, Store

Side = Literal["source", "target"]
Clock = Callable[[], int]  # microseconds since 1970 UTC
_AT_ONCE = 8
_TOLD_EVERY_BYTES = 32 << 20
_UNKNOWN = Domain(frozenset(), frozenset(), frozenset(), frozenset(), {})


@dataclass(eq=False)
class Work:
    """One step in this process: what the journal says of it, and what is open."""

    record: Record
    state: State
    key: str
    attempt: int
    stages: tuple[str, ...]  # still to be gone through
    group: "tuple[Work, ...]" = ()  # the names of its inode, itself among them; empty = one name only
    sha256: bytes | None = None
    temp_inode: int | None = None
    target: Fingerprint | None = None  # of the published file
    over: Fingerprint | None = None  # of a pointer at the target that leads to the source: the copy takes its place
    moved: Fingerprint | None = None  # of the source in quarantine
    losses: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)  # what this run has written of it into the journal
    tries: int = 0  # copies made in this run
    reread: bool = True  # whether the source must be read again before it is taken away: it was not read under the lease held now
    source: Source | None = None
    staged: Staged | None = None
    counted: tuple[Counted, ...] = ()  # the other copies, as the floor saw them
    known: tuple[Copy, ...] = ()  # other copies that an earlier job knew
    read: dict[tuple[str, bytes], Fingerprint] = field(default_factory=dict)  # of a purge: the other copies by volume and path, as they were read
    end: EndError | None = None
    paused: str | None = None  # why nothing is done with it until a later run
    stays: bool = False  # of a purge: what took its place when it was deduplicated, or the file that keeps the blocks, has its content
    gone: bool = False  # of a purge: there is nothing left to remove
    rests: bool = False  # had ended, or come to rest, before this run

    def __post_init__(self) -> None:
        self.step: Step = self.record.step

    @property
    def live(self) -> bool:
        """Whether it still takes part."""
        return self.end is None and self.paused is None and not self.rests

    @property
    def shown(self) -> str:
        """The volume and the path, escaped."""
        return f"{self.step.volume}:{names.escape(self.step.path)}"

    def volume(self, side: Side) -> str:
        """The volume of a side; a step without a target stays on its own."""
        return self.step.volume if side == "source" else self.step.target_volume or self.step.volume

    @property
    def target_path(self) -> bytes:
        """Where the copy goes."""
        assert self.step.target_path is not None  # noqa: S101  # plans of actions with a target have one
        return self.step.target_path

    def copies(self, now_us: int) -> list[Copy]:
        """The other copies that are known: those of the plan's evidence, of the step that it is about, and the one that this step made, read now."""
        places = {(copy.volume, copy.path): copy for copy in (*self.known, *self.step.evidence)}
        if self.target is not None and self.step.target_volume is not None:
            places[self.step.target_volume, self.target_path] = Copy(self.step.target_volume, self.target_path, self.target, now_us)
        return list(places.values())

    def untold(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those values that the journal does not have from this run already."""
        if not values:
            return values
        return {name: value for name, value in values.items() if name not in self.told or self.told[name] != value}

    def let_go(self) -> None:
        """Close what is open: the lease is given back."""
        for opened in (self.source, self.staged):
            if opened is not None:
                try:  # noqa: SIM105  `suppress` costs more than the call
                    opened.close()
                except (OSError, EndError, UnreachableError):
                    pass  # nothing hangs on it: what was written is durable by now, or no copy yet
        self.source = self.staged = None


@dataclass
class Tally:
    """How the steps of a run ended so far, for the anomaly stop."""

    ended: int = 0
    ended_badly: int = 0


@dataclass
class Run:
    """What the steps of a job share in one process."""

    root: Path
    config: Config
    journal: Journal
    job_id: str
    policy: Policy
    clock: Clock
    actor: str
    pace: Pace
    tally: Tally = field(default_factory=Tally)
    blocked: dict[str, str] = field(default_factory=dict)  # volume -> why nothing more is tried on it
    waits: dict[str, str] = field(default_factory=dict)  # volume -> what single steps wait for
    fs_ids: Mapping[str, str | None] = field(default_factory=dict)  # volume -> file system, as the plan found it
    expires_us: int | None = None  # when steps may not be begun any more
    heard: Callable[[int, int], None] = lambda _steps, _bytes: None  # of progress: steps and bytes more
    digests_version: int = -1  # of the catalog's table, as the plan knew it
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_AT_ONCE, "lastcopy"))  # where calls wait for a disk or a network
    digesting: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_AT_ONCE, "lastcopy-digest"))  # asked by those, and by nobody in it
    _unheard_bytes: int = 0
    _telling: Lock = field(default_factory=Lock)
    _stores: dict[str, Store] = field(default_factory=dict)
    _policies: dict[str, Policy] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _devices: dict[str, str | None] = field(default_factory=dict)  # of the volumes that were seen in this run
    _domains: dict[str, Domain] | None = None
    _folders: dict[str, Mapping[Folder, Sequence[tuple[int, int]]]] = field(default_factory=dict)

    def store(self, volume: str) -> Store:
        """The store of a volume, or of a folder that a restore goes to, connected once."""
        if volume not in self._stores:
            if stores.is_folder(volume):
                prepared = self.journal.prepared(volume)
                self._stores[volume] = stores.folder(volume, prepared.capabilities if prepared else None)
            else:
                self._stores[volume] = stores.connect(self.config, volume)
        return self._stores[volume]

    @cached_property
    def readings(self) -> Readings:
        """What was read since the plan was made."""
        return Readings(self.root, self.digests_version)

    def waits_for(self, volume: str) -> bool:
        """Whether calls to a volume wait for a network; they fail where nobody knows how to reach it."""
        try:
            return self.store(volume).waits
        except (ConfigError, UnreachableError, OSError):
            return False

    def ahead(self, places: Iterable[tuple[str, bytes]]) -> Ahead:
        """Begin to look at those of the paths, each with its volume, for which that means to wait for a network."""
        return Ahead(self.threads, [(self.store(volume), path) for volume, path in places if self.waits_for(volume)])

    def policy_of(self, job_id: str) -> Policy:
        """The policy of another job, read once."""
        if job_id not in self._policies:
            self._policies[job_id] = Policy.model_validate_json(self.journal.job(job_id).policy)
        return self._policies[job_id]

    def folders_of(self, job_id: str) -> Mapping[Folder, Sequence[tuple[int, int]]]:
        """What is kept of the folders that a job took files out of, read once."""
        if job_id not in self._folders:
            self._folders[job_id] = folder_times.read([event.detail for event in self.journal.events(job_id, kinds=(folder_times.KIND,))])
        return self._folders[job_id]

    @cached_property
    def _scanned(self) -> dict[str, str | None]:
        return {name: scan.device for name, scan in snapshot.newest_scans(self.root).items()}

    def see(self, volumes: Iterable[str]) -> None:
        """Look on which devices volumes are now, each once; of one that is not here what the newest scan saw stands."""
        for volume in volumes:
            if volume not in self._asked:
                self._asked.add(volume)
                with suppress(UnreachableError, ConfigError, OSError):
                    self._devices[volume] = self.store(volume).device()
                    self._domains = None

    def domain(self, volume: str) -> Domain:
        """The failure domain of a volume, by what `see` saw; of one that is not declared any more, unknown."""
        if self._domains is None:
            self._domains = cautious(effective(self.config, guard.devices(self.config, self._scanned, self._devices)))
        return self._domains.get(volume, _UNKNOWN)

    def folder(self, volume: str) -> bytes:
        """The root of a volume that is a file tree, as an absolute path."""
        return os.path.abspath(os.fsencode(self.config.folder / path_of(self.config.volumes[volume].url)))

    def tell(self, steps: int, size_bytes: int) -> None:
        """Tell how far the job is: of bytes alone only when they are many, for a word to another process costs as much as the reading of a small file."""
        with self._telling:
            self._unheard_bytes += size_bytes
            if steps or self._unheard_bytes >= _TOLD_EVERY_BYTES:
                self.heard(steps, self._unheard_bytes)
                self._unheard_bytes = 0

    def close(self) -> None:
        """Let go of stores and threads."""
        for threads in (self.threads, self.digesting):
            threads.shutdown(cancel_futures=True)
        for store in self._stores.values():
            store.close()

    def each(self, works: Iterable[Work], act: Callable[[Work], None], side: Side = "source") -> None:
        """Do something for each live step; what goes wrong ends that step, or rests all steps on its volume."""
        for work in works:
            if work.live and not (self.blocked and self._rests(work)):
                self._tried(work, act, side)

    def together(self, works: Sequence[Work], act: Callable[[Work], None], side: Side = "source") -> None:
        """As `each`, with calls that overlap."""
        live = [work for work in works if work.live and not self._rests(work)]
        if len(live) == 1:
            self._tried(live[0], act, side)
            return

        failed = Event()

        def share(place: int) -> None:
            for work in live[place::_AT_ONCE]:
                if failed.is_set():
                    return
                try:
                    if not self._rests(work):  # a volume may have been blocked meanwhile
                        self._tried(work, act, side)
                except BaseException:
                    failed.set()
                    raise

        shares = [self.threads.submit(share, place) for place in range(min(_AT_ONCE, len(live)))]
        wait(shares)  # also where one fails: nothing goes on behind the back of who tidies up then
        for one in shares:
            one.result()

    def overlapped(self, works: Sequence[Work], act: Callable[[Work], None], side: Side = "source", on: Callable[[Work], Iterable[str]] | None = None) -> None:
        """As `each`; calls overlap for the steps of which a volume waits for a network: that of the side, or those which are named."""
        volumes = on or (lambda work: [work.volume(side)])
        waiting = [work for work in works if work.live and any([self.waits_for(volume) for volume in volumes(work)])]  # all are connected here
        self.together(waiting, act, side)
        told = set(map(id, waiting))
        self.each([work for work in works if id(work) not in told], act, side)

    def at_once(self, works: Sequence[Work], side: Side, act: Callable[[Store, list[Work]], object]) -> None:
        """Do something once a volume; what goes wrong rests all of its steps, for nobody knows which it concerns."""
        volumes = dict.fromkeys(work.volume(side) for work in works if work.live)
        for volume in volumes:
            here = [work for work in works if work.live and work.volume(side) == volume]
            try:
                act(self.store(volume), here)
            except (EndError, UnreachableError) as error:
                self.block(volume, error.reason if isinstance(error, EndError) else str(error))
            except OSError as error:
                self.block(volume, failed(error, f"volume {volume}").reason)
            for work in here:
                self._rests(work)

    @staticmethod
    def settle(store: Store, paths: Iterable[bytes]) -> set[bytes]:
        """Make names durable; gives the directories that somebody took away meanwhile: what became of their names must be looked at."""
        gone = set()
        for directory, path in {path.rpartition(b"/")[0]: path for path in paths}.items():
            try:
                store.settle([path])
            except EndError as end:
                if end.state not in {"STALE", "REFUSED"}:
                    raise
                gone.add(directory)
        return gone

    def block(self, volume: str, reason: str) -> None:
        """Try nothing more on a volume in this run."""
        self.blocked.setdefault(volume, reason)

    def _tried(self, work: Work, act: Callable[[Work], None], side: Side) -> None:
        try:
            act(work)
        except EndError as end:
            if end.stops_volume:
                self.block(work.volume(side), end.reason)
            work.end = end
        except UnreachableError as error:
            self.block(work.volume(side), str(error))
            self._rests(work)
        except OSError as error:
            work.end = failed(error, work.shown)
        except (ValueError, OverflowError) as error:  # what a storage told, or is to be told, is out of all bounds: that is of one step
            work.end = EndError("FAILED", f"{work.shown}: {printable.clean(str(error))}")

    def _rests(self, work: Work) -> bool:
        if not self.blocked:
            return False
        for volume in {work.step.volume, work.volume("target")}:
            if volume in self.blocked:
                work.paused = f"{volume}: {self.blocked[volume]}"
                return True
        return False

    def advance(
        self, works: Iterable[Work], state: State | None, values: Callable[[Work], Mapping[str, Any]] = lambda _: {}, folders: Sequence[Left] = ()
    ) -> None:
        """Write that the live steps have come to a state (None: to no other), what ended, and what is kept of folders, in one transaction."""
        works = list(works)
        ended = [work for work in works if work.end is not None and work.state != work.end.state]
        self.tidy(ended)
        live = [] if state is None else [work for work in works if work.state != state and work.live]
        moves = [] if state is None else [Move(work.step.step, state, None, work.untold(values(work))) for work in live]
        moves += [Move(work.step.step, work.end.state, work.end.reason, {"retry": work.end.retry}) for work in ended if work.end]
        if moves:
            self.journal.advance(moves, self.job_id, self.clock(), self.actor, folders)
        for work, move in zip(live, moves, strict=False):  # theirs come first
            work.state = move.state
            work.told |= move.values
        self._release([work for work in ended if work.state in GUARDING and "purge" not in work.stages])
        for work in ended:
            self._count_end(work)

    def tidy(self, works: Iterable[Work]) -> None:
        """Take away the temporary names of steps that end or rest before their copy was published, and let go of what they hold open."""
        for work in works:
            staged = work.staged is not None or work.state in {"COPYING", "VERIFIED"}
            work.let_go()
            if staged and work.target is None and work.step.target_path is not None:
                try:
                    self.store(work.volume("target")).discard(work.target_path, work.key, work.temp_inode)
                except (EndError, OSError, UnreachableError) as error:
                    if work.end is not None:
                        work.end.reason += f"; its temporary name could not be removed ({error})"

    def _release(self, works: Sequence[Work]) -> None:
        """Let copies count again whose removal ended, where we see that we have not taken them: what is at their names is looked at by who counts them."""
        there = []
        for work in works:
            with suppress(EndError, OSError, UnreachableError):
                store = self.store(work.step.volume)
                if store.quarantined(work.key) is None:
                    store.discard(work.step.path, work.key)  # the sidecar of a move that was not made
                    there.append(work.step.step)
        if there:
            self.journal.unretire(self.job_id, there, self.clock(), self.actor, "the removal ended before anything was taken")

    def _count_end(self, work: Work) -> None:
        assert work.end is not None  # noqa: S101  # the caller has looked
        work.state = work.end.state
        self.tally.ended += 1
        self.tally.ended_badly += work.end.state not in {"REFUSED", "SOURCE_BUSY"}
