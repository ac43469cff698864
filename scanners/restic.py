"""Repositories of restic: what their recovery points hold, one entry a path and version, as the program `restic` lists it. Nothing is written there."""

import importlib.util
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import scanners
from catalog.errors import UnreachableError
from catalog.schema import ENTRIES, RECOVERY_POINTS
from scanners import Capabilities, Facts, Settings, Shard, ShardRecord, Sink, _nodes, _place, _trees
from scanners._nodes import Findings
from scanners._patterns import left_out
from scanners._repository import Repository, UnknownError
from scanners._restic import Restic, RunError
from scanners._trees import Holders
from scanners._versions import Listings, Tree

_TOLD = {
    "dir", "name", "path_hash", "extension", "type", "size_bytes", "modified_at", "modified_ns", "changed_at", "changed_ns", "time_flags", "uid", "gid", "mode",
    "is_latest", "digest", "restore_state", "first_recovery_point", "last_recovery_point",
}  # fmt: skip
CAPABILITIES = Capabilities(columns=frozenset(ENTRIES.names) & _TOLD, recovery_points=True)

_VERSIONS = (1, 2)  # of the format of repositories, whose meaning is known here
_ID = re.compile(r"[0-9a-f]{64}")
_SKEW = timedelta(hours=1)  # between the clocks of who was backed up and of who scans
_EPOCH = datetime(1970, 1, 1)
_SHOWN_HOSTS = 10
_MOST_TEXTS, _MOST_LETTERS = 1_000, 65_536  # of a recovery point's paths, patterns or tags that are kept
_LACKING = "not all that it is made of is stored in the repository with its exact size: it cannot be restored"
_NOT_EXACT = "restic tells names that are not UTF-8 with U+FFFD in them: those of this folder cannot be told apart, and are left out"


@dataclass(frozen=True)
class _Point:
    """A recovery point (snapshot) as the repository tells it."""

    id: str
    tree: str
    at: datetime  # naive UTC
    ended_at: datetime | None
    host: str
    user: str
    paths: tuple[str, ...]
    excludes: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def series(self) -> tuple[object, ...]:
        """What backups of one thing have in common."""
        return self.host, self.paths


