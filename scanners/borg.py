"""Repositories of borg on this host: what their archives hold, one entry a path and version, as the program `borg` lists it. Nothing is written there."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa

import scanners
from catalog.errors import UnreachableError
from catalog.schema import ENTRIES
from scanners import Capabilities, Facts, Settings, Shard, ShardRecord, Sink, _borg_arguments, _borg_inside, _groups, _items, _nodes, _place
from scanners._borg import Borg, UnknownError
from scanners._borg_answers import Contents
from scanners._items import Items
from scanners._nodes import Findings
from scanners._points import ID, Point, facts, held, of_the_volume, rows, texts
from scanners._program import RunError
from scanners._versions import LACKING, Listings, lacking
from scanners.reading import Reply

_TOLD = {
    "dir", "name", "path_hash", "extension", "type", "size_bytes", "modified_at", "modified_ns", "time_flags", "uid", "gid", "mode", "fs_id", "inode",
    "is_latest", "restore_state", "first_recovery_point", "last_recovery_point",
}  # fmt: skip
CAPABILITIES = Capabilities(columns=frozenset(ENTRIES.names) & _TOLD, recovery_points=True, read_through=True, in_any_order=True, on_request=True)

_FORMAT = "{end}{hostname}{username}{command_line}"
_NOT_EXACT = "this borg tells names that are no text with ? in them: names of this folder that have a ? cannot be told apart, and are left out"
_CHECKPOINT = re.compile(r"\.checkpoint(\.[0-9]+)?$")


class Scanner:
    """Reads one repository, all of it at once: what archives have in common is found only when all are listed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contents: Contents | None = None
        self._suspects: frozenset[str] = frozenset()
        self._names: dict[str, str] | None = None  # of archives, by id

    def probe(self) -> Facts:
        """Ask the repository who it is. Raises UnreachableError."""
        borg = Borg(self._settings)
        found = self._asked(borg, "list", "--json", "--last", "1")
        try:
            known = str(found["repository"]["id"])
        except (KeyError, TypeError) as error:
            raise self._unreachable("it does not tell its id") from error
        if not ID.fullmatch(known):
            raise self._unreachable("it does not tell its id")
        return facts(f"borg-{known}", self._settings.location, readable=borg.can_look_inside)

    def root_shard(self) -> Shard:
        """The repository."""
        return Shard(0, ("",))

    def suspect(self, marks: frozenset[str]) -> None:
        """Take segments and pieces for lost (see `suspects`): files with one are listed as not whole. What cannot be looked into is unreachable then."""
        self._suspects = marks

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """List every archive that is there from the beginning to the end, then write what they hold. Raises UnreachableError if any listing fails."""
        del shard  # there is one
        borg, findings = Borg(self._settings, sink.room()), Findings()
        points = of_the_volume(self._settings, self._points(borg, sink), sink)
        with Listings(sink.room() / "listings") as listings:
            numbers = self._inside(borg, points, listings, findings)
            looks_inside = numbers is not None
            if numbers is None and self._suspects:
                raise self._unreachable("it can only be listed from here, which does not tell what lies where")
            if numbers is None:
                numbers = [(1 << place, place) for place, point in enumerate(points) if self._list(borg, point, place, listings, findings)]
            after = self._ids(borg)
            kept = [point for point in points if point.id in after]  # others were deleted meanwhile
            for columns, excluded in listings.versions(held(points, kept, numbers), [point.id for point in kept], self._settings.exclude, self._fs_id):
                if columns:
                    sink.write(columns)
                    for path, number in lacking(columns) if looks_inside else ():
                        sink.problem(path, "read", LACKING, None, hides_below=False, inode=number)
                sink.exclude(excluded)
        if kept:
            sink.recovery_points(rows(kept))
        inexact = dict.fromkeys(sorted(findings.lossy), _NOT_EXACT)
        for stage, wrong in (("name", findings.refused | inexact), ("read", findings.damaged)):
            for path, why in wrong.items():
                sink.problem(path, stage, why, None, hides_below=False)
        pa.default_memory_pool().release_unused()  # what comes next needs it
        return sink.finish()

    def digests(self, rows: pa.RecordBatch) -> Reply:
        """Digests of versions, read from the segments of the repository."""
        if self._contents is None:
            borg = Borg(self._settings)
            try:
                self._contents = Contents(borg, sorted(self._ids(borg)))
            except (RunError, UnreachableError) as error:
                count, now = rows.num_rows, time.monotonic_ns()
                return Reply(now, [now] * count, [None] * count, [None] * count, 0, [(row, "open", str(error), None) for row in range(count)])
        return self._contents.read(rows)

    @contextmanager
    def restored(self, point: str, path: bytes) -> Iterator[Iterator[bytes]]:
        """What borg itself gives back of a file of an archive. Of a further name of a hard link it gives nothing. Raises RunError, UnreachableError."""
        borg = Borg(self._settings)
        if self._names is None:
            self._names = {str(one.get("id")): str(one.get("barchive")) for one in self._archives(borg, "--format", _FORMAT)}
        if point not in self._names:
            raise RunError("the archive that held it is gone")
        with borg.blocks("extract", "--stdout", archive=self._names[point], of=[f"pp:{os.fsdecode(path)}"]) as found:
            yield found

    def close(self) -> None:
        """End what reads contents."""
        if self._contents:
            self._contents.close()

    @property
    def _fs_id(self) -> str:
        """Where the numbers of versions are of, see `_place.of_repository`."""
        return _place.of_repository("borg", self._settings.location)

    def _inside(self, borg: Borg, points: Sequence[Point], listings: Listings, findings: Findings) -> list[tuple[int, int]] | None:
        """Keep what archives hold, as borg's own code reads it: for each group of items which archives (bits of their places) have it, and its number.

        None where borg's code is not as it is known here.
        """
        places = {point.id: place for place, point in enumerate(points)}
        wanted, first = set(places), listings.count
        while True:
            try:
                with borg.inside([point.id for point in points if point.id in wanted], self._suspects) as (blocks, groups):
                    listings.take(_groups.read(blocks, self._settings.started_us, findings))
                    held_by: dict[int, int] = {}
                    for one, numbers in groups().items():
                        for number in numbers:
                            held_by[number] = held_by.get(number, 0) | 1 << places[one]
            except RunError as error:
                listings.drop(first)
                if isinstance(error, UnknownError) or error.code == _borg_inside.NOT_KNOWN:
                    return None
                there = wanted & self._ids(borg)
                if there == wanted:
                    raise self._unreachable(str(error)) from error
                wanted = there
            else:
                return [(archives, number) for number, archives in held_by.items()]

    def _list(self, borg: Borg, point: Point, number: int, listings: Listings, findings: Findings) -> bool:
        """Keep the listing of an archive, unless it is deleted meanwhile; whether it was there."""
        links: list[pa.Table] = []
        first = listings.count
        try:
            with borg.blocks("list", "--format", _items.FORMAT, archive=point.content) as blocks:
                listings.add(number, _files(_items.read(blocks, self._settings.started_us, findings), links))
        except RunError as error:
            if point.id in self._ids(borg):
                raise self._unreachable(f"archive {_nodes.escape(point.content)}: {error}") from error
            return False
        _items.refuse_untold(listings.link(number, iter(links), first), findings)
        return True

    def _ids(self, borg: Borg) -> set[str]:
        """The ids of all archives."""
        return {str(one.get("id")) for one in self._archives(borg)}

    def _archives(self, borg: Borg, *words: str) -> list[dict[str, Any]]:
        found = self._asked(borg, "list", "--json", "--consider-checkpoints", *words)
        archives = found.get("archives") if isinstance(found, dict) else None
        if not isinstance(archives, list) or not all(isinstance(one, dict) for one in archives):
            raise self._unreachable("borg list: its answer cannot be understood")
        return archives

    def _points(self, borg: Borg, sink: Sink) -> list[Point]:
        """The archives that are whole, oldest first."""
        found = []
        for one in self._archives(borg, "--format", _FORMAT):
            try:
                point = _point(one)
            except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
                raise self._unreachable("borg list: an archive that cannot be understood") from error
            why = "an interrupted backup left it" if _CHECKPOINT.search(point.content) else None
            why = why or ("borg takes no such name" if not point.content or set("/\0") & set(point.content) else None)
            if why:
                sink.problem("", "stat", f"archive {_nodes.escape(point.content)} is left out: {why}", None, hides_below=False)
            else:
                found.append(point)
        return sorted(found, key=lambda point: (point.at, point.id))

    def _asked(self, borg: Borg, *words: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        try:
            return borg.whole(*words)
        except RunError as error:
            raise self._unreachable(str(error)) from error

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(f"volume {self._settings.volume}: {why}")


def _files(batches: Iterator[Items], links: list[pa.Table]) -> Iterator[pa.Table]:
    """The files of batches; what are hard links of them is added to `links`."""
    for items in batches:
        if len(items.links):
            links.append(items.links)
        yield items.files


def _point(found: dict[str, Any]) -> Point:
    """A recovery point of what borg says. Raises what a wrong shape raises."""
    if not ID.fullmatch(found["id"]):
        raise ValueError("no id")
    words: Sequence[str] = found.get("command_line") or ()
    told = _borg_arguments.understood(words)
    return Point(
        id=found["id"],
        at=_time(found["start"]),
        ended_at=_time(found["end"]),
        host=_nodes.escape(found.get("hostname") or ""),
        user=_nodes.escape(found.get("username") or ""),
        paths=texts(told.paths),
        excludes=texts(told.excludes),
        left_out=told.left_out,
        content=found["barchive"],
    )


def _time(text: str) -> datetime:
    """A time that borg says, which runs in UTC."""
    found = datetime.fromisoformat(text)
    return scanners.utc(found) if found.tzinfo else found
