"""Where jobs read and write: one module a kind of storage, and the contract that all of them keep.

Paths are raw bytes relative to the volume's root, and are opened from the root's descriptor with no link followed. `key` names
one step for ever (letters, digits, '-'); temporary and quarantine names are made of it, so that what lies on a storage tells its step.
Every method raises `lifecycle.ends.EndError` for what ends a step, never a bare OSError.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from catalog import stubs

if TYPE_CHECKING:
    from catalog.config import Config

DEFINES = "class Store"
BLOCK_BYTES = 1 << 20


class Fingerprint(NamedTuple):
    """What tells that a file is still the one that was seen. Times are nanoseconds since 1970; None = the storage cannot tell.

    The created time is in whole microseconds, as the catalog keeps it; the others are exact.
    """

    type: Literal["file", "symlink", "dir", "special"]
    size_bytes: int
    modified_ns: int
    fs_id: str | None = None
    inode: int | None = None
    created_ns: int | None = None
    changed_ns: int | None = None
    link_count: int = 1

    def differs(self, found: "Fingerprint", *, moved: bool = False) -> str | None:
        """Which fields differ, None if none does. `moved`: a rename or a link has touched the file, so changed time and links are let go."""
        if self == found:
            return None
        compared = _LASTING if moved else self._fields
        wrong = [name for name in compared if (mine := getattr(self, name)) is not None and getattr(found, name) != mine]
        return ", ".join(wrong) or None


_LASTING = tuple(name for name in Fingerprint._fields if name not in {"changed_ns", "link_count"})  # what a rename or a link leaves as it was


class Metadata(NamedTuple):
    """What is kept of a file beside its content."""

    mode: int  # permission bits; setuid, setgid and sticky are never given to a copy
    uid: int
    gid: int
    modified_ns: int
    accessed_ns: int
    xattrs: Mapping[str, bytes] = MappingProxyType({})  # user.*, and the POSIX ACLs as system.posix_acl_*
    link_target: bytes | None = None  # of a symbolic link
    dropped: tuple[str, ...] = ()  # what it has that is never given to a copy: extended attributes of other name spaces
    parents: tuple["Metadata", ...] = ()  # of the directories above it, outermost first, for those that must be made


@dataclass(frozen=True)
class Capabilities:
    """What the canaries of `prepare` found a volume able to do."""

    publish: Literal["noreplace", "link", "create", "versions", "none"]  # create, versions: an object has its name at once, see ADR 0023
    exchange: bool  # two names can change places at once (RENAME_EXCHANGE)
    leases: bool
    reflink: bool
    dedupe: bool  # the kernel compares and shares (FIDEDUPERANGE)
    hard_links: bool
    symlinks: bool
    xattrs: bool
    acls: bool
    sync_directories: bool
    folds_case: bool
    folds_unicode: bool
    raw_names: bool  # any byte but NUL and '/'
    time_step_ns: int
    name_bytes: int
    stable_inodes: bool
    quarantine: bool = True  # a file can be moved out of its place, and back
    # Of object stores, the last of shares, too; None elsewhere.
    parts: Literal["create", "versions", "none"] | None = None  # how an object of several parts has its name
    checksums: Literal["sha256", "md5", "none"] | None = None  # the checksum that content is held against before it is stored
    versions: bool | None = None  # what is overwritten or deleted stays below
    removes_versions: bool | None = None  # one version can be removed, and no other
    versioning: str | None = None  # what the bucket said of its versions then: enabled, suspended, none, unknown
    locks: bool | None = None  # a lock of an object is kept, told and heeded
    reads_class: str | None = None  # the class of an archive that was declared, where an object stored in it was given at once
    spoilt: str | None = None  # what names may not hold, since they would not come back as they are: escaped, joined by ' '


@dataclass(frozen=True)
class Identity:
    """Which volume this is: its marker's id, None where it was never prepared; the file system's UUID; whether it can be written."""

    marker: str | None
    fs_id: str | None
    writable: bool


@dataclass(frozen=True)
class Stray:
    """Something of ours that lies on a volume: a temporary name, or a file in quarantine."""

    key: str
    place: Literal["temporary", "quarantine"]
    path: bytes  # where it is; of a quarantined file where it came from, by its sidecar
    fingerprint: Fingerprint


class Source(Protocol):
    """A file open for reading, under a read lease where the kernel gives one."""

    fingerprint: Fingerprint
    leased: bool

    def metadata(self) -> Metadata:
        """What is to be kept beside the content."""

    def blocks(self) -> Iterator[memoryview | int]:
        """The content in order: blocks of at most BLOCK_BYTES, a run of zeros as its length. A change of the file meanwhile ends the step."""

    def is_wanted(self) -> bool:
        """Whether somebody waits to write to it, as far as a lease tells."""

    def check(self) -> None:
        """Raises EndError SOURCE_BUSY if the lease is being broken, SOURCE_CHANGED if the open file differs from its fingerprint."""

    def close(self) -> None:
        """Give the lease back and let go."""


class Staged(Protocol):
    """A copy under its temporary name."""

    inode: int | None  # None where a storage has none that last
    read_back: Fingerprint | None  # what it was when it was digested; None = never

    def write(self, block: memoryview | int) -> None:
        """Append a block, or a run of zeros as a hole."""

    def finish(self, metadata: Metadata) -> list[str]:
        """Give it the metadata, times last; gives what could not be kept, a phrase each."""

    def sync(self) -> None:
        """Make it durable. A failure taints it: it is renamed away, and the step copies again to a new one."""

    def taint(self) -> None:
        """Rename it away, never to be published: what it holds is not what was written. The step copies again, under another key."""

    def digest(self) -> tuple[bytes, int]:
        """SHA-256 and length of what the storage gives back, by a new descriptor with the cache dropped."""

    def close(self) -> None:
        """Let go; the temporary name stays."""


class Store(Protocol):
    """One volume as jobs use it. A module of a kind has such a class named `Store`, made from the configuration and the volume's name."""

    waits: ClassVar[bool]  # whether calls wait for a network, on their way together if they come from several threads: they are worth overlapping then

    @property
    def capabilities(self) -> Capabilities | None:
        """What the canaries found; None = never prepared, or not here as this volume."""

    def identify(self) -> Identity:
        """Look at the root, its marker and its file system. Raises UnreachableError."""

    def prepare(self, marker: str, *, at_us: int, take_over: bool = False) -> Capabilities:
        """Write the marker, try the canaries under `.lastcopy/`, and remember what they found. Writes.

        `marker` is a new random id, or the one that is there; another's is replaced only by `take_over`. Raises RefusedError where there
        is another's, or the same storage is another volume of the configuration too.
        """

    def device(self) -> str | None:
        """The disks that it is on now, as scans tell them; None = nothing tells. Raises UnreachableError."""

    def look(self, path: bytes) -> Fingerprint | None:
        """What is at a path now; None = nothing."""

    def open(self, path: bytes, expected: Fingerprint) -> Source:
        """Open a file or symbolic link that is what was expected, else EndError STALE or SOURCE_BUSY."""

    def digest(self, path: bytes, expected: Fingerprint) -> bytes:
        """SHA-256 of a file that is what was expected before and after, read from the storage."""

    def stage(
        self,
        path: bytes,
        key: str,
        parents: tuple[Metadata, ...] = (),
        *,
        link_target: bytes | None = None,
        over: Fingerprint | None = None,
        source: Source | None = None,
    ) -> Staged:
        """Create the temporary name beside a target, which must not exist, or be `over`; missing directories are made. Writes.

        `link_target` makes a symbolic link, which needs no `write`. `source` is what will be written, for storages that take its metadata first.
        Where an object has its name at once nothing is there before `Staged.sync`, and the name has the whole content then, never over another.
        """

    def staged(self, path: bytes, key: str, inode: int | None) -> Staged | None:
        """A temporary name that an earlier run left, if it is that inode."""

    def publish(self, path: bytes, key: str, inode: int | None, *, over: Fingerprint | None = None, read_back: Fingerprint | None = None) -> Fingerprint:
        """Give the temporary name its final one, never over another: EndError CONFLICT. Not durable before `settle`. Writes.

        `over` is a file that the caller knows to be needed no more: the two change places at once, what comes out is looked at, and goes if it is that.
        `read_back` is what the temporary copy must still be: that of `Staged`.
        """

    def protect(self, path: bytes, key: str, found: Fingerprint) -> Fingerprint | None:
        """Lock a published copy as the volume's declaration asks, and see that it is. Of another's file, which was equal, only see. Writes.

        Gives what the copy is since then; None = what it was.
        EndError REFUSED where another's is not locked so, FAILED where ours does not come to be.
        """

    def discard(self, path: bytes, key: str, inode: int | None = None) -> None:
        """Remove this step's temporary name, and what was announced of a file that never came into quarantine, where they are there. Writes.

        What has another inode than that is left: EndError CONFLICT. None = nothing but ours can be there, since nothing has changed places with it.
        """

    def give_back(self, path: bytes, key: str, inode: int) -> None:
        """Where a killed `publish` let something change places with our file of that inode, it has its name again, and ours lies under the temporary one.

        Nothing is done where that was not begun. Writes. EndError CONFLICT where ours has the name no more: what is not ours is set aside, to be looked at.
        """

    def settle(self, paths: Iterable[bytes]) -> None:
        """Make the names of these paths durable: fsync of the directories that hold them, each once."""

    def announce(self, moves: "Iterable[Move]") -> None:
        """Write the sidecars of moves into quarantine, durable together. `quarantine` does it for one move where it was not done. Writes."""

    def quarantine(self, path: bytes, key: str, expected: Fingerprint, *, leave: "Pointer | None" = None) -> Fingerprint:
        """Move a file into quarantine, look at what was moved, put it back if it is not what was expected. Writes.

        Durable after `settle` of its path and `settle_quarantine`. What a killed run has moved already is found and given again.
        """

    def settle_quarantine(self) -> None:
        """Make moves into and out of quarantine durable, on the side of the quarantine."""

    def quarantined(self, key: str) -> Fingerprint | None:
        """The file that a step has in quarantine; None = none."""

    def open_quarantined(self, key: str, expected: Fingerprint) -> Source:
        """Open a quarantined file, changed time and links let go."""

    def put_back(self, key: str, path: bytes, expected: Fingerprint) -> None:
        """Move a quarantined file to its old name, over nothing but a pointer that we left there: EndError CONFLICT. Writes.

        An equal file that was left there is read before it goes: one that somebody wrote to stays, EndError CONFLICT, SOURCE_BUSY.

        Durable as `quarantine` is. What a killed run has put back already is found.
        """

    def remove(self, key: str, expected: Fingerprint) -> None:
        """Unlink a quarantined file and its sidecar. The only call that destroys content. Writes."""

    def share(self, kept: bytes, kept_expected: Fingerprint, other: bytes, other_expected: Fingerprint) -> Literal["shared", "differs", "unsupported"]:
        """Have two equal files share their blocks, compared by the kernel (FIDEDUPERANGE); names and metadata stay. Writes."""

    def clone(self, path: bytes, key: str, kept: bytes, kept_expected: Fingerprint, how: Literal["reflink", "hard_link"]) -> Staged:
        """As `stage`, with the content of another file of the volume: sharing its blocks, or as one more name of it. Writes."""

    def stand_in(self, path: bytes, key: str, sha256: bytes, read_back: Fingerprint) -> "Pointer":
        """What lies under a step's temporary name, as what `quarantine` leaves in the place of its file. `read_back`: what it was when it had that content."""

    def link(self, path: bytes, key: str, first: bytes, first_expected: Fingerprint, parents: tuple[Metadata, ...] = ()) -> list[str]:
        """Give a published file one more name, as its source had: stages it under `key`, for `publish`, as `stage` does. Writes."""

    def folder_modified_ns(self, path: bytes) -> int:
        """When the folder that holds a path was last modified."""

    def give_folder_modified(self, path: bytes, modified_ns: int) -> None:
        """Say when the folder that holds a path was last modified. Durable as its names are. Writes."""

    def strays(self) -> Iterator[Stray]:
        """Everything of ours on the volume, by its names and sidecars: for rebuilding a lost journal."""

    def free_bytes(self) -> int | None:
        """Space that is left for us; None = the storage cannot tell."""

    def clock_ns(self) -> int:
        """The storage's own time, for ages: a canary's modification time where it can be written, else the host's."""

    def close(self) -> None:
        """Let go of what is held open."""


