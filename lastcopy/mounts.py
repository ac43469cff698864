"""What the kernel says of mounts: which one a path lies on, and how it keeps access times."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

# Access times of these come from a server and a client's cache: what they mean cannot be known here.
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "glusterfs", "lustre", "beegfs", "afs", "virtiofs")


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    point: str
    root: str  # what of its file system it shows; not '/' for a bind mount of a directory
    device: str  # major:minor
    filesystem: str
    source: str
    options: frozenset[str]


def table(text: str | None = None) -> list[Mount]:
    """Every mount of this process, of the text of a mountinfo file (proc(5)); empty where the system has none."""
    if text is None:
        file = Path("/proc/self/mountinfo")
        text = file.read_text("utf-8", "surrogateescape") if file.exists() else ""
    return [_mount(line) for line in text.splitlines() if " - " in line]


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
    if mount.filesystem.startswith(_REMOTE):
        return "remote", "the server decides on access times"
    if "noatime" in mount.options:
        return "noatime", "reading leaves no trace"
    if "ro" in mount.options:
        return "read-only", "access times stand still while it is mounted so"
    if "relatime" in mount.options:
        return "relatime", "a read is recorded at most once in 24 hours, enough for dormancy in days"
    return "strictatime", "every read is recorded"


def _mount(line: str) -> Mount:
    left, _, right = line.partition(" - ")
    fields, rest = left.split(" "), right.split(" ")
    options = {*fields[5].split(","), *(o for o in rest[2].split(",") if o == "ro")} if len(rest) > 2 else {*fields[5].split(",")}
    return Mount(_plain(fields[4]), _plain(fields[3]), fields[2], rest[0], _plain(rest[1]), frozenset(options))


def _plain(text: str) -> str:
    """The text with the octal escapes of mountinfo undone."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
