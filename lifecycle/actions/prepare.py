"""Prepare: mark a volume as the one that it is, and find out by canaries what it can do. No plan: the one action that a person does at once."""

import secrets
from contextlib import closing
from pathlib import Path

from catalog.config import Config
from catalog.errors import LastcopyError, NotFoundError, RefusedError
from lifecycle import stores
from lifecycle.ends import EndError
from lifecycle.journal import Journal
from lifecycle.records import PreparedVolume


def prepare(root: Path, config: Config, volume: str, *, now_us: int, actor: str, take_over: bool = False) -> PreparedVolume:
    """Write the marker of a volume, try its canaries, and have the journal of the catalog in folder `root` remember both. Writes.

    A volume that was prepared keeps its marker. Raises NotFoundError, UnreachableError, LockedError, and RefusedError where another catalog,
    another volume or another file system has the marker, or where `.lastcopy` is not ours; `take_over` replaces such a marker by a new one.
    """
    if volume not in config.volumes:
        raise NotFoundError(f"there is no volume {volume!r}; volumes are {', '.join(config.volumes)}")
    with Journal.open(config, root, create=True) as journal, closing(stores.connect(config, volume)) as store:
        known, there = journal.prepared(volume), store.identify()
        kept = known is not None and (known.marker, known.fs_id) == (there.marker, there.fs_id)
        marker = known.marker if known and kept else secrets.token_hex(8)
        try:
            found = store.prepare(marker, at_us=now_us, take_over=take_over)
        except EndError as end:
            raise (RefusedError if end.state == "REFUSED" else LastcopyError)(end.reason) from end
        prepared = PreparedVolume(volume, marker, there.fs_id, found, now_us)
        journal.remember_volume(prepared, actor)
        return prepared
