"""`lastcopy volume`: what is declared, and whether it can be scanned."""

import datetime
from typing import Annotated

import typer

from lastcopy import exits, output, settings
from lastcopy.commands import doctor

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="The volumes of the configuration.")


@app.command("list", cls=settings.Command)
def list_volumes(context: typer.Context) -> None:
    """List the volumes that are declared, each with its newest good scan."""
    from catalog import snapshot
    from lastcopy import diagnosis

    chosen = settings.of(context)
    config = chosen.configuration()
    newest = snapshot.newest_scans(settings.root_of(config))
    rows = []
    for name, declared in config.volumes.items():
        scan = newest.get(name)
        row = {"volume": name, "kind": declared.kind, "role": declared.role, "url": diagnosis.escaped(declared.url)}
        row |= {key: getattr(declared, key) for key in ("system", "site", "admin", "media", "access", "immutability")}
        state = {"state": scan.state if scan else "never_scanned", "scanned_at": scan.started_at if scan else None}
        rows.append(row | state | {key: getattr(scan, key, None) for key in ("entries", "bytes", "problems")})
    output.rows(chosen, "volume-list", rows)


@app.command("check", cls=settings.Command)
def check_volumes(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="The volumes to look at; none = all.", show_default=False)] = None,
) -> None:
    """Look whether volumes can be reached and read, and are what they were. Only reads.

    Exit 8 if one cannot be reached, 4 if there is another error or warning.
    """
    from catalog import snapshot
    from lastcopy import places, scanning

    chosen = settings.of(context)
    config = chosen.configuration()
    wanted = scanning.known(config, names or list(config.volumes))
    look = places.look(config, wanted, snapshot.newest_scans(settings.root_of(config)), datetime.datetime.now(datetime.UTC))
    wrong = doctor.show(chosen, "volume-check", look.remarks)
    if any(remark.check == "reachable" for remark in wrong):
        raise typer.Exit(exits.Exit.UNREACHABLE)
    if wrong:
        raise typer.Exit(exits.Exit.PARTLY)
