"""An estate as plain data: what scans saw, what was read, what is declared. Nothing here is derived."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from catalog.config import Config

FLAGGED_MODIFIED = 1 | 2  # bits of `time_flags`
FLAGGED_CHANGED = 16 | 32
COARSE_MODIFIED = 64  # kept to the second
ROUNDED_MODIFIED = 128  # to the microsecond, up or down
STORED_MODIFIED = 256  # when its storage got it


@dataclass(frozen=True)
class Stub:
    """What a file says that it stands for."""

    volume: str
    path: str
    digest: bytes
    size: int


@dataclass(frozen=True)
class File:
    """One file entry. `path` is escaped and relative; a null size, time, fs or inode is one that the storage cannot tell."""

    path: str
    size: int | None
    modified: datetime.datetime | None
    changed: datetime.datetime | None = None
    modified_ns: int = 0
    changed_ns: int = 0
    flags: int = 0
    fs: str | None = None
    inode: int | None = None
    created: datetime.datetime | None = None
    attested: bytes | None = None
    told: datetime.datetime | None = None  # the time that somebody else's word of it is of; None = a scan saw it
    told_level: int | None = None  # what that is worth
    carried: bool = False  # not seen by this scan; from the volume's scan before it
    stub: Stub | None = None
    whole: bool = False  # of such a version: all that it is made of is stored
    point: datetime.datetime | None = None  # of a version in a backup, that nobody has read: when the newest recovery point that holds it was begun

    latest: bool | None = None  # of a version in a bucket: whether the path shows it; None = it is none
    lock: str | None = None  # of an object: compliance | governance | none; None = it does not tell
    locked_until: datetime.datetime | None = None
    held: bool | None = None  # by a legal hold

    @property
    def may_hold(self) -> bool:
        """Whether it is not known to be empty."""
        return self.size is None or self.size > 0

    @property
    def place(self) -> tuple[str, str]:
        """`dir` with its trailing slash, and `name`."""
        head, slash, name = self.path.rpartition("/")
        return head + slash, name

    @property
    def aside(self) -> bool:
        """Whether it is a copy of nothing, and nothing of it: a stub, or what lies in a quarantine."""
        return self.stub is not None or self.path.split("/")[-3:-1] == [".lastcopy", "quarantine"]

    @property
    def identity(self) -> tuple[str, int] | None:
        """What two names of one file share; None if the storage cannot tell."""
        return None if self.fs is None or self.inode is None else (self.fs, self.inode)

    @property
    def version(self) -> object:
        """What tells it from other versions at its path on its volume."""
        return self.point if self.latest is None else self.inode

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """What has to stay the same for a digest to hold."""
        return (self.fs, self.inode, self.created, self.size, self.modified, self.modified_ns, self.changed, self.changed_ns)


@dataclass(frozen=True)
class Scan:
    """One crawl of a volume. Problems are (path, hides what lies below); what hides nothing is content that could not be read as the scan started.

    `broken` are the paths and inodes of versions that could not be read then.
    """

    started_at: datetime.datetime
    state: str = "complete"
    files: tuple[File, ...] = ()
    problems: tuple[tuple[str, bool], ...] = ()
    device: str | None = None  # as detected
    clock: str = "modified"  # which time tells the last use
    points: tuple[datetime.datetime, ...] = ()  # when recovery points of all of the volume were begun
    left_out: tuple[tuple[bool, str], ...] = ()  # what the newest of these left out: texts of paths with slashes around them, at their begin or anywhere
    told: datetime.datetime | None = None  # of somebody else's word of the volume: the time that it is of
    broken: tuple[tuple[str, int], ...] = ()

    @property
    def known_at(self) -> datetime.datetime:
        """The time that what it says is of."""
        return self.told or self.started_at


@dataclass(frozen=True)
class Read:
    """Content that we read once: of a file as it was then. Without digest and sample: the reading failed."""

    volume: str
    file: File
    at: datetime.datetime
    digest: bytes | None = None
    sample: bytes | None = None


@dataclass(frozen=True)
class Check:
    """What a program said of a repository: all of it, or a part of so many; or, where there is one, of a file that it gave back."""

    volume: str
    at: datetime.datetime
    level: int
    ok: bool = True
    part: int | None = None
    parts: int | None = None
    file: File | None = None
    fs: str | None = None  # of the versions in it, where they have one


@dataclass(frozen=True)
class Estate:
    """Everything that a derivation may look at. Scans of a volume are in the order of their time."""

    config: Config
    as_of: datetime.datetime
    scans: dict[str, tuple[Scan, ...]] = field(default_factory=dict)
    reads: tuple[Read, ...] = ()
    checks: tuple[Check, ...] = ()

    def good(self, volume: str) -> list[Scan]:
        """The scans of a volume that count, oldest first."""
        return [scan for scan in self.scans.get(volume, ()) if scan.state != "failed"]

    def newest(self, volume: str) -> Scan | None:
        """The scan of a volume that holds now."""
        good = self.good(volume)
        return good[-1] if good else None

    def files(self, volume: str) -> tuple[File, ...]:
        """The files of a volume now."""
        scan = self.newest(volume)
        return scan.files if scan else ()

    def every_file(self) -> Iterator[tuple[str, File]]:
        """All files of all volumes now."""
        for volume in self.config.volumes:
            for file in self.files(volume):
                yield volume, file

    def before(self) -> "Estate":
        """The same estate when each volume that was scanned twice had been scanned once: what a first snapshot saw."""
        return replace(self, scans={volume: self._until_last(volume) for volume in self.scans})

    def _until_last(self, volume: str) -> tuple[Scan, ...]:
        good = self.good(volume)
        return tuple(good[:-1]) if len(good) > 1 else ()
