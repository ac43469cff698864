"""`lastcopy check`: the gate for scheduled scans."""

from typing import TYPE_CHECKING, Annotated

import typer

from lastcopy import asking, exits, output, settings

if TYPE_CHECKING:
    import datetime

    from reports import gate


def check(
    context: typer.Context,
    *,
    fail_under: Annotated[
        float | None,
        typer.Option("--fail-under", metavar="PCT", help="Every class must survive each threat by so many % of its assets; unknown does not count."),
    ] = None,
    max_age: Annotated[str | None, typer.Option("--max-age", metavar="AGE", help="No volume's scan may be older by the clock, as in 48h.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Nothing may have become unprotected since the snapshot before.")] = False,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="WHEN", help="With --new: since this snapshot, a day, or so long before the newest, as in 24h; else the oldest."),
    ] = None,
) -> None:
    """Hold the newest snapshot against what you ask for, and say what is not met. Ends with 3 where something is not.

    A volume that was never scanned, or whose scan is incomplete or failed, is never met. With --quiet nothing is printed if all is met.
    """
    import dataclasses

    from lastcopy import scanning
    from reports import gate, render, state

    chosen = settings.of(context)
    limits = gate.Limits(fail_under, _seconds(max_age), new)
    now = scanning.now().replace(tzinfo=None)
    since = _since(chosen, now)
    with asking.connected(chosen, _earlier(chosen, against) if new else None) as connection:
        known = state.read(connection.cursor())
        found = gate.check(connection, limits, now, since)
    if chosen.chosen_format == "json":
        output.text(chosen, render.envelope("check", found.data(), known, found.warnings))
    elif chosen.chosen_format != "table":
        output.rows(chosen, "check", [dataclasses.asdict(finding) for finding in found.findings])
    elif not (chosen.quiet and found.met):
        output.text(chosen, found.text())
    if not found.met:
        raise typer.Exit(exits.Exit.GATE)


def _earlier(chosen: settings.Settings, against: str | None) -> str | None:
    """The snapshot that was asked for; the oldest where none is as old as that."""
    from catalog import snapshot
    from catalog.errors import NotFoundError

    if against is None:
        return None
    root, wanted = chosen.stored()
    try:
        found = snapshot.find(root, against)
    except NotFoundError:
        if snapshot.before(against, wanted.as_of) is None:
            raise
        found = snapshot.snapshots(root)[0]
    return found.snapshot_id if found.snapshot_id != wanted.snapshot_id else None


def _since(chosen: settings.Settings, now: "datetime.datetime") -> "list[gate.Finding]":
    from catalog import snapshot
    from reports import gate

    if chosen.snapshot not in (None, "latest"):
        return []
    root, newest = chosen.stored()
    declared = chosen.configuration().volumes if chosen.catalog is None else ()
    return gate.unseen(newest, snapshot.scans(root), declared, now)


def _seconds(text: str | None) -> float | None:
    from catalog import fields
    from catalog.errors import ConfigError

    try:
        found = fields.duration(text)
    except ValueError as error:
        raise ConfigError(f"--max-age: {error}") from error
    return found if isinstance(found, float) else None
