"""The mounts of this process, as the kernel lists them."""

import re
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
# Access times of these come from a server and a client's cache: what they mean cannot be known here.
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "glusterfs", "lustre", "beegfs", "afs", "virtiofs")


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    number: int
    point: str
    root: str  # what of its file system it shows; not '/' for a bind mount of a directory
    device: str  # major:minor
    filesystem: str
    source: str
    options: frozenset[str]

    @property
    def is_remote(self) -> bool:
        """Whether a server, or a program, keeps the files."""
        return self.filesystem.startswith(_REMOTE)


def table(text: str | None = None) -> list[Mount]:
    """Every mount of this process, of the text of a mountinfo file (proc(5)); empty where the system has none."""
    if text is None:
        try:
            text = _TABLE.read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            text = ""
    return [_mount(line) for line in text.split("\n") if " - " in line]  # other separators of lines may be part of a name


def _mount(line: str) -> Mount:
    left, _, right = line.partition(" - ")
    fields, rest = left.split(" "), right.split(" ")
    options = {*fields[5].split(","), *(o for o in rest[2].split(",") if o == "ro")} if len(rest) > 2 else {*fields[5].split(",")}
    return Mount(int(fields[0]), _plain(fields[4]), _plain(fields[3]), fields[2], rest[0], _plain(rest[1]), frozenset(options))


def _plain(text: str) -> str:
    """The text with the octal escapes of mountinfo undone."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
