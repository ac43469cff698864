"""Recovery points of a backup repository: of which machine and time they are, and their rows."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from catalog.errors import UnreachableError
from catalog.schema import RECOVERY_POINTS
from scanners import Facts, Settings, Sink, _nodes, _place
from scanners._versions import Tree

ID = re.compile(r"[0-9a-f]{64}")
_SKEW = timedelta(hours=1)  # between the clocks of who was backed up and of who scans
_EPOCH = datetime(1970, 1, 1)
_SHOWN_HOSTS = 10
_MOST_TEXTS, _MOST_LETTERS = 1_000, 65_536  # of a recovery point's paths, patterns or tags that are kept


@dataclass(frozen=True)
class Point:
    """A recovery point as the repository tells it; texts are escaped."""

    id: str
    at: datetime  # naive UTC
    ended_at: datetime | None
    host: str
    user: str
    paths: tuple[str, ...]
    excludes: tuple[str, ...]
    left_out: Sequence[tuple[bool, str]]  # what of the patterns is understood, see `schema.RECOVERY_POINTS`
    tags: tuple[str, ...] = ()
    content: str = ""  # what has the same is the same; of restic the tree

    @property
    def series(self) -> tuple[object, ...]:
        """What backups of one thing have in common."""
        return self.host, self.paths


def facts(fs_id: str, location: str, *, readable: bool) -> Facts:
    """What is true of a repository, and of where it lies if that is on this host."""
    device, space = None, None
    if os.path.isdir(location):
        descriptor = os.open(location, os.O_RDONLY | os.O_DIRECTORY)
        try:
            device, space = _place.device(descriptor), os.fstatvfs(descriptor)
        finally:
            os.close(descriptor)
    return Facts(
        fs_id=fs_id,
        device=device,
        clock="modified",
        capacity_bytes=space.f_blocks * space.f_frsize if space else None,
        free_bytes=space.f_bavail * space.f_frsize if space else None,
        empty=False,
        readable=readable,
    )


def of_the_volume(settings: Settings, points: Sequence[Point], sink: Sink) -> list[Point]:
    """The recovery points of the machine that the volume is of, at times that have been. Raises UnreachableError where it is open which machine that is.

    What was backed up of one machine is no copy of what lies at the same path of another.
    """
    hosts = sorted({point.host for point in points})
    wanted = {_nodes.escape(host) for host in settings.hosts}
    if points and wanted.isdisjoint(hosts) and (wanted or len(hosts) > 1):
        told = f"{', '.join(hosts[:_SHOWN_HOSTS])}{', …' if len(hosts) > _SHOWN_HOSTS else ''}"
        what = f"none of its recovery points is of {', '.join(sorted(wanted))}, but" if wanted else "its recovery points are"
        raise UnreachableError(
            f"volume {settings.volume}: {what} of the hosts {told}; say by 'hosts' of which the volume is, and declare a volume for each machine"
        )
    found = []
    for point in points:
        if not wanted or point.host in wanted:
            if point.at > _EPOCH + timedelta(microseconds=settings.started_us) + _SKEW:
                sink.problem(
                    "", "stat", f"recovery point {point.id[:8]} is of {point.at:%Y-%m-%d %H:%M}, in the future: it is left out", None, hides_below=False
                )
            else:
                found.append(point)
    return found


def texts(found: Sequence[str] | None) -> tuple[str, ...]:
    """Texts, escaped; of very many, or very long ones, those that there is room for."""
    kept, letters = [], 0
    for text in (found or ())[:_MOST_TEXTS]:
        letters += len(text)
        if letters > _MOST_LETTERS:
            break
        kept.append(_nodes.escape(text))
    return tuple(kept)


def held(points: Sequence[Point], kept: Sequence[Point], numbers: Iterable[tuple[int, int]]) -> list[Tree]:
    """The sets of recovery points (bits of their places, and its number), each with the first and the last of those that are still there."""
    places = {point.id: place for place, point in enumerate(kept)}
    newest = {point.series: place for place, point in enumerate(kept)}
    found = []
    for held_by, number in numbers:
        there = [places[point.id] for place, point in enumerate(points) if held_by >> place & 1 and point.id in places]
        if there:
            found.append(Tree(number, there[0], there[-1], any(newest[kept[place].series] == place for place in there)))
    return found


def rows(points: Sequence[Point]) -> pa.Table:
    """Rows of `schema.RECOVERY_POINTS`."""
    found = [
        {
            "recovery_point": point.id,
            "started_at": point.at,
            "ended_at": point.ended_at,
            "host": point.host,
            "username": point.user,
            "paths": json.dumps(point.paths),
            "excludes": json.dumps(point.excludes),
            "tags": json.dumps(point.tags),
            "left_out": json.dumps(point.left_out),
        }
        for point in points
    ]
    return pa.Table.from_pylist(found, RECOVERY_POINTS)
