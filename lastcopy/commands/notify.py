"""`lastcopy notify`: whether those who are to be told can be."""

from typing import Annotated

import typer

from lastcopy import extras, output, settings

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="Who is told what.")


@app.callback()
def notify() -> None:
    """Who is told what."""


@app.command("test", cls=settings.Command)
def send_test(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Receivers of [notify.to]; none = all.", show_default=False)] = None,
) -> None:
    """Send a test message to each receiver. Exit 8 where one did not take it."""
    extras.need("serve", "apprise", "structlog")
    from catalog.errors import ConfigError, NotFoundError
    from lastcopy import exits
    from lastcopy.service import alerts

    chosen = settings.of(context)
    config = chosen.configuration()
    if not config.notify.to:
        raise ConfigError("nobody is to be told: write a table [notify.to.NAME]")
    if unknown := [name for name in names or () if name not in config.notify.to]:
        raise NotFoundError(f"there is no receiver {unknown[0]!r}; receivers are {', '.join(config.notify.to)}")
    rows = []
    for name in names or config.notify.to:
        try:
            sent = alerts.send(config, name, config.notify.to[name], alerts.Message("Lastcopy: test", "This is a test: you would be told here."))
            rows.append({"receiver": name, "state": "ok" if sent else "failed", "error": None if sent else "it was not taken"})
        except ConfigError as error:
            rows.append({"receiver": name, "state": "failed", "error": str(error)})
    output.rows(chosen, "notify-test", rows, complete=all(row["state"] == "ok" for row in rows))
    if any(row["state"] != "ok" for row in rows):
        raise typer.Exit(exits.Exit.UNREACHABLE)
