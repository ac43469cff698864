"""Publishes a snapshot whose rows are derived: one after another, also where several hosts derive at the same time."""

from pathlib import Path

from catalog import snapshot, table
from catalog.errors import ConflictError, LockedError
from catalog.schema import DERIVED
from catalog.snapshot import Snapshot

_TRIES = 20


def publish(root: Path, new: Snapshot) -> Snapshot:
    """Write the row that publishes a snapshot, after the one that it follows; gives it, or one that another host published and that rests on as much.

    Writes. Raises LockedError where another host published one that rests on less: what was derived here is taken out again, and is to be derived anew.
    """
    for tries_left in reversed(range(_TRIES)):
        version = table.version(root, "snapshots")
        known = snapshot.snapshots(root, version)
        last = snapshot.newest(known) if known else None
        if (last.snapshot_id if last else None) != new.previous_id:
            break
        try:
            table.append(root, "snapshots", new.row(), new.snapshot_id, after=max(version, 0))
        except ConflictError:  # a snapshot, or only what others wrote together
            if not tries_left:
                raise
        else:
            return new
    for name in DERIVED:
        if files := table.named(root, name, snapshot_id=[new.snapshot_id]):
            table.commit(root, name, [], f"superseded-{new.snapshot_id}", [str((root / name / path).absolute()) for path in files])
    if last and _rests_on_as_much(last, new):
        return last
    raise LockedError(f"{root}: another host published a snapshot meanwhile, {last.snapshot_id if last else 'none'}; what it does not know is derived anew")


def _rests_on_as_much(one: Snapshot, other: Snapshot) -> bool:
    same = one.scans == other.scans and one.config_hash == other.config_hash and one.label_tables == other.label_tables
    return same and all(one.versions.get(name, -1) >= version for name, version in other.versions.items())
