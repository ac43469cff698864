"""Digests: reads what could have a copy, each file once, and keeps what was read with the fingerprint for which it holds."""

import contextlib
import datetime
import errno
import itertools
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import scanners
from catalog import domains, snapshot, table
from catalog.config import Config
from catalog.errors import UnreachableError
from catalog.schema import DIGESTS, PROBLEMS
from catalog.snapshot import ScanRow
from scanners import Capabilities, Scanner
from scanners.candidates import Candidates, Chunk, Damaged, Found, Place, Untold
from scanners.readers import Readers
from scanners.reading import SAMPLE_BYTES, Problem, Reply, read_files

Mode = Literal["off", "match", "all"]

GROUP_FILES = 65536  # a commit: at most so many files, or so long
GROUP_SECONDS = 30.0
_FEW_FILES = 500  # so little that no process is started for it
_FEW_BYTES = 8 * 1024 * 1024
_EARLIER_SCANS = 30  # good ones of a volume, in which damage is looked for that was told of
_TICK_US = 10_000  # an access time may be a tick of the kernel's clock before the access
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_EPOCH = datetime.datetime(1970, 1, 1)


@dataclass(frozen=True)
class DigestCounts:
    """What a run found and did so far.

    `files` are those that the modes ask for, every name of a hard-linked file among them; `carried` of these are known
    already. `wanted` files with `wanted_bytes` to read were found so far, a hard-linked file once; `read` of them, with
    `bytes_read`, were read (large files perhaps twice: first a sample, then whole), `problems` could not be, or hold other content than at an
    earlier reading: `damaged` of these.
    """

    files: int = 0
    carried: int = 0
    wanted: int = 0
    wanted_bytes: int = 0
    read: int = 0
    bytes_read: int = 0
    problems: int = 0
    damaged: int = 0


def digest(
    root: Path,
    config: Config,
    *,
    mode: Mode | None = None,
    volumes: Sequence[str] | None = None,
    now: Callable[[], datetime.datetime],
    workers: int | None = None,
    again: bool = False,
    budget: int | None = None,
    progress: Callable[[DigestCounts], None] | None = None,
) -> DigestCounts:
    """Read what the modes ask for and append it to `digests`, in groups: an interrupted run goes on where it stopped.

    `volumes` were just scanned; `mode` overrides theirs, and 'off' reads nothing at all. Other volumes are asked for the
    files that match, if their root can be read now. `now` gives an aware time. What cannot be read, is gone or was changed since its scan,
    or changes while it is read, becomes a row of `problems` under the scan that saw it. `again`: what is known of `volumes` is read
    once more, from the storage, as a proof that it still holds, what was read longest ago first, until `budget` bytes; content that is another under the same
    fingerprint is a problem.
    Reads storage, changes only the catalog.
    """
    scans = {name: scan for name, scan in snapshot.newest_scans(root).items() if name in config.volumes}
    fresh = set(scans if volumes is None else volumes)
    places = {} if mode == "off" else _places(config, scans, fresh, mode, again=again)
    untried = {name: scan for name, scan in scans.items() if name in fresh and name not in places}
    counts = DigestCounts()
    if not places and not (untried and table.exists(root, "digests")):
        return counts
    count = workers or config.catalog.threads or len(os.sched_getaffinity(0))
    since = scanners.utc(now()) if again else None
    protecting = [(one, other) for one in scans for other in scans if domains.may_protect(config, one, other)]
    asking = Candidates(
        root, config.catalog, scans, places, since, budget, protecting=protecting, on_request=[name for name in scans if _is_on_request(config, name, mode)]
    )
    with asking as candidates, Results(root, now) as results, Readers[Chunk](count) as readers:
        damaged = results.repeat(candidates.damaged(_earlier(root, scans, fresh)), scans)
        counts = replace(counts, problems=results.remind(candidates.untold(untried), scans) + damaged, damaged=damaged)
        for question in ("asked", "sampled"):
            found = candidates.find(question, results.sampled())
            if question == "asked":
                files = candidates.asked()
                counts = replace(counts, files=files, carried=files - found.names)
            counts = replace(counts, wanted=counts.wanted + found.wanted, wanted_bytes=counts.wanted_bytes + found.wanted_bytes)
            counts = replace(counts, problems=counts.problems + results.refuse(found.hollow))
            for chunk, reply in itertools.chain(_read(candidates.chunks(), found, readers), _read_through(config, candidates.streams())):
                read, problems, damaged = results.add(chunk, reply)
                counts = replace(counts, read=counts.read + read, bytes_read=counts.bytes_read + reply.bytes_read)
                counts = replace(counts, problems=counts.problems + problems, damaged=counts.damaged + damaged)
                if progress:
                    progress(counts)
            results.hand_over()
    return counts


