"""The files of jobs of Bacula: decoded, each with the jobs by which it would come back, and without those whose medium does not count."""

import base64
import binascii
import sqlite3
import stat
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from catalog import names
from catalog.schema import TIME_FLAGS
from scanners import Settings, Sink
from scanners._bacula import BadCatalogError, Job, has_filenames
from scanners._nodes import flags
from scanners._told import ATTESTED, LISTED, RefusedPathError, place
from scanners._versions import Tree

_BATCH_ROWS = 32_768
_MOST_PROBLEMS = 1_000
_MOST_ROOTS = 1_000
_FILES = """
SELECT File.JobId, File.FileIndex, Path.Path, {name}, File.LStat, File.MD5,
    lead(wanted.place) OVER (PARTITION BY wanted.chain, File.PathId, {same} ORDER BY wanted.place, File.FileId)
FROM File INNER JOIN wanted ON File.JobId = wanted.JobId INNER JOIN Path ON File.PathId = Path.PathId {join}
"""
_MEDIA = """
SELECT JobMedia.JobId, JobMedia.FirstIndex, JobMedia.LastIndex, Media.VolumeName, Media.VolStatus, Media.InChanger
FROM JobMedia INNER JOIN wanted ON JobMedia.JobId = wanted.JobId LEFT JOIN Media ON JobMedia.MediaId = Media.MediaId
"""
_GONE = ("Purged", "Recycle", "Error", "Disabled")  # states of media whose content may be, or is, no more
_DIGITS = {ord(letter): value for value, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}
_MODE, _UID, _GID, _SIZE, _MODIFIED, _CHANGED, _LINK = 2, 4, 5, 7, 11, 12, 13  # fields of LStat
_MOST_LETTERS = 11  # of a number of 64 bits
_SHA256_LETTERS = 43
_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink"}
_FURTHEST_S = 2**40  # from 1970: beyond every time that can be stored
_KINDS = {
    "tree": pa.int32(), "dir": pa.string(), "name": pa.string(), "type": pa.string(), "size_bytes": pa.int64(), "modified_us": pa.int64(),
    "changed_us": pa.int64(), "mode": pa.int32(), "uid": pa.int64(), "gid": pa.int64(), "digest": pa.binary(), "attested_us": pa.int64(),
    "attested_level": pa.int32(),
}  # fmt: skip


