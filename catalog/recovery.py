"""Recovery points of backups: how long they are seen to be kept, and what their patterns left out. Pure functions of what scans saw."""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import names, table
from catalog.config import Config

_MOST_APART = datetime.timedelta(days=8)  # recovery points that follow each other: a week, and one that is late


@dataclass(frozen=True)
class RecoveryPoint:
    """What a repository can give back as a whole, see `schema.RECOVERY_POINTS`."""

    started_at: datetime.datetime
    host: str
    paths: Sequence[str]
    left_out: Sequence[tuple[bool, str]]  # texts that a path has which was left out: at its begin, or anywhere


def read(root: Path, version: int, scans: Mapping[str, str]) -> dict[str, list[RecoveryPoint]]:
    """The recovery points that some scans saw, by volume; `scans` are volume -> scan id."""
    if version < 0 or not table.files(root, "recovery_points", version, scan_id=scans.values()):
        return {}
    return {volume: [point(row) for row in table.read(root, "recovery_points", version=version, scan_id=[scan]).to_pylist()] for volume, scan in scans.items()}


def point(row: Mapping[str, Any]) -> RecoveryPoint:
    """A recovery point from its stored row."""
    left_out = [(bool(at_begin), str(text)) for at_begin, text in json.loads(row["left_out"] or "[]")]
    return RecoveryPoint(row["started_at"], row["host"] or "", tuple(json.loads(row["paths"] or "[]")), left_out)


def kept_seconds(config: Config, volume: str, points: Sequence[RecoveryPoint]) -> float | None:
    """How long recovery points of a volume are kept, as seen: from the newest that holds all of a folder of its `path_map` back to a gap, of folders the least.

    One that stands alone long before the others says nothing of how long others stay. None where a folder has none.
    """
    whole = [_of_folder(folder, points) for folder in config.volumes[volume].path_map or ("/",)]
    return min(map(_unbroken_seconds, whole)) if all(whole) else None


def holds(points: Sequence[RecoveryPoint], folder: str) -> bool:
    """Whether a recovery point has anything of a folder, by its paths; also where none tells its paths."""
    told = {f"{path.rstrip('/')}/" for one in points for path in one.paths}
    wanted = _whole(folder)
    return not told or any(path.startswith(wanted) or wanted.startswith(path) for path in told)


def left_out(config: Config, asset: str, volume: str, points: Sequence[RecoveryPoint]) -> list[tuple[bool, str]]:
    """What the newest recovery points left out of the folders that belong to an asset's volume."""
    path_map = config.volumes[volume].path_map
    folders = [source for source, target in path_map.items() if target.partition(":")[0] == asset] if path_map else ["/"]
    whole = [found for folder in folders if (found := _of_folder(folder, points))]
    return list(dict.fromkeys(text for found in whole for text in found[-1].left_out))


def _of_folder(folder: str, points: Sequence[RecoveryPoint]) -> list[RecoveryPoint]:
    """The recovery points that hold all of a folder, of the host of the newest, in the order of time."""
    wanted = _whole(folder)
    whole = [one for one in points if any(wanted.startswith(f"{path.rstrip('/')}/") for path in one.paths)]
    whole.sort(key=lambda one: one.started_at)
    return [one for one in whole if one.host == whole[-1].host]


def _whole(folder: str) -> str:
    return f"/{names.escape(folder.encode()).strip('/')}/".replace("//", "/")


def _unbroken_seconds(points: Sequence[RecoveryPoint]) -> float:
    oldest = points[-1].started_at
    for one in reversed(points):
        if oldest - one.started_at > _MOST_APART:
            break
        oldest = one.started_at
    return (points[-1].started_at - oldest).total_seconds()
