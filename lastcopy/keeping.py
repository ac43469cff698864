"""What `catalog expire` is told, and what it and `catalog compact` say."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catalog import fields, snapshot
from catalog.errors import ConfigError, NotFoundError
from lastcopy import output, talk
from lastcopy.settings import Settings

if TYPE_CHECKING:
    from catalog.compaction import Merge
    from catalog.expiry import Expiry
    from catalog.retention import Wish
    from catalog.thinning import Thinned


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


def show_compacted(chosen: Settings, merges: "Sequence[Merge]", thinned: "Sequence[Thinned]", *, dry_run: bool) -> None:
    """Print which files were written together, and which scans are stored in less room."""
    from reports.state import counted
    from reports.terminal import size

    rows = [
        {
            "table": merge.name,
            "scan_id": None,
            "files": len(merge.files),
            "rows": merge.rows,
            "bytes": merge.bytes,
            "written_bytes": merge.into.size_bytes if merge.into else None,
        }
        for merge in merges
    ]
    done = [one for one in thinned if not one.stays_whole]
    rows += [
        {
            "table": "entries",
            "scan_id": one.scan_id,
            "files": None,
            "rows": one.rows,
            "bytes": one.bytes,
            "written_bytes": None if dry_run else one.stored_bytes,
        }
        for one in done
    ]
    if rows or chosen.chosen_format != "table":
        output.rows(chosen, "catalog-compact", rows)
    if chosen.quiet:
        return
    files = counted(sum(len(merge.files) for merge in merges), "file")
    talk.say(f"{files} {'would be ' if dry_run else ''}written together into {len(merges):,}" if merges else "there is nothing to write together")
    stay = len(thinned) - len(done)
    if dry_run and done:
        talk.say(f"{counted(len(done), 'older scan')} ({size(sum(one.bytes for one in done))}) would be looked at")
    elif done:
        was, comes = (size(sum(getattr(one, name) for one in done)) for name in ("bytes", "stored_bytes"))
        talk.say(f"{counted(len(done), 'older scan')} stored in {comes} in place of {was}")
    if stay:
        talk.say(f"{counted(stay, 'older scan')} kept whole: nothing would be gained, or too much changed")
