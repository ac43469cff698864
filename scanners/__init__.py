"""Reads storage, never writes: one module a kind of volume, and the contract that all of them keep."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from catalog.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

    from catalog.config import Config
    from scanners.reading import Reply

_DEFINES = "class Scanner"
CHANGED = "it changed each time while it was read"  # the problem of a directory, stage 'changed'


@dataclass(frozen=True)
class Capabilities:
    """What a kind of storage can tell. Code asks this, never for the name of a kind."""

    columns: frozenset[str]  # entry columns that it fills
    local_files: bool = False  # `open_file` gives a descriptor
    read_through: bool = False  # `digests` reads many files in one pass
    in_any_order: bool = False  # and of them as few or many as are asked for: several passes take no longer than one
    on_request: bool = False  # scans leave contents unread: to read some would be to read nearly all
    recovery_points: bool = False  # a backup repository, whose entries are versions; one process reads all of it
    elsewhere: bool = False  # other hosts may have it mounted at the same place, and run shards of it
    protections: bool = False  # its storage tells of itself what protects it
    looks: bool = False  # `look` reads single names
    told: bool = False  # reads what others wrote of the volume, which itself is not looked at
    told_in_place: bool = False  # and the paths in it are of where it lies


@dataclass(frozen=True)
class Settings:
    """All that a scanner must know of its volume. Goes to worker processes as JSON: no secrets, only where they are."""

    volume: str
    location: str  # as in the configuration; a relative path is already made absolute
    started_us: int  # start of the scan, microseconds since 1970 UTC
    exclude: str | None = None  # expression that fully matches what is left out, see catalog.glob; None = nothing
    skip: tuple[str, ...] = ()  # escaped directories that are never looked at
    cross_mounts: bool = False
    media_types: bool = False
    known_media: str | None = None  # file of media types of the previous scan, see scanners.media
    hosts: tuple[str, ...] = ()  # of a backup repository: the machines that the volume is of; empty: it has one
    password_file: str | None = None
    password_command: str | None = None
    identity_file: str | None = None  # the private key for a host that is reached by SSH
    known_hosts: str | None = None  # the file that has the keys of such hosts; None = what everybody uses
    access: str | None = None  # as declared
    read_in_place: bool = False  # of what others tell: whether they read the files on the volume itself
    told_at_us: int | None = None  # and of which time it is, where the configuration says so
    columns: Mapping[str, str] = field(default_factory=dict)  # of a listing: under which names it has what
    times: str = "iso"  # and how it writes times
    endpoint: str | None = None  # of an object store; None = Amazon's
    endpoint_region: str | None = None
    profile: str | None = None  # of the SDK's files
    credentials_file: str | None = None
    credentials_command: str | None = None
    metadata_server: bool = False  # whether credentials may be asked of the cloud's services for its machines
    heads: float = 0.0  # the share of objects that are asked for what no list tells
    tags: bool = False  # whether these are asked for their tags, too
    versions: bool = False  # whether every version is listed, and every delete marker
    related: tuple[str, ...] = ()  # of a bucket: the prefixes of other volumes of it that lie above or below this one


@dataclass(frozen=True)
class Facts:
    """What is true of a volume's root when it is looked at; None = the storage cannot tell."""

    fs_id: str | None  # of what is a folder of another host: with ':' and its path, which ends with a slash
    device: str | None  # the disks below it, sorted and joined by ','
    clock: str | None  # accessed | modified: which time tells the last use
    capacity_bytes: int | None
    free_bytes: int | None
    empty: bool  # and nothing there tells that it is the volume
    readable: bool = True  # whether the content of files can be read; what cannot is listed all the same
    bucket: str | None = None  # its name in an object store
    inode: int | None = None  # of a root that is a directory


@dataclass(frozen=True)
class Protection:
    """One property of a storage that protects what it holds, by its own word; what it does not tell, or may not be asked for, is unknown."""

    name: str
    value: Literal["yes", "no", "unknown"]
    text: str