def _earlier(root: Path, scans: Mapping[str, ScanRow], fresh: set[str]) -> list[ScanRow]:
    """The last scans of some volumes before those that hold."""
    found: dict[str, list[ScanRow]] = {}
    for scan in snapshot.scans(root):
        if scan.volume in fresh and scan.state != "failed" and scan != scans.get(scan.volume):
            found.setdefault(scan.volume, []).append(scan)
    return [scan for some in found.values() for scan in some[-_EARLIER_SCANS:]]


def _places(config: Config, scans: Mapping[str, ScanRow], fresh: set[str], mode: Mode | None, *, again: bool) -> dict[str, Place]:
    """The volumes that may be read, and can be: the file system that was scanned must be there."""
    places = {}
    for name, scan in scans.items():
        declared = config.volumes[name]
        own = declared.digest or ("all" if declared.access == "offline" else "match")
        wanted = (mode or own) if name in fresh else "off" if own == "off" else "match"
        able: Capabilities = scanners.load(declared.kind).CAPABILITIES
        if wanted != "off" and (able.local_files or able.read_through) and _is_there(config, scan):
            folder = Path(scanners.settings(config, name).location)
            places[name] = Place(scan, folder, wanted, able.read_through, able.in_any_order, again and name in fresh)
    return places


def _is_on_request(config: Config, volume: str, mode: Mode | None) -> bool:
    """Whether contents are left to `again`: unless somebody says 'all'."""
    able: Capabilities = scanners.load(config.volumes[volume].kind).CAPABILITIES
    return able.on_request and "all" not in (mode, config.volumes[volume].digest)


def _is_there(config: Config, scan: ScanRow) -> bool:
    """Whether what was scanned is there, and its contents can be read."""
    scanner = scanners.connect(config, scan.volume)
    try:
        found = scanner.probe()
    except UnreachableError:
        return False  # a shelved medium: what is unknown stays unknown
    else:
        return found.readable and found.fs_id == scan.root_fs_id
    finally:
        scanner.close()


def _read(chunks: Iterator[Chunk], found: Found, readers: Readers[Chunk]) -> Iterator[tuple[Chunk, Reply]]:
    """Read chunks in processes, or here where there is little to read."""
    requests = ((chunk, chunk.request) for chunk in chunks if chunk.request)
    if found.wanted <= _FEW_FILES and found.wanted_bytes <= _FEW_BYTES:
        return ((chunk, read_files(request)) for chunk, request in requests)
    return readers.replies(requests)


def _read_through(config: Config, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, Reply]]:
    """Read chunks of what is read in one pass, each by its volume's scanner."""
    with contextlib.ExitStack() as stack:
        opened: dict[str, Scanner] = {}
        for chunk in chunks:
            volume = chunk.place.scan.volume
            if volume not in opened:
                opened[volume] = scanners.connect(config, volume)
                stack.callback(opened[volume].close)
            yield chunk, opened[volume].digests(chunk.rows)


class Results:
    """Rows for `digests` and `problems`, committed in groups, also when the block ends by an error: what was read is kept."""

    def __init__(self, root: Path, now: Callable[[], datetime.datetime]) -> None:
        self._root = root
        self._now: Callable[[], datetime.datetime] = lambda: scanners.utc(now())
        self._rows: list[pa.Table] = []
        self._handed_over: list[pa.Table] = []
        self._problems: dict[ScanRow, list[tuple[object, ...]]] = {}
        self._count, self._since = 0, time.monotonic()
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.hand_over()
            if self._writing:
                self._writing.result()
        finally:
            self._writer.shutdown()

    def add(self, chunk: Chunk, reply: Reply) -> tuple[int, int, int]:
        """Take what was read of a chunk; gives the number of files that were read, of problems, and of damaged files among these."""
        rows = _rows(chunk, reply, self._now())
        if rows.num_rows:
            self._rows.append(rows)
        self._count += rows.num_rows
        read = rows.num_rows - sum(1 for problem in reply.problems if _is_failure(problem))
        damaged = list(_damaged(chunk, reply))
        problems = [*reply.problems, *damaged]
        if problems:
            paths = pc.binary_join_element_wise(chunk.rows["dir"], chunk.rows["name"], "").to_pylist()
            inodes = chunk.rows["inode"].to_pylist()
            told = ((paths[i], stage, text, number, False, self._now(), inodes[i]) for i, stage, text, number in problems)
            self._problems.setdefault(chunk.place.scan, []).extend(told)
        if self._count >= GROUP_FILES or time.monotonic() - self._since >= GROUP_SECONDS:
            self.hand_over()
        return read, len(problems), len(damaged)

    def refuse(self, found: Mapping[Place, Sequence[tuple[str, str]]]) -> int:
        """Take what is not read at all: paths with what is wrong; gives their number."""
        for place, files in found.items():
            self._problems.setdefault(place.scan, []).extend((path, "read", error, None, False, self._now(), None) for path, error in files)
        return sum(map(len, found.values()))

    def remind(self, found: Mapping[str, Sequence[Untold]], scans: Mapping[str, ScanRow]) -> int:
        """Take what is to be read, for a reading of it failed or another volume found other content, and is not tried now; gives its number."""
        for volume, files in found.items():
            self._problems.setdefault(scans[volume], []).extend((one.path, "read", _told(one), None, False, one.failed_at, one.inode) for one in files)
        return sum(map(len, found.values()))

    def repeat(self, found: Mapping[str, Sequence[Damaged]], scans: Mapping[str, ScanRow]) -> int:
        """Take what an earlier scan found damaged and is so still; gives its number."""
        for volume, files in found.items():
            self._problems.setdefault(scans[volume], []).extend((one.path, "damaged", one.error, None, False, one.seen_at, one.inode) for one in files)
        return sum(map(len, found.values()))

    def sampled(self) -> pa.Table:
        """What has a sample and may not be on disk yet, as rows of `schema.DIGESTS`."""
        rows = pa.concat_tables([DIGESTS.empty_table(), *(part.cast(DIGESTS) for part in self._handed_over + self._rows)])
        return rows.filter(rows["sample"].is_valid())

    def hand_over(self) -> None:
        """Commit what was taken in the background, one group at a time, while the readers go on."""
        if self._writing:
            self._writing.result()
        self._writing = self._writer.submit(_commit, self._root, self._rows, self._problems)
        self._handed_over, self._rows, self._problems, self._count, self._since = self._rows, [], {}, 0, time.monotonic()


