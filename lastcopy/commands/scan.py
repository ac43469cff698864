"""`lastcopy scan`: reads volumes, finds what could have a copy, and publishes a snapshot."""

from typing import Annotated

import typer

from lastcopy import exits, settings
from lastcopy.settings import Changes, Engine, Mode


def scan(
    context: typer.Context,
    volumes: Annotated[list[str] | None, typer.Argument(metavar="VOLUME", help="The volumes to scan; none = all.", show_default=False)] = None,
    *,
    digest: Annotated[Mode | None, typer.Option("--digest", help="What is read: nothing, what could have a copy, everything; else as configured.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Read what is known too: proves that the copies still hold what they held.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted scan stopped.")] = False,
    accept_losses: Annotated[
        bool, typer.Option("--accept-losses", help="Publish also where most entries disappeared, or the file system is another one.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="How many processes read; else by the machine.")] = None,
    changes: Annotated[
        str | None, typer.Option("--changes", metavar="FILE", help="Look only at what this list names (- = standard input), and keep what else is known.")
    ] = None,
    changes_form: Annotated[
        Changes, typer.Option("--changes-form", help="What the list is: paths, each ended by NUL or a newline, or what 'btrfs receive --dump' prints.")
    ] = "paths",
    engine: Annotated[Engine, typer.Option("--engine", help="What reads file trees: this machine, or the cluster of $SPARK_REMOTE.")] = "local",
) -> None:
    """Scan volumes and publish a snapshot. Reads your storage, never writes to it.

    Offline volumes that are not there are skipped, unless they are named. A volume that cannot be scanned does not keep the others
    from being scanned; the exit code is that of the greatest harm. Ctrl-C is safe: --resume goes on.

    --changes takes what a watcher, or the difference of two snapshots, says has changed on one volume since its last scan began. How fresh its evidence is
    stays with its last whole scan, which also says what such lists left out.
    """
    from lastcopy import scanning

    chosen = settings.of(context)
    wish = scanning.Wish(tuple(volumes or ()), digest, resume, accept_losses, workers, again, engine=engine, changes=changes, changes_form=changes_form)
    code = scanning.scan(chosen, wish)
    if code is not exits.Exit.DONE:
        raise typer.Exit(code)