@dataclass(frozen=True)
class Shard:
    """A piece of a scan: escaped directories with their trailing slash; the root is ''."""

    number: int
    places: tuple[str, ...]


@dataclass(frozen=True)
class Segment:
    """Directories that a shard did not get to: `count` lines from byte `offset` of a file in the scan's journal folder."""

    file: str
    offset: int
    count: int


@dataclass(frozen=True)
class ShardRecord:
    """What became of a shard. `entries` and `problems` are paths in their tables; None = there were no rows."""

    number: int
    entries: str | None = None
    entries_size_bytes: int = 0
    rows: int = 0
    files: int = 0
    bytes: int = 0  # of files with one link
    linked: int = 0  # files with several links
    problems: str | None = None
    problems_size_bytes: int = 0
    problem_rows: int = 0
    hiding: int = 0  # problems that hide what lies below
    excluded: int = 0
    recovery_points: str | None = None  # likewise
    recovery_points_size_bytes: int = 0
    recovery_point_rows: int = 0
    told_us: int | None = None  # of what others tell of a volume: the time that the oldest of it is of; None = the scan looked itself
    left: tuple[Segment, ...] = field(default=())


Identity = tuple[str | None, int]  # the id of a file system and an inode


class Spot(NamedTuple):
    """A name to be looked at again, in an escaped directory with its trailing slash.

    `home`: which directory that was; None = the root. `itself`: of a directory; while it is this one, what is known below it holds. None = all below it is
    looked at, too.
    """

    directory: str
    name: str
    home: Identity | None = None
    itself: Identity | None = None

    @property
    def prefix(self) -> str:
        """Its path with a trailing slash, which all that lies below begins with."""
        return f"{self.directory}{self.name}/"


class Sink(Protocol):
    """Where a shard's rows go, and what says when it has had enough."""

    def spent(self, unwritten: int) -> bool:
        """Whether the budget of entries or seconds is used up, with that many entries read and not yet written: leave the rest."""

    def write(self, columns: "Mapping[str, pa.Array]") -> None:
        """Take the rows of some columns of `schema.ENTRIES`, sorted by `dir, name`; the columns that are not there are null."""

    def problem(self, path: str, stage: str, error: str, errno: int | None, hides_below: bool, inode: int | None = None) -> None:
        """Take a problem; `path` is escaped, without a trailing slash; `inode`: of the version that is meant, None = all there. See `schema.PROBLEMS`."""

    def recovery_points(self, rows: "pa.Table") -> None:
        """Take the recovery points of a backup repository: rows of `schema.RECOVERY_POINTS`."""

    def told(self, at_us: int) -> None:
        """Take the time, microseconds since 1970 UTC, that what others tell of the volume is of."""

    def room(self) -> Path:
        """A folder of the catalog for what does not fit in memory; it is gone when the scan is."""

    def exclude(self, count: int) -> None:
        """Count entries that were left out on purpose."""

    def leave(self, places: Iterable[str]) -> None:
        """Take directories that are not yet visited: they become other shards."""

    def finish(self) -> ShardRecord:
        """Close the files and give the record."""


class Scanner(Protocol):
    """Reads one volume. A module of a kind has such a class named `Scanner`, made from `Settings`, and `CAPABILITIES`."""

    def probe(self) -> Facts:
        """Look at the root. Raises UnreachableError if it is not there or cannot be read."""

    def root_shard(self) -> Shard:
        """The shard that the whole scan grows from."""

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """Read a shard until it is done or the sink's budget is spent."""

    def look(self, spots: Sequence[Spot], sink: Sink) -> tuple[ShardRecord, list[Spot]]:
        """Read names again, sorted by directory; what lies below is left. Gives also those that are not the directories they were, or are no longer in one,
        to be looked at as a whole. Only with `looks`."""

    def open_file(self, directory: str, name: str) -> int:
        """A descriptor for reading a regular file, given its escaped `dir` and `name`; no link is followed. Only with `local_files`. Raises OSError."""

    def digests(self, rows: "pa.RecordBatch") -> "Reply":
        """What files of one file system hold, in one pass; `rows` have the columns of `schema.DIGESTS` that entries give. Only with `read_through`."""

    def protections(self) -> "list[Protection]":
        """What the storage says that protects it. Only with `protections`."""

    def close(self) -> None:
        """Let go of what the scanner holds open."""