def _commit(root: Path, rows: Sequence[pa.Table], problems: Mapping[ScanRow, Sequence[tuple[object, ...]]]) -> None:
    for scan, found in problems.items():
        columns = zip(*found, strict=True)
        lines = pa.table([pa.array(column, field.type) for column, field in zip(columns, PROBLEMS, strict=True)], schema=PROBLEMS)
        table.append(root, "problems", lines, f"digest-{uuid.uuid4().hex}", {"scan_id": scan.scan_id, "volume": scan.volume})
    if rows:
        table.append(root, "digests", pa.concat_tables(rows), f"digest-{uuid.uuid4().hex}")


def _told(one: Untold) -> str:
    through = f" through volume '{one.reader}', which shows the same file" if one.reader else ""
    what = "gave other content" if one.is_other else "could not be read"
    return f"{what} at {one.failed_at:%Y-%m-%d %H:%M} UTC{through}, and was not read since"


def _damaged(chunk: Chunk, reply: Reply) -> Iterator[Problem]:
    """The files of a chunk that hold another content than when they were read last, though nothing else about them is another."""
    if "digest_before" not in chunk.rows.schema.names:
        return
    differ = pc.not_equal(pa.array(reply.digests, pa.binary()), chunk.rows["digest_before"]).fill_null(False)
    for i in pc.indices_nonzero(differ).to_pylist():
        then = chunk.rows["digested_before_at"][i].as_py()
        text = f"its content is another than at {then:%Y-%m-%d %H:%M} UTC, its size and times are the same: damaged by the storage, or changed unseen"
        yield i, "damaged", text, None


def _is_failure(problem: Problem) -> bool:
    """Whether it says that the file itself could not be read: not that there is none of that name any more, or another."""
    _, stage, _, number = problem
    return stage in ("open", "read") and number not in _NOT_THERE


def _rows(chunk: Chunk, reply: Reply, now: datetime.datetime) -> pa.Table:
    """The rows of `schema.DIGESTS` for the files of a chunk that were read, or whose reading failed. The reader's monotonic times are set against `now`."""
    offset_us = (now - _EPOCH) // datetime.timedelta(microseconds=1) - time.monotonic_ns() // 1000
    ended = np.array([reply.started_ns, *reply.ended_ns], np.int64) // 1000 + offset_us
    digests, samples = pa.array(reply.digests, pa.binary()), pa.array(reply.samples, pa.binary())
    given = {name: chunk.rows[name] for name in DIGESTS.names if name in chunk.rows.schema.names}
    whole = chunk.rows["whole"].to_numpy(zero_copy_only=False)
    read = {
        "digest": digests,
        "sample": samples,
        "read_started_at": pa.array(ended[:-1] - _TICK_US, pa.timestamp("us")),
        "digested_at": pa.array(ended[1:], pa.timestamp("us")),
        "bytes_read": np.where(whole, chunk.rows["size_bytes"].to_numpy(), 2 * SAMPLE_BYTES),
    }
    rows = pa.table({**given, **read}).select(DIGESTS.names)
    failed = np.zeros(rows.num_rows, bool)
    failed[[problem[0] for problem in reply.problems if _is_failure(problem)]] = True
    return rows.filter(pc.or_(pc.or_(digests.is_valid(), samples.is_valid()), pa.array(failed))) if reply.problems else rows