class Scanner:
    """Reads one repository, all of it at once: what recovery points have in common is found only when all are listed."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._restic = settings, Restic(settings)

    def probe(self) -> Facts:
        """Ask the repository who it is. Raises UnreachableError."""
        config = self._asked("cat", "config")
        if not isinstance(config, dict) or not _ID.fullmatch(str(config.get("id"))):
            raise self._unreachable("it does not tell its id")
        if config.get("version") not in _VERSIONS:
            known = " and ".join(map(str, _VERSIONS))
            raise self._unreachable(f"a repository of version {str(config.get('version'))[:20]!r}; known are {known}")
        device, space = None, None
        if os.path.isdir(self._settings.location):
            descriptor = os.open(self._settings.location, os.O_RDONLY | os.O_DIRECTORY)
            try:
                device, space = _place.device(descriptor), os.fstatvfs(descriptor)
            finally:
                os.close(descriptor)
        return Facts(
            fs_id=f"restic-{config['id']}",
            device=device,
            clock="modified",
            capacity_bytes=space.f_blocks * space.f_frsize if space else None,
            free_bytes=space.f_bavail * space.f_frsize if space else None,
            empty=False,
        )

    def root_shard(self) -> Shard:
        """The repository."""
        return Shard(0, ("",))

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """List every recovery point that is there from the beginning to the end, then write what they hold. Raises UnreachableError if any listing fails."""
        del shard  # there is one
        before = self._ids()
        known, findings, holders = self._points(), Findings(), Holders()
        points = self._of_the_volume(known, sink)
        roots: dict[str, int] = {}
        for place, point in enumerate(points):
            roots[point.tree] = roots.get(point.tree, 0) | 1 << place
        with Listings(sink.room() / "listings") as listings:
            looks_inside = self._can_look_inside() and self._read(roots, holders, listings, findings)
            for tree, held_by in () if looks_inside else roots.items():
                self._list([point for point in points if point.tree == tree], holders.of(held_by), listings, findings)
            after = self._ids()
            if damaged := (before & after) - {point.id for point in known}:  # restic leaves them out, and ends with 0
                raise self._unreachable(f"the repository is damaged: recovery point {min(damaged)[:8]} cannot be read")
            kept = [point for point in points if point.id in after]  # others were forgotten meanwhile
            for columns, excluded in listings.versions(_held(points, kept, holders), [point.id for point in kept], self._settings.exclude):
                if columns:
                    sink.write(columns)
                    for path in _lacking(columns) if looks_inside else ():
                        sink.problem(path, "read", _LACKING, None, hides_below=False)
                sink.exclude(excluded)
        if kept:
            sink.recovery_points(_rows(kept))
        for path, why in findings.refused.items():
            sink.problem(path, "name", why, None, hides_below=False)
        for path in sorted(findings.lossy):
            sink.problem(path, "name", _NOT_EXACT, None, hides_below=False)
        pa.default_memory_pool().release_unused()  # what comes next needs it
        return sink.finish()

    def open_file(self, directory: str, name: str) -> int:
        """Never: nothing of a repository is opened in place."""
        raise NotImplementedError

    def digests(self, rows: pa.RecordBatch) -> Any:  # noqa: ANN401 - it gives none
        """Never: contents are not read."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is held open."""

    def _can_look_inside(self) -> bool:
        """Whether the repository lies on this host, and what decrypts it is installed."""
        return os.path.isdir(self._settings.location) and _can_decrypt()

    def _read(self, roots: Mapping[str, int], holders: Holders, listings: Listings, findings: Findings) -> bool:
        """Keep what trees hold; whether they are of a form that is known here."""
        master = self._asked("cat", "masterkey")
        try:
            repository = Repository(Path(self._settings.location), master)
            listings.take(_trees.read(repository, roots, holders, self._settings.started_us, findings))
        except UnknownError:
            return False
        except RunError as error:
            raise self._unreachable(str(error)) from error
        return True

    def _list(self, points: Sequence[_Point], number: int, listings: Listings, findings: Findings) -> None:
        """Keep the listing of one tree, of the first of its recovery points that is still there."""
        for point in points:
            try:
                with self._restic.blocks("ls", "--json", point.id) as blocks:
                    listings.add(number, _nodes.read(blocks, point.id, self._settings.started_us, findings))
            except RunError as error:
                if point.id in self._ids():
                    raise self._unreachable(f"recovery point {point.id[:8]}: {error}") from error
            else:
                return

    def _ids(self) -> set[str]:
        """The ids of all recovery points, whether they can be read or not."""
        try:
            with self._restic.blocks("list", "snapshots") as blocks:
                found = b"".join(blocks).decode("ascii").split()
        except (RunError, UnicodeDecodeError) as error:
            raise self._unreachable(str(error)) from error
        return {word for word in found if _ID.fullmatch(word)}

    def _points(self) -> list[_Point]:
        """The recovery points, oldest first."""
        found = self._asked("snapshots", "--json")
        try:
            return sorted(map(_point, found or ()), key=lambda point: (point.at, point.id))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise self._unreachable("restic snapshots: a recovery point that cannot be understood") from error

    def _of_the_volume(self, points: Sequence[_Point], sink: Sink) -> list[_Point]:
        """The recovery points of the machine that the volume is of, at times that have been. Raises UnreachableError where it is open which machine that is.

        What was backed up of one machine is no copy of what lies at the same path of another.
        """
        hosts = sorted({point.host for point in points})
        wanted = {_nodes.escape(host) for host in self._settings.hosts}
        if points and wanted.isdisjoint(hosts) and (wanted or len(hosts) > 1):
            told = f"{', '.join(hosts[:_SHOWN_HOSTS])}{', …' if len(hosts) > _SHOWN_HOSTS else ''}"
            what = f"none of its recovery points is of {', '.join(sorted(wanted))}, but" if wanted else "its recovery points are"
            raise self._unreachable(f"{what} of the hosts {told}; say by 'hosts' of which the volume is, and declare a volume for each machine")
        found = []
        for point in points:
            if not wanted or point.host in wanted:
                if point.at > _EPOCH + timedelta(microseconds=self._settings.started_us) + _SKEW:
                    sink.problem(
                        "", "stat", f"recovery point {point.id[:8]} is of {point.at:%Y-%m-%d %H:%M}, in the future: it is left out", None, hides_below=False
                    )
                else:
                    found.append(point)
        return found

    def _asked(self, *words: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        try:
            return self._restic.whole(*words)
        except RunError as error:
            raise self._unreachable(str(error)) from error

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(f"volume {self._settings.volume}: {why}")


def _can_decrypt() -> bool:
    """Whether what the extra `restic` installs is there."""
    packers = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        return all(importlib.util.find_spec(name) for name in ("cryptography", packers))
    except ModuleNotFoundError:  # not even the package that it is part of
        return False


def _point(found: dict[str, Any]) -> _Point:
    """A recovery point of what restic says. Raises what a wrong shape raises."""
    if not _ID.fullmatch(found["id"]) or not _ID.fullmatch(found["tree"]):
        raise ValueError("no id")
    ended = (found.get("summary") or {}).get("backup_end")
    return _Point(
        id=found["id"],
        tree=found["tree"],
        at=scanners.utc(datetime.fromisoformat(found["time"])),
        ended_at=scanners.utc(datetime.fromisoformat(ended)) if ended else None,
        host=_nodes.escape(found.get("hostname") or ""),
        user=_nodes.escape(found.get("username") or ""),
        paths=_texts(found.get("paths")),
        excludes=_texts(found.get("excludes")),
        tags=_texts(found.get("tags")),
    )


def _texts(found: Sequence[str] | None) -> tuple[str, ...]:
    """Texts, escaped; of very many, or very long ones, those that there is room for."""
    kept, letters = [], 0
    for text in (found or ())[:_MOST_TEXTS]:
        letters += len(text)
        if letters > _MOST_LETTERS:
            break
        kept.append(_nodes.escape(text))
    return tuple(kept)


def _held(points: Sequence[_Point], kept: Sequence[_Point], holders: Holders) -> list[Tree]:
    """The sets of recovery points, each with the first and the last of those that are still there."""
    places = {point.id: place for place, point in enumerate(kept)}
    newest = {point.series: place for place, point in enumerate(kept)}
    found = []
    for held_by, number in holders.numbers.items():
        there = [places[point.id] for place, point in enumerate(points) if held_by >> place & 1 and point.id in places]
        if there:
            found.append(Tree(number, there[0], there[-1], any(newest[kept[place].series] == place for place in there)))
    return found


def _lacking(columns: Mapping[str, pa.Array]) -> list[str]:
    """The paths of files that can not be had whole, each once."""
    lacks = pc.and_(pc.equal(columns["type"], "file"), columns["restore_state"].is_null())
    return pc.unique(pc.binary_join_element_wise(columns["dir"].cast(pa.string()), columns["name"], "").filter(lacks)).to_pylist()  # type: ignore[no-any-return]  # text


def _rows(points: Sequence[_Point]) -> pa.Table:
    """Rows of `schema.RECOVERY_POINTS`."""
    rows = [
        {
            "recovery_point": point.id,
            "started_at": point.at,
            "ended_at": point.ended_at,
            "host": point.host,
            "username": point.user,
            "paths": json.dumps(point.paths),
            "excludes": json.dumps(point.excludes),
            "tags": json.dumps(point.tags),
            "left_out": json.dumps(left_out(point.excludes)),
        }
        for point in points
    ]
    return pa.Table.from_pylist(rows, RECOVERY_POINTS)
