"""`lastcopy volume`: what is declared, and whether it can be scanned."""

import datetime
import time
from dataclasses import asdict
from typing import Annotated

import typer

from lastcopy import exits, output, settings, talk
from lastcopy.commands import doctor

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="The volumes of the configuration.")


@app.command("list", cls=settings.Command)
def list_volumes(context: typer.Context) -> None:
    """List the volumes that are declared, each with its newest good scan, and why a later one failed."""
    from catalog import snapshot
    from lastcopy import diagnosis

    chosen = settings.of(context)
    config = chosen.configuration()
    root = settings.root_of(config)
    newest, failed = snapshot.newest_scans(root), snapshot.failed_since(root)
    rows = []
    for name, declared in config.volumes.items():
        scan = newest.get(name)
        row = {"volume": name, "kind": declared.kind, "role": declared.role, "url": diagnosis.escaped(declared.url)}
        row |= {key: getattr(declared, key) for key in ("system", "site", "region", "admin", "media", "access", "immutability")}
        state = {"state": scan.state if scan else "never_scanned", "scanned_at": scan.known_at if scan else None}
        rows.append(
            row
            | state
            | {key: getattr(scan, key, None) for key in ("entries", "bytes", "problems")}
            | {"last_error": failed[name].error if name in failed else None}
        )
    output.rows(chosen, "volume-list", rows)


@app.command("check", cls=settings.Command)
def check_volumes(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="The volumes to look at; none = all.", show_default=False)] = None,
) -> None:
    """Look whether volumes can be reached and read, are what they were, and what jobs know of them. Only reads.

    Exit 8 if one cannot be reached, 4 if there is another error or warning.
    """
    from catalog import snapshot
    from lastcopy import mappings, markers, places, scanning

    chosen = settings.of(context)
    config = chosen.configuration()
    root, wanted = settings.root_of(config), scanning.known(config, names or list(config.volumes))
    newest = snapshot.newest_scans(root)
    look = places.look(config, wanted, newest, datetime.datetime.now(datetime.UTC))
    failed, maps = places.failed(wanted, snapshot.failed_since(root)), mappings.look(root, config, wanted, newest)
    wrong = doctor.show(chosen, "volume-check", [*look.remarks, *failed, *maps, *markers.look(root, config, wanted)])
    if any(remark.check == "reachable" for remark in wrong):
        raise typer.Exit(exits.Exit.UNREACHABLE)
    if wrong:
        raise typer.Exit(exits.Exit.PARTLY)


@app.command("prepare", cls=settings.Command)
def prepare_volume(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The volume.", show_default=False)],
    *,
    take_over: Annotated[bool, typer.Option("--take-over", help="Replace the marker of another catalog, of another name, or of another disk.")] = False,
) -> None:
    """Mark a volume as the one that it is, and try out what it can do, so that jobs may work on it. Writes to `.lastcopy/` on the volume only.

    What it can do is found by doing it: publish without overwriting, leases, shared blocks, links, attributes, names and times. Scans skip that folder.
    """
    from lastcopy import markers
    from lifecycle import people
    from lifecycle.actions import prepare

    chosen = settings.of(context)
    config = chosen.configuration()
    found = prepare.prepare(settings.root_of(config), config, name, now_us=time.time_ns() // 1000, actor=people.actor(), take_over=take_over)
    if not chosen.quiet:
        talk.say(f"volume {name} is prepared, marker {found.marker}; {markers.abilities(found.capabilities)}")
        if found.capabilities.publish == "none":
            talk.say(f"warning: nothing can be published on {name} without a chance of overwriting: jobs refuse to write to it")
    output.made(chosen, "volume-prepare", {"id": found.marker, "state": "prepared", **asdict(found)}, complete=True)
