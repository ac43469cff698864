"""The jobs of a catalog of Bacula, and which of them are restored together (tables of its versions 9 to 15, src/cats/make_sqlite3_tables.in)."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scanners import _nodes
from scanners._points import Point

_WANTED = ("Job", "Client", "FileSet", "File", "Path", "JobMedia", "Media")
_LONGEST_BYTES = 1 << 20  # of one value
_EPOCH = datetime(1970, 1, 1)
_LONGEST = timedelta(days=30)  # that a job takes; what is told beyond is a clock that was set
_DONE = ("T", "W")  # ended well, ended with warnings
_LEVELS = {"F": "Full", "I": "Incremental", "D": "Differential"}
_JOBS = """
SELECT
    Job.JobId, Job.Job, Job.Name, Job.Level, Job.JobStatus, Job.StartTime, Job.EndTime, Job.JobTDate, Job.PurgedFiles, Job.HasBase, Job.FileSetId,
    Job.ClientId, coalesce(Client.Name, ''), coalesce(FileSet.FileSet, '')
FROM Job LEFT JOIN Client ON Job.ClientId = Client.ClientId LEFT JOIN FileSet ON Job.FileSetId = FileSet.FileSetId
WHERE Job.Type = 'B'
ORDER BY Job.JobTDate, Job.JobId
"""


class BadCatalogError(Exception):
    """What is no catalog of Bacula, or is damaged, or made to hurt who reads it."""


@dataclass
class Job:
    """A backup job. `why`: it is left out for that; `chain`: the number of the jobs that are restored together, `place`: its place among all by time."""

    number: int
    level: str
    series: tuple[int, int, str]
    point: Point
    why: str | None
    chain: int = 0
    place: int = 0
    rest: list[int] = field(default_factory=list)  # the places of the jobs of its chain, one list for all of them

    @property
    def ended_us(self) -> int:
        """When it was done, microseconds since 1970 UTC."""
        return ((self.point.ended_at or self.point.at) - _EPOCH) // timedelta(microseconds=1)


def connected(descriptor: int) -> sqlite3.Connection:
    """A connection that reads an open file, without a lock and without what a schema could have it do. Raises BadCatalogError."""
    try:
        connection = sqlite3.connect(f"file:/proc/self/fd/{descriptor}?mode=ro&immutable=1", uri=True, isolation_level=None)
        connection.text_factory = bytes  # names are bytes
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_BYTES)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "temp_store = FILE"):
            connection.execute(f"PRAGMA {pragma}")
        kinds = {str(name, "utf-8", "replace"): (kind, page) for name, kind, page in connection.execute("SELECT name, type, rootpage FROM sqlite_master")}
    except sqlite3.Error as error:
        raise BadCatalogError(f"no catalog of Bacula in SQLite: {error}") from error
    for name in (*_WANTED, *(("Filename",) if "Filename" in kinds else ())):
        kind, page = kinds.get(name, (b"", 0))
        if kind != b"table" or not page:
            raise BadCatalogError(f"no catalog of Bacula: it has no table {name}")
    return connection


def has_filenames(connection: sqlite3.Connection) -> bool:
    """Whether names are in a table of their own, as until version 9."""
    return bool(list(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'Filename'")))


def jobs(connection: sqlite3.Connection) -> list[Job]:
    """All jobs of backups, in the order of time. Raises BadCatalogError."""
    try:
        return [_job(row) for row in connection.execute(_JOBS)]
    except (sqlite3.Error, TypeError, ValueError, OverflowError) as error:
        raise BadCatalogError(f"its jobs cannot be understood: {error}") from error


def _job(row: tuple[object, ...]) -> Job:
    """A job as the catalog tells it. Raises what a wrong shape raises."""
    number, unique, name, level, status, started, ended, ended_s, purged, base, files, client_id, client, file_set = map(_plain, row)
    ended_at = _EPOCH + timedelta(seconds=int(ended_s))
    point = Point(
        id=_nodes.escape(unique),
        at=ended_at - _took(started, ended),
        ended_at=ended_at,
        host=_nodes.escape(client),
        user="",
        paths=(),
        excludes=(),
        left_out=(),
        tags=tuple(_nodes.escape(text) for text in (f"job={name}", f"level={_LEVELS.get(level, level)}", f"fileset={file_set}")),
    )
    why = None if status in _DONE else f"it is not done, or ended with status {_nodes.escape(status[:1])!r}"
    why = why or ("its list of files was purged" if int(purged or 0) else None)
    why = why or ("it is made on base jobs, which are not read" if int(base or 0) or level not in _LEVELS else None)
    return Job(int(number), level, (int(client_id), int(files), name), point, why)


def _plain(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)


def _took(started: str, ended: str) -> timedelta:
    """How long a job took, by two times of the director's own zone."""
    try:
        found = datetime.fromisoformat(ended) - datetime.fromisoformat(started)
    except (ValueError, TypeError):
        return timedelta()
    return min(max(found, timedelta()), _LONGEST)


def chained(found: Sequence[Job]) -> list[Job]:
    """Jobs in the order of time with their places; a full one begins a chain, the others of the same job, client and set of files go on with it."""
    last: dict[tuple[int, int, str], Job] = {}
    for place, job in enumerate(found):
        before = last.get(job.series)
        job.place = place
        job.chain, job.rest = (place, []) if before is None or job.level == "F" else (before.chain, before.rest)
        job.rest.append(place)
        last[job.series] = job
    return list(found)


def left_out(found: Sequence[Job], counted: set[str]) -> Iterator[str]:
    """What to say of jobs that are left out; of a series that failed and was made good later nothing."""
    good = {job.series: place for place, job in enumerate(found) if job.why is None}
    hosts = {job.point.host for job in found if job.point.id in counted}
    told = {(job.series, job.why): job for place, job in enumerate(found) if job.why and place > good.get(job.series, -1)}
    told |= {(job.series, job.why): job for job in found if job.why and job.why.startswith("its list")}
    for job in told.values():
        if job.point.host in hosts or not hosts:
            yield f"job {job.point.id} is left out: {job.why}"
