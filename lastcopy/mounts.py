"""Which mount a path lies on, and how it keeps access times."""

import os
from pathlib import Path

from scanners.mounts import Mount, table

__all__ = ["Mount", "access_times", "of", "position", "table", "within"]


def of(path: Path, mounts: list[Mount]) -> Mount | None:
    """The mount that a path lies on: the last one at the longest mount point above it."""
    resolved = os.path.realpath(path)
    holding = [m for m in mounts if m.point in ("/", resolved) or resolved.startswith(m.point + "/")]
    return max(enumerate(holding), key=lambda pair: (len(pair[1].point), pair[0]))[1] if holding else None


def within(path: Path, mounts: list[Mount]) -> list[Mount]:
    """The mounts below a path."""
    resolved = os.path.realpath(path).rstrip("/")
    return [mount for mount in mounts if mount.point.startswith(f"{resolved}/") and mount.point != "/"]


def position(path: Path, mount: Mount) -> tuple[str, str]:
    """The device and the path on it, with a trailing slash, that a path below a mount shows: equal through every mount of it."""
    below = os.path.relpath(os.path.realpath(path), mount.point)
    return mount.device, os.path.normpath(os.path.join(mount.root, below)).rstrip("/") + "/"


def access_times(mount: Mount) -> tuple[str, str]:
    """How the mount keeps access times, and what that means for dormancy, see mount(8)."""
    if mount.is_remote:
        return "remote", "the server decides on access times"
    if "noatime" in mount.options:
        return "noatime", "reading leaves no trace"
    if "ro" in mount.options:
        return "read-only", "access times stand still while it is mounted so"
    if "relatime" in mount.options:
        return "relatime", "a read is recorded at most once in 24 hours, enough for dormancy in days"
    return "strictatime", "every read is recorded"
