"""`lastcopy evidence`: what other programs found out about backups, kept with who says so."""

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lastcopy import output, settings, talk

if TYPE_CHECKING:
    from scanners.recording import Recorded
    from scanners.said import Said

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="What other programs found out about backups.")

Tool = Literal["restic-check", "borg-check"]
Backup = Literal["restic-backup", "borg-create"]


@app.command("record", cls=settings.Command)
def record(
    context: typer.Context,
    volume: Annotated[str, typer.Argument(metavar="VOLUME", help="The backup that was checked.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the program wrote, standard output and error; - = standard input.", show_default=False)],
    *,
    tool: Annotated[Tool, typer.Option("--tool", help="Which program it was.")],
    exit_code: Annotated[int, typer.Option("--exit-code", metavar="N", min=0, max=255, help="What it ended with.")],
    started: Annotated[str | None, typer.Option("--started", metavar="TIME", help="When it began, as 2026-11-29T03:00:00Z; else as the output tells.")] = None,
    read_data: Annotated[bool, typer.Option("--read-data", help="All content was read; for an output that does not say so.")] = False,
    subset: Annotated[
        str | None, typer.Option("--read-data-subset", metavar="N/T", help="A part of it was read, as 3/50 or 5%; for an output that does not say so.")
    ] = None,
    version: Annotated[str | None, typer.Option("--tool-version", metavar="TEXT", help="The version of the program.")] = None,
) -> None:
    """Record what a check of a backup's repository found. Writes to the catalog only; what is recorded counts from the next 'lastcopy scan' on.

    A check without an error vouches for what the repository held when it began: at level 1, and at level 2 where it read all content, at once or in parts
    n/t that are complete. One with errors puts all of the repository in doubt, until it is read ('lastcopy fixity') or a later check finds none; and the
    repository, where it can be looked into, tells which versions of files these errors may hit, which the next scan reads.
    'lastcopy report evidence' lists what is recorded.
    """
    from dataclasses import replace

    from catalog.errors import ConfigError, RefusedError
    from lastcopy import scanning
    from lifecycle import people
    from scanners import recording, said

    chosen = settings.of(context)
    config = chosen.configuration()
    scanning.known(config, [volume])
    text = _text(file, said.MOST_BYTES)
    if read_data and subset:
        raise ConfigError("--read-data is all of the content: leave --read-data-subset out")
    try:
        if subset:
            said.subset(subset)
        found = said.METHODS[tool](text, exit_code, "all" if read_data else subset)
        found = replace(found, started_at=_time(started) if started else found.started_at)
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error
    except RefusedError as error:
        raise RefusedError(f"volume {volume}: {file}: {error}") from error
    told = talk.printable(version[:100]) if version else None
    kept = recording.record(settings.root_of(config), config, volume, tool, found, version=told, now=scanning.now(), by=people.actor())
    if not chosen.quiet:
        talk.say(f"{volume}: {_words(found, kept)}; recorded, and judged by the next 'lastcopy scan'")
    data = {key: value.isoformat() + "Z" if isinstance(value, datetime.datetime) else value for key, value in kept.row.items()}
    output.made(chosen, "evidence", {"id": volume, "state": "recorded", **data, "hit_versions": kept.hit}, complete=True)


@app.command("run", cls=settings.Command)
def run(
    context: typer.Context,
    volume: Annotated[str, typer.Argument(metavar="VOLUME", help="The backup that was made.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the program wrote, standard output and error; - = standard input.", show_default=False)],
    *,
    tool: Annotated[Backup, typer.Option("--tool", help="Which program it was, with --json (borg: and --log-json).")],
    exit_code: Annotated[int, typer.Option("--exit-code", metavar="N", min=0, max=255, help="What it ended with.")],
    started: Annotated[str | None, typer.Option("--started", metavar="TIME", help="When it began, as 2026-11-29T03:00:00Z.")] = None,
    point: Annotated[
        str | None, typer.Option("--recovery-point", metavar="ID", help="The recovery point that it made, for an output that does not say it.")
    ] = None,
) -> None:
    """Record how a backup run ended, and which files it could not read: no repository keeps that. Writes to the catalog only, and proves no copy.

    'lastcopy report recovery-points' then tells complete recovery points from partial ones, 'lastcopy report evidence' names the files.
    """
    import re

    from catalog.errors import ConfigError, RefusedError
    from lastcopy import scanning
    from lifecycle import people
    from scanners import ran, recording, said

    chosen = settings.of(context)
    config = chosen.configuration()
    scanning.known(config, [volume])
    if point and not re.fullmatch(r"[0-9a-f]{8,64}", point):
        raise ConfigError("--recovery-point: an id has 8 to 64 hexadecimal digits")
    try:
        found = ran.understood(tool, _text(file, said.MOST_BYTES), exit_code, point)
        started_at = _time(started) if started else None
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error
    except RefusedError as error:
        raise RefusedError(f"volume {volume}: {file}: {error}") from error
    files = recording.record_run(settings.root_of(config), config, volume, tool, found, started_at=started_at, now=scanning.now(), by=people.actor())
    state = "complete" if found.ok else "partial" if found.point else "failed"
    if not chosen.quiet:
        made = f", recovery point {found.point[:8]}" if found.point else ""
        talk.say(f"{volume}: {state} run{made}; {files:,} files could not be read; recorded, and shown after the next 'lastcopy scan'")
    output.made(chosen, "evidence", {"id": volume, "state": state, "recovery_point": found.point, "unread_files": files}, complete=True)


def _words(found: "Said", kept: "Recorded") -> str:
    from reports.state import counted

    read = f", {found.share_ppm / 10_000:g} % of the content read" if found.share_ppm else ""
    if found.ok:
        return f"no error found, level {found.level}{read}"
    where = f"not all can be placed ({talk.printable(kept.untold or '')})" if kept.hit is None else f"{counted(kept.hit, 'version')} of files may be hit"
    return f"{counted(found.errors, 'error')}{read}: {where}; all that is not read by us later is in doubt"


def _text(file: Path, most_bytes: int) -> str:
    from catalog.errors import ConfigError, NotFoundError

    try:
        if str(file) == "-":
            raw = sys.stdin.buffer.read(most_bytes + 1)
        else:
            if not file.is_file():
                raise NotFoundError(f"{file}: there is no such file")
            with file.open("rb") as opened:
                raw = opened.read(most_bytes + 1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    if len(raw) > most_bytes:
        raise ConfigError(f"{file}: more than {most_bytes} bytes: that is no output of a check")
    return raw.decode("utf-8", "replace")


def _time(text: str) -> datetime.datetime:
    import scanners

    try:
        return scanners.utc(datetime.datetime.fromisoformat(text))
    except ValueError as error:
        raise ValueError(f"--started {text!r} is no time with its zone, as 2026-11-29T03:00:00Z") from error