@dataclass(frozen=True)
class Pointer:
    """What stays at the name of a file that was archived, or replaced by an equal one."""

    how: Literal["stub", "symlink", "equal"]
    text: bytes  # of a stub its content, whose first line starts with STUB_MAGIC; of a symlink its target; of an equal file how it is known again


@dataclass(frozen=True)
class Move:
    """A move into quarantine that is about to be made."""

    path: bytes
    key: str
    expected: Fingerprint
    leave: Pointer | None = None


STUB_MAGIC = stubs.MAGIC


def is_folder(volume: str) -> bool:
    """Whether what takes the place of a volume's name is the path of a folder outside of every volume."""
    return volume.startswith("/")


def folder(path: str, able: Capabilities | None) -> Store:
    """The store of a folder outside of every volume; `able` is what was found of it, None = not tried yet."""
    from lifecycle.stores._folder import Folder

    return Folder(path, able)


def connect(config: "Config", volume: str) -> Store:
    """The store of a volume. Raises ConfigError where no job can work on that kind."""
    from catalog.errors import ConfigError, NotFoundError

    if volume not in config.volumes:
        raise ConfigError(f"there is no volume {volume!r} in the configuration any more")
    kind = config.volumes[volume].kind
    try:
        module = _module(kind)
    except NotFoundError as error:
        raise ConfigError(f"volumes.{volume}: no job can work on volumes of kind {kind!r} yet") from error
    store: Store = module.Store(config, volume)
    return store


def workable(config: "Config") -> list[str]:
    """The volumes of whose kind there is a store. No job can ever look at what lies on the others."""
    from catalog import extensions

    kinds = extensions.names("stores", defines=DEFINES)
    return [name for name, declared in config.volumes.items() if declared.kind in kinds]


@functools.cache
def _module(kind: str) -> Any:  # noqa: ANN401  a module of a kind
    from catalog import extensions

    return extensions.load("stores", kind, DEFINES)
