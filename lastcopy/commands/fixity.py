"""`lastcopy fixity`: reads once more what was read longest ago, to see that it still is what it was."""

from typing import Annotated

import typer

from lastcopy import exits, settings


def fixity(
    context: typer.Context,
    volumes: Annotated[list[str] | None, typer.Argument(metavar="VOLUME", help="The volumes to look at; none = all.", show_default=False)] = None,
    *,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="SIZE", help="Read so much of what is known, as in 100GiB; one file at least. Else all of it.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="How many processes read; else by the machine.")] = None,
) -> None:
    """Scan volumes, and read once more what was read longest ago. Reads your storage, never writes to it.

    A file whose content is another than it was, while its size and times are the same, is a problem of stage 'damaged' (exit 4): as a copy it protects
    nothing any more, as an original it is no longer what its copies hold. 'lastcopy report fixity' says how long ago copies were verified.
    """
    from catalog import fields
    from catalog.errors import ConfigError
    from lastcopy import scanning

    try:
        most = fields.size(budget)
    except ValueError as error:
        raise ConfigError(f"--budget: {error}") from error
    wish = scanning.Wish(tuple(volumes or ()), workers=workers, again=True, budget=most if isinstance(most, int) else None)
    code = scanning.scan(settings.of(context), wish)
    if code is not exits.Exit.DONE:
        raise typer.Exit(code)