def load(kind: str) -> Any:  # noqa: ANN401 - a module, whose class is the `Scanner` protocol
    """The module of a kind, the only one that is imported. Raises ConfigError that lists the known kinds."""
    from catalog import extensions

    try:
        return extensions.load("scanners", kind, _DEFINES)
    except NotFoundError as error:
        raise ConfigError(f"no scanner reads volumes of kind {kind!r}; known are {', '.join(kinds())}") from error


def kinds() -> list[str]:
    """The kinds of volumes that can be scanned, found without importing them."""
    from catalog import extensions

    return extensions.names("scanners", defines=_DEFINES)


def settings(config: "Config", volume: str, started_us: int = 0) -> Settings:
    """The settings of a volume of the configuration."""
    from catalog import glob

    declared = config.volumes[volume]
    return Settings(
        volume=volume,
        location=str(config.place(volume) or declared.url),
        started_us=started_us,
        exclude=glob.regex(list(declared.exclude)) if declared.exclude else None,
        cross_mounts=declared.cross_mounts,
        media_types=declared.media_types,
        hosts=declared.hosts,
        password_file=_beside(config, declared.password_file),
        password_command=declared.password_command,
        identity_file=_beside(config, declared.identity_file),
        known_hosts=_beside(config, declared.known_hosts),
        access=declared.access,
        read_in_place=declared.read_in_place,
        told_at_us=None if declared.told_at is None else round(declared.told_at.timestamp() * 1_000_000),
        columns=declared.columns,
        times=declared.times,
        endpoint=declared.endpoint,
        endpoint_region=declared.endpoint_region,
        profile=declared.profile,
        credentials_file=str(config.folder.absolute() / declared.credentials_file) if declared.credentials_file else None,
        credentials_command=declared.credentials_command,
        metadata_server=declared.metadata_server,
        heads=float(declared.heads),
        tags=declared.tags,
        versions=declared.versions,
        related=_related(config, volume) if declared.kind == "s3" else (),
    )


def _related(config: "Config", volume: str) -> tuple[str, ...]:
    places = {name: other.url.removeprefix("s3://").partition("/") for name, other in config.volumes.items() if other.kind == "s3"}
    bucket, _, prefix = places.pop(volume)
    here = f"{prefix.strip('/')}/".lstrip("/")
    others = {f"{other.strip('/')}/".lstrip("/") for same, _, other in places.values() if same == bucket}
    return tuple(sorted(other for other in others if other.startswith(here) or here.startswith(other)))


def _beside(config: "Config", file: str | None) -> str | None:
    return str(config.folder.absolute() / Path(file).expanduser()) if file else None


def connect(config: "Config", volume: str) -> Scanner:
    """A scanner of a volume, as for reading single files."""
    scanner: Scanner = load(config.volumes[volume].kind).Scanner(settings(config, volume))
    return scanner


def utc(moment: datetime) -> datetime:
    """The time of a clock as the catalog stores it: naive UTC. Raises ValueError for a time that does not say its zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()}: a clock must say its time zone")
    return moment.astimezone(UTC).replace(tzinfo=None)


def microseconds(moment: datetime) -> int:
    """A time as the catalog stores it, since 1970."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1_000_000)


def relative(outer: Path, inner: Path) -> str | None:
    """Where one folder lies below another, links resolved: escaped, with a trailing slash. None if it lies elsewhere."""
    from catalog import names

    here, there = outer.resolve(), inner.resolve()
    if here == there or not there.is_relative_to(here):
        return None
    return names.escape(bytes(there.relative_to(here))) + "/"
