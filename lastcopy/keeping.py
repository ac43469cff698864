"""What `catalog expire` is told, and what it says."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catalog import fields, snapshot
from catalog.errors import ConfigError, NotFoundError
from lastcopy import output, talk
from lastcopy.settings import Settings

if TYPE_CHECKING:
    from catalog.expiry import Expiry
    from catalog.retention import Wish


def wish(root: Path, daily: int, weekly: int, monthly: int, yearly: int, keep: Sequence[str]) -> "Wish":
    """What is to be kept, with the snapshots that plans are over. Raises NotFoundError for an id that no snapshot has."""
    from catalog.retention import Wish
    from lifecycle import plan

    known = {one.snapshot_id for one in snapshot.snapshots(root)}
    if unknown := [key for key in keep if key not in known]:
        raise NotFoundError(f"--keep {unknown[0]}: there is no such snapshot; 'lastcopy catalog info --of snapshots' lists them")
    named = {one.header.snapshot_id: f"plan {one.id}" for one in plan.plans(root)} | dict.fromkeys(keep, "asked for")
    return Wish(daily, weekly, monthly, yearly, named)


def seconds(grace: str) -> float:
    """The grace time in seconds. Raises ConfigError."""
    from catalog.expiry import LEAST_GRACE_SECONDS

    try:
        found = float(str(fields.duration(grace)))
    except ValueError as error:
        raise ConfigError(f"--grace: {error}") from error
    if found < LEAST_GRACE_SECONDS:
        raise ConfigError(f"--grace {grace}: readers may need their files for longer; give an hour or more")
    return found


def show(chosen: Settings, found: "Expiry", *, dry_run: bool) -> None:
    """Print what is kept, dropped and removed."""
    from reports.state import counted
    from reports.terminal import size

    rows: list[dict[str, object]] = [_row("keep", snapshot_id, None, ", ".join(reasons)) for snapshot_id, reasons in found.kept.items()]
    rows += [_row("drop", one.snapshot_id, None, "derived again when it is asked for", one.files, one.bytes) for one in found.dropped]
    rows += [_row("remove", None, one.name, "nothing needs them", len(one.paths), one.bytes) for one in found.removed]
    if rows:
        output.rows(chosen, "catalog-expire", rows)
    if chosen.quiet:
        return
    files, size_bytes = sum(len(one.paths) for one in found.removed), sum(one.bytes for one in found.removed)
    would, dropped = "would be " if dry_run else "", size(sum(one.bytes for one in found.dropped))
    talk.say(f"{counted(len(found.kept), 'snapshot')} kept; what is derived of {len(found.dropped):,} {would}dropped ({dropped})")
    talk.say(f"{counted(files, 'file')} {would}removed ({size(size_bytes)}); what was dropped is removed after the grace time")


def _row(do: str, snapshot_id: str | None, table: str | None, reason: str, files: int | None = None, size_bytes: int | None = None) -> dict[str, object]:
    return {"do": do, "snapshot_id": snapshot_id, "table": table, "reason": reason, "files": files, "bytes": size_bytes}
