"""`lastcopy audit`: who did what, and whether the record of it is whole."""

import datetime
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from catalog.errors import CatalogError, ConfigError
from lastcopy import listing, output, settings, talk
from lastcopy.commands import hold

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="The audit trail of plans, jobs and holds.")

_WIDEST = 80  # characters of a detail in a table


@app.command("log", cls=settings.Command)
def log(
    context: typer.Context,
    *,
    job: Annotated[str | None, typer.Option("--job", metavar="JOB", help="Only what was done in this job.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="Only what was done at this time or later.")] = None,
    last: Annotated[int | None, typer.Option("--last", metavar="N", min=1, help="Only the newest N of these.")] = None,
) -> None:
    """List the events of the audit trail: plans, approvals, each move of a job's steps, holds.

    Tables shorten the details and the hashes; csv, json and jsonl have all.
    """
    from lifecycle import audit as trail
    from lifecycle.journal import Journal

    chosen = settings.of(context)
    start = None if since is None else us(hold.moment_of("--since", since))
    with Journal.open(chosen.configuration(), chosen.root(), create=False) as journal:
        if job is not None:
            journal.job(job)
        found = journal.events(job, start, last=last)
    rows = [trail.row(event) for event in found]
    if chosen.chosen_format in ("table", "md"):
        rows = [row | {"detail": _short(event.detail), "hash": f"{event.hash.hex()[:12]}…"} for row, event in zip(rows, found, strict=True)]
    output.rows(chosen, "audit-log", rows)


@app.command("verify", cls=settings.Command)
def verify(
    context: typer.Context,
    *,
    head: Annotated[str | None, typer.Option("--head", metavar="HASH", help="A head that was written down earlier: it must be in the chain.")] = None,
) -> None:
    """Compute the chain of the audit trail anew: no event was changed, left out or moved. Prints its head.

    That the newest events were cut off can only be told against a head that was written down elsewhere. Exit 1 if the trail is not whole.
    """
    from lifecycle.journal import Journal

    chosen = settings.of(context)
    against = digest("--head", head)
    with Journal.open(chosen.configuration(), chosen.root(), create=False) as journal:
        row = listing.verified(journal, against)
    if chosen.chosen_format == "json":
        output.made(chosen, "audit-verify", row, complete=row["bad_seq"] is None)
    else:
        output.rows(chosen, "audit-verify", [row])
    if row["wrong"]:
        raise CatalogError(f"the audit trail is not whole: {row['wrong']}")


@app.command("clock", cls=settings.Command)
def clock(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What was wrong with the clock; kept in the audit trail.")],
) -> None:
    """Say that the clock is right now, after it once stood ahead: until then a clock before the last audit event refuses every removal."""
    from lifecycle import people
    from lifecycle.journal import Journal

    chosen = settings.of(context)
    if not reason.strip():
        raise ConfigError("--reason: say what was wrong with the clock")
    with Journal.open(chosen.configuration(), chosen.root(), create=False) as journal:
        journal.trust_clock(time.time_ns() // 1000, people.actor(), reason)
    if not chosen.quiet:
        talk.say("removals go by this clock from now on")


def _short(detail: Mapping[str, Any]) -> str:
    """What an event says, in a few words: of lists and tables only how much they hold, of steps the states."""
    said = []
    for key, value in detail.items():
        if isinstance(value, Mapping) and key in ("states", "counts"):
            said += [f"{state} {steps}" for state, steps in value.items()]
        elif isinstance(value, Mapping | list):
            said += [f"{key} of {len(value)}"] if value else []
        elif value is not None:
            said.append(f"{key} {value[:12] + '…' if key.endswith('hash') else value}")
    text = ", ".join(said)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def digest(option: str, text: str | None) -> bytes | None:
    """A head as it was typed. Raises ConfigError."""
    if text is None:
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise ConfigError(f"{option} {text}: is not a hash of 64 hexadecimal digits")
    return found


def us(moment: datetime.datetime) -> int:
    """A moment as the journal has it."""
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)
