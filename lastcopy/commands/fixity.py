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
    restore: Annotated[
        int | None,
        typer.Option("--restore-sample", metavar="N", min=1, max=100_000, help="Instead: have the program of each backup give back N files by chance."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", min=0, max=2**53, help="Choose the same files as a run that printed it.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="How many processes read; else by the machine.")] = None,
) -> None:
    """Scan volumes, and read once more what was read longest ago. Reads your storage, never writes to it.

    A file whose content is another than it was, while its size and times are the same, is a problem of stage 'damaged' (exit 4): as a copy it protects
    nothing any more, as an original it is no longer what its copies hold. 'lastcopy report fixity' says how long ago copies were verified.
    Of a backup's repository what has rotted cannot be read: a problem of stage 'read'.

    With --restore-sample nothing is read again, but restic or borg restores files by chance, into nothing: what it gives is compared with what was stored, and
    with the original. Those files are at level 4, and one that it fails to give back protects nothing until it is read.
    """
    import secrets

    from catalog import fields
    from catalog.errors import ConfigError
    from lastcopy import scanning

    try:
        most = fields.size(budget)
    except ValueError as error:
        raise ConfigError(f"--budget: {error}") from error
    if restore and (not volumes or budget is not None):
        raise ConfigError("--restore-sample wants the VOLUME, and no --budget")
    if seed is not None and not restore:
        raise ConfigError("--seed is of --restore-sample")
    wish = scanning.Wish(
        tuple(volumes or ()),
        workers=workers,
        again=not restore,
        budget=most if isinstance(most, int) else None,
        restore=restore or 0,
        seed=secrets.randbits(32) if seed is None else seed,
    )
    code = scanning.scan(settings.of(context), wish)
    if code is not exits.Exit.DONE:
        raise typer.Exit(code)
