"""Folders outside of every volume that a restore goes to: which are fit for it, and what they can do."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from catalog.config import Config
from catalog.errors import LastcopyError, RefusedError, UnreachableError
from lifecycle import database, stores
from lifecycle.ends import EndError
from lifecycle.journal import Journal
from lifecycle.records import PreparedVolume
from lifecycle.stores import Capabilities

# What a plan takes a folder to be able to do: nothing was tried in it yet, and what it cannot take ends its step.
UNTRIED = Capabilities(
    publish="noreplace", exchange=False, leases=False, reflink=False, dedupe=False, hard_links=True, symlinks=True, xattrs=True, acls=True,
    sync_directories=True, folds_case=False, folds_unicode=False, raw_names=True, time_step_ns=1, name_bytes=255, stable_inodes=True,
)  # fmt: skip
_MARKER = ".lastcopy/volume.json"


def refuse_unfit(config: Config, root: Path, folder: str) -> None:
    """Raises UnreachableError where there is no such folder, RefusedError where it is of a volume, of a catalog, or holds one. Only reads.

    Links are followed, and folders are compared by their inodes: another name of a volume is that volume.
    """
    here = os.path.realpath(folder)
    if not os.path.isdir(here):
        raise UnreachableError(f"{folder}: is no folder; make it first, so that it is yours and on the disk that you mean")
    above = list(_above(here))
    for name, declared in config.volumes.items():
        if declared.kind != "posix":
            continue
        volume = os.path.realpath(config.folder / declared.url.removeprefix("file://").removeprefix("file:"))
        if _lies_in(above, volume):
            raise RefusedError(f"{folder}: lies in volume {name}; '--to {name} --to-dir FOLDER' restores there")
        if _lies_in(list(_above(volume)), here):
            raise RefusedError(f"{folder}: volume {name} lies below it; take a folder that holds no volume")
    for own in (root, database.folder_of(config, root)):
        if _lies_in(above, os.path.realpath(own)) or _lies_in(list(_above(os.path.realpath(own))), here):
            raise RefusedError(f"{folder}: holds the catalog or its journal, or lies in it; take a folder apart from them")
    marked = next((place for place in above if os.path.lexists(os.path.join(place, _MARKER))), None)
    if marked is not None:
        raise RefusedError(f"{folder}: {marked} was prepared as a volume, perhaps of another catalog; take a folder outside of every volume")


def prepare(journal: Journal, folder: str, planned: Mapping[str, str | None], *, at_us: int, actor: str) -> None:
    """Find out by canaries what a folder can do, and have the journal remember it; nothing of them stays. Writes.

    `planned` is what the plan found (marker, fs_id). Raises RefusedError where another folder has that name now, LockedError while another run does this.
    """
    store = stores.folder(folder, None)
    try:
        found = store.identify()
        if found.marker is None or (found.marker, found.fs_id) != (planned.get("marker"), planned.get("fs_id")):
            raise RefusedError(f"{folder}: is not the folder that the plan found: {found.marker} on {found.fs_id}; look at it, then plan again")
        known = journal.prepared(folder)
        if known is None or (known.marker, known.fs_id) != (found.marker, found.fs_id):
            able = store.prepare(found.marker, at_us=at_us)
            journal.remember_volume(PreparedVolume(folder, found.marker, found.fs_id, able, at_us), actor)
    except EndError as end:
        raise (RefusedError if end.state == "REFUSED" else LastcopyError)(end.reason) from end
    finally:
        store.close()


def _above(path: str) -> Iterator[str]:
    """A folder and all above it."""
    place = Path(path)
    yield from map(str, (place, *place.parents))


def _lies_in(above: list[str], folder: str) -> bool:
    """Whether one of these folders is that one, by whatever name."""
    try:
        wanted = os.stat(folder)
    except OSError:
        return folder in above  # it is not mounted: its path must tell
    return any(os.path.samestat(os.stat(place), wanted) for place in above if os.path.isdir(place))