class Files:
    """The files of some jobs, in one pass; what was met on the way is known when `batches` has ended."""

    def __init__(self, connection: sqlite3.Connection, jobs: Sequence[Job], settings: Settings, sink: Sink) -> None:
        self._connection, self._settings, self._sink = connection, settings, sink
        self._jobs = {job.number: job for job in jobs}
        self._places = list(jobs)
        self._intervals: dict[tuple[int, int], int] = {}
        self._dirs: dict[int, set[bytes]] = {}  # of each chain
        self._lost: Counter[tuple[str, str]] = Counter()
        self._refused = 0

    def batches(self) -> Iterator[pa.Table]:
        """Rows as `Listings` takes them. Raises BadCatalogError."""
        try:
            self._connection.execute("CREATE TEMP TABLE wanted (JobId INTEGER PRIMARY KEY, place INTEGER, chain INTEGER)")
            self._connection.executemany("INSERT INTO wanted VALUES (?, ?, ?)", [(job.number, job.place, job.chain) for job in self._places])
            media = self._media()
            own = has_filenames(self._connection)
            query = _FILES.format(
                name="Filename.Name" if own else "File.Filename",
                same="File.FilenameId" if own else "File.Filename",
                join="INNER JOIN Filename ON File.FilenameId = Filename.FilenameId" if own else "",
            )
            cursor = self._connection.execute(query)
            while found := cursor.fetchmany(_BATCH_ROWS):
                rows = [row for one in found if (row := self._row(one, media)) is not None]
                if rows:
                    yield self._table(rows)
        except (sqlite3.Error, TypeError, ValueError, OverflowError) as error:
            raise BadCatalogError(f"it is damaged, or no catalog of Bacula: {error}") from error

    def trees(self) -> list[Tree]:
        """Which jobs bring back what."""
        newest = {job.series: job.place for job in self._places}
        return [Tree(number, first, last, last == newest[self._places[first].series]) for (first, last), number in self._intervals.items()]

    def roots(self, job: Job) -> tuple[str, ...]:
        """The folders that the chain of a job is of."""
        dirs = self._dirs.get(job.chain, set())
        tops = sorted(path for path in dirs if path.rpartition(b"/")[0] not in dirs)
        return tuple("/" + names.escape(path) for path in tops[:_MOST_ROOTS])

    def lost(self) -> Iterator[str]:
        """What to say of files that are on no medium that counts."""
        for (job, why), count in sorted(self._lost.items()):
            yield f"job {job}: {count} files are left out: {why}"

    def _media(self) -> dict[int, list[tuple[int, int, str | None]]]:
        """For each job the files (by their numbers) on each medium, and why they do not count."""
        found: dict[int, list[tuple[int, int, str | None]]] = {}
        for number, first, last, name, status, in_changer in self._connection.execute(_MEDIA):
            called, state = (names.escape(value or b"") for value in (name, status))
            why = None if name is not None and state not in _GONE else f"medium {called or 'that nobody knows'} is {state or 'not in the catalog'}"
            if why is None and in_changer and self._settings.access == "offline":
                why = f"medium {called} is in the changer, and not offline; put it on the shelf, or declare access = 'nearline'"
            found.setdefault(number, []).append((first, last, why))
        return found

    def _row(self, found: tuple[Any, ...], media: Mapping[int, list[tuple[int, int, str | None]]]) -> tuple[Any, ...] | None:
        """A row of `_KINDS`; None for what says that a file was deleted, or cannot be entered."""
        number, index, folder, name, told, digits, following = found
        job = self._jobs[number]
        if index <= 0:
            return None
        values = _decoded(told)
        kind = _TYPES.get(stat.S_IFMT(values[_MODE]), "special")
        path = (folder + name).strip(b"/") if kind == "dir" else (folder + name).lstrip(b"/")
        if kind == "dir":
            self._dirs.setdefault(job.chain, set()).add(path)
            if not path:
                return None  # the root
        try:
            directory, last_name = place(path)
            if kind == "file" and not 0 <= values[_SIZE] < 2**63:
                raise RefusedPathError(f"a size of {values[_SIZE]} bytes is none")  # noqa: TRY301 - told as others
        except RefusedPathError as error:
            self._refuse(path, job, str(error))
            return None
        why = _why_lost(values[_LINK] if values[_LINK] > 0 else index, media.get(number, ())) if kind == "file" else None
        if why is not None:
            self._lost[job.point.id, why] += 1
            return None
        first, last = self._interval(job, following)
        return (
            self._intervals.setdefault((first, last), len(self._intervals)),
            directory,
            last_name,
            kind,
            values[_SIZE] if kind == "file" else 0,
            _microseconds(values[_MODIFIED]),
            _microseconds(values[_CHANGED]),
            values[_MODE] & 0xFFFF,
            values[_UID],
            values[_GID],
            _sha256(digits) if kind == "file" else None,
            job.ended_us,
            ATTESTED if kind == "file" and digits not in (b"", b"0", None) else LISTED,
        )

    def _interval(self, job: Job, following: int | None) -> tuple[int, int]:
        """The first and the last place of jobs by which a file comes back: until the next one of its chain that tells of it, or replaces its job."""
        ends = [following] if following is not None else []
        if job.level == "I":
            ends += [place for place in job.rest if place > job.place and self._places[place].level == "D"][:1]
        before = bisect_left(job.rest, min(ends)) if ends else len(job.rest)
        return job.place, max(job.place, job.rest[before - 1])

    def _refuse(self, path: bytes, job: Job, why: str) -> None:
        self._refused += 1
        if self._refused <= _MOST_PROBLEMS:
            more = "; there are more such files, which are not told of" if self._refused == _MOST_PROBLEMS else ""
            self._sink.problem("", "name", f"job {job.point.id}, {names.escape(path[:4096])}: {why}{more}", None, hides_below=False)

    def _table(self, rows: list[tuple[Any, ...]]) -> pa.Table:
        columns = dict(zip(_KINDS, map(list, zip(*rows, strict=True)), strict=True))
        arrays = {name: pa.array(columns[name], kind) for name, kind in _KINDS.items()}
        none = pa.array(np.zeros(len(rows), np.int32))
        started = self._settings.started_us
        told = flags("modified", arrays["modified_us"], none, started) | flags("changed", arrays["changed_us"], none, started)
        arrays |= {"modified_ns": none, "changed_ns": none, "time_flags": pa.array(told | TIME_FLAGS["modified_coarse"])}
        arrays |= {"whole": pa.array(np.ones(len(rows), bool)), "content": pa.nulls(len(rows), pa.int64())}
        return pa.table(arrays)


def _decoded(told: bytes) -> list[int]:
    """The numbers of LStat: letters are digits of base 64. Raises ValueError."""
    found = []
    for word in told.split(b" "):
        value, letters = 0, word.removeprefix(b"-")
        if len(letters) > _MOST_LETTERS:
            raise ValueError(f"a number of {len(letters)} digits: no state of a file has one")
        for letter in letters:
            value = value << 6 | _DIGITS[letter] if letter in _DIGITS else _no_digit(letter)
        found.append(-value if word.startswith(b"-") else value)
    if len(found) <= _LINK or max(map(abs, (found[_UID], found[_GID]))) >= 2**63:
        raise ValueError("a state of a file that cannot be understood")
    return found


def _no_digit(letter: int) -> int:
    raise ValueError(f"a digit {letter} that is none")


def _microseconds(seconds: int) -> int:
    return max(-_FURTHEST_S, min(seconds, _FURTHEST_S)) * 1_000_000


def _sha256(digits: bytes | None) -> bytes | None:
    """The SHA-256 of a file, where that is what the job was told to make."""
    if digits is None or len(digits) != _SHA256_LETTERS:
        return None
    try:
        return base64.b64decode(digits + b"=", validate=True)
    except binascii.Error:
        return None


def _why_lost(index: int, ranges: Sequence[tuple[int, int, str | None]]) -> str | None:
    """Why a file by its number does not count; None where all media that it lies on do."""
    found = [why for first, last, why in ranges if first <= index <= last]
    return next((why for why in found if why), None) if found else "the catalog knows no medium that they are on"
