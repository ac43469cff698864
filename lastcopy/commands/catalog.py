"""`lastcopy catalog`: what the catalog itself holds, whether it is whole, and what of it is kept."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from lastcopy import exits, output, settings, talk

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="The catalog itself.")

Of = Literal["tables", "volumes", "snapshots"]


@app.command("info", cls=settings.Command)
def info(
    context: typer.Context,
    *,
    of: Annotated[Of, typer.Option("--of", help="What is listed: tables, scans by volume, or snapshots.")] = "tables",
) -> None:
    """List what the catalog holds: its tables, the oldest and the newest good scan of each volume, or the snapshots.

    Of a table: version (none: not written yet), files, rows and bytes of it now; 'other' is what else lies in its folder: files of older versions that
    snapshots are read at, and what killed runs left.
    """
    from catalog import inventory

    chosen = settings.of(context)
    lists = {"tables": inventory.tables, "volumes": inventory.volumes, "snapshots": inventory.snapshots}
    output.rows(chosen, f"catalog-{of}" if of != "tables" else "catalog-info", lists[of](_root(chosen)))


@app.command("verify", cls=settings.Command)
def verify(
    context: typer.Context,
    *,
    contents: Annotated[bool, typer.Option("--contents", help="Read and decode every row, too: as long as reading the whole catalog takes.")] = False,
) -> None:
    """Hold the files of every table against its log, and scans and snapshots against the tables. Only reads.

    Found are files that are missing, of another size, unreadable, of other columns or with another number of rows, also those that only older snapshots need;
    scans with other numbers of entries than they published; snapshots whose scans or configuration are not as they were. Files that no log names are told, and
    are no error. Exit 1 if anything is wrong.
    """
    from catalog import integrity
    from reports.state import counted
    from reports.terminal import size

    chosen = settings.of(context)
    findings, looked = integrity.verify(_root(chosen), contents=contents)
    wrong = [finding for finding in findings if finding.state == "error"]
    if findings or chosen.chosen_format != "table":
        output.rows(chosen, "catalog-verify", [vars(finding) for finding in findings], complete=not wrong)
    if not chosen.quiet:
        said = f"{counted(len(wrong), 'error')}" if wrong else "nothing is wrong"
        talk.say(f"{counted(looked.tables, 'table')}, {counted(looked.files, 'file')}, {size(looked.bytes)}: {said}")
    if wrong:
        raise typer.Exit(exits.Exit.FAILED)


@app.command("compact", cls=settings.Command)
def compact(
    context: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written together, which scans would be looked at, and change nothing.")] = False,
) -> None:
    """Store the catalog in less room, and so that it is read faster. Writes to the catalog only.

    The small files of tables that grow with every scan (scans, digests, verifications, snapshots) are written together, eight or more of about one size. Of
    scans that a newer one followed only those entries stay stored that the next one did not see as they were, where that is less than half; such a scan is made
    whole again where it is read. Rows, reports and older snapshots stay what they are: everything is read back and compared before it counts. Files that are
    needed no more stay for readers that began before, until 'catalog expire' removes them. Safe beside scans; killed at any moment the catalog is whole.
    """
    from catalog import compaction, thinning
    from lastcopy import keeping

    chosen = settings.of(context)
    root = _root(chosen)
    merges = compaction.plan(root) if dry_run else list(compaction.compact(root))
    thinned = thinning.plan(root) if dry_run else list(thinning.thin(root))
    keeping.show_compacted(chosen, merges, thinned, dry_run=dry_run)


@app.command("expire", cls=settings.Command)
def expire(
    context: typer.Context,
    *,
    daily: Annotated[int, typer.Option("--keep-daily", metavar="N", min=0, help="Of so many days the newest snapshot keeps what is derived of it.")] = 14,
    weekly: Annotated[int, typer.Option("--keep-weekly", metavar="N", min=0, help="Of so many weeks.")] = 8,
    monthly: Annotated[int, typer.Option("--keep-monthly", metavar="N", min=0, help="Of so many months.")] = 24,
    yearly: Annotated[int, typer.Option("--keep-yearly", metavar="N", min=0, help="Of so many years.")] = 100,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="ID", help="A snapshot that is kept, too, as one that an audit pack is of; repeat it.")
    ] = None,
    grace: Annotated[str, typer.Option("--grace", metavar="AGE", help="How long readers may still need a file that nothing names any more.")] = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
) -> None:
    """Drop what is derived of old snapshots, and remove files that nothing needs any more. What scans saw, digests and evidence stay.

    Writes to the catalog only. What is dropped is derived again when a snapshot is asked for. Kept are, besides those wished for, the newest snapshot and
    the one before it, the newest that knows each volume, those that plans are over, and the history of all. Files are removed a grace time after the run
    that dropped them: run it regularly. Safe beside scans and readers; killed at any moment the catalog is whole.
    """
    from catalog import expiry
    from lastcopy import keeping

    chosen = settings.of(context)
    root = _root(chosen)
    wish = keeping.wish(root, daily, weekly, monthly, yearly, keep or [])
    act = expiry.plan if dry_run else expiry.expire
    keeping.show(chosen, act(root, wish, time.time(), keeping.seconds(grace)), dry_run=dry_run)


def _root(chosen: settings.Settings) -> Path:
    """The catalog's folder. Raises NotFoundError where there is none."""
    from catalog.errors import NotFoundError
    from lastcopy import diagnosis

    root = chosen.root()
    if not root.is_dir():
        raise NotFoundError(f"{diagnosis.escaped(root)}: there is no catalog; run 'lastcopy scan'")
    return root
