"""`lastcopy job`: plans that are carried out, gone on with, undone."""

import datetime
import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastcopy import exits, journals, output, settings, talk
from lastcopy.bars import Bars
from lastcopy.exits import Exit

if TYPE_CHECKING:
    from lifecycle.job import Outcome
    from lifecycle.records import Record

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="Plans that are carried out, gone on with, undone.")

_Workers = Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="How many processes work; else one a core.", show_default=False)]
_AskAgain = Annotated[
    bool,
    typer.Option("--ask-again", help="Ask, and pay, once more for what was asked back from an archive of its storage, and given up again there."),
]
_Id = Annotated[str, typer.Argument(metavar="JOB", help="The id of the job, as 'job list' prints it.", show_default=False)]
_GOOD = ("DONE", "QUARANTINED")
_SAID = 5


@app.command("run", cls=settings.Command)
def run(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The id of an approved plan.", show_default=False)],
    *,
    workers: _Workers = None,
) -> None:
    """Carry out the approved steps of a plan, each checked again at the moment of the act. Writes to your storage.

    Ctrl-C is safe: 'job resume' goes on. Exit 0 also for a plan without steps, 4 where steps failed or wait,
    5 where the plan is not approved, expired, or was altered.
    """
    from lifecycle import job, people

    chosen = settings.of(context)
    config = chosen.configuration()
    with Bars(quiet=chosen.quiet) as bars:
        outcome = job.run(settings.root_of(config), config, plan, clock=now_us, actor=people.actor(), workers=_cores(workers), progress=bars.job(plan))
    _tell(chosen, "job-run", outcome)


@app.command("resume", cls=settings.Command)
def resume(context: typer.Context, job_id: _Id, *, workers: _Workers = None, ask_again: _AskAgain = False) -> None:
    """Go on with a job that was interrupted or suspended, or waits for a medium; what failed so that it may succeed now is tried again.

    What ended otherwise (mostly CONFLICT, STALE, SOURCE_CHANGED) stays so, and is counted: its files need a new plan.
    """
    from lifecycle import job, people

    chosen = settings.of(context)
    config = chosen.configuration()
    with Bars(quiet=chosen.quiet) as bars:
        root, actor, progress = settings.root_of(config), people.actor(), bars.job(job_id)
        outcome = job.resume(root, config, job_id, clock=now_us, actor=actor, workers=_cores(workers), progress=progress, ask_again=ask_again)
    _tell(chosen, "job-resume", outcome)


@app.command("undo", cls=settings.Command)
def undo(context: typer.Context, job_id: _Id, *, workers: _Workers = None) -> None:
    """Bring back what a job took away: out of quarantine, or, once that was purged, from the copy. Copies that it made stay.

    The undo is a job itself: interrupted, it is gone on with by 'job resume', or by the same command again.
    Exit 4 where something cannot be brought back, 5 where nothing can.
    """
    from lifecycle import job, people

    chosen = settings.of(context)
    config = chosen.configuration()
    with Bars(quiet=chosen.quiet) as bars:
        outcome = job.undo(settings.root_of(config), config, job_id, clock=now_us, actor=people.actor(), workers=_cores(workers), progress=bars.job(job_id))
    _tell(chosen, "job-undo", outcome)


@app.command("list", cls=settings.Command)
def list_jobs(context: typer.Context) -> None:
    """List the jobs of this catalog, oldest first: what came of each, what of it rests in quarantine, and when a purge may take the last of that."""
    from lastcopy import listing

    chosen = settings.of(context)
    output.rows(chosen, "job-list", listing.jobs(chosen.configuration(), resting=True))


@app.command("show", cls=settings.Command)
def show(
    context: typer.Context,
    job_id: _Id,
    *,
    steps: Annotated[bool, typer.Option("--steps", help="Every step, not only those that ended otherwise than was meant.")] = False,
) -> None:
    """Show what came of a job: its steps by state, then each that ended otherwise than was meant, with its reason, and what metadata was lost."""
    from lastcopy import listing
    from lifecycle.journal import Journal
    from reports.state import counted
    from reports.terminal import human

    chosen = settings.of(context)
    with Journal.open(chosen.configuration(), chosen.root(), create=False) as journal:
        job = journal.job(job_id)
        row = listing.job_row(job, journal)
        records = [_step(record) for record in journal.records(job_id) if steps or record.losses or record.state not in _GOOD]
    if chosen.chosen_format == "json":
        told = {key: f"{value.isoformat()}Z" if isinstance(value, datetime.datetime) else value for key, value in row.items()}
        output.made(chosen, "job-show", {**told, "counts": dict(job.counts), "bytes_by_state": dict(job.bytes), "steps": records}, complete=True)
        return
    if not chosen.quiet:
        talk.say(f"job {job_id}: {job.state}; {_counted(job.counts)}")
        if row["quarantined"]:
            until = f"{row['grace_ends_at']:%Y-%m-%d %H:%M} UTC" if row["grace_ends_at"] else "a time beyond the calendar"
            rests = f"{counted(row['quarantined'], 'file')}, {human(row['quarantined_bytes'], 'bytes')}"
            talk.say(f"  {rests} in quarantine; a purge may take the last of it from {until} on")
    if records or steps or chosen.chosen_format != "table":
        output.rows(chosen, "job-show", records)
    elif not chosen.quiet:
        talk.say("  no step ended otherwise than was meant; --steps lists all")


@app.command("rebuild", cls=settings.Command)
def rebuild(
    context: typer.Context,
    *,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also where this catalog never had a journal, or is a copy: no other catalog's jobs work on its volumes.")
    ] = False,
) -> None:
    """Make the journal anew where it is lost or damaged: every file that lies in quarantine goes back to its old name, nothing is deleted.

    Holds are kept where the old journal can be read, else they must be placed again; plans must be approved again. Exit 4 where a file could not be put back.
    """
    from lifecycle import people, rebuilding
    from lifecycle.journal import Journal

    chosen = settings.of(context)
    config = chosen.configuration()
    at_us = now_us()
    found = rebuilding.rebuild(settings.root_of(config), config, at_us=at_us, actor=people.actor(), take_over=take_over)
    with Journal.open(config, settings.root_of(config), create=False) as journal:
        renewed = journal.events(kinds=("journal_renewed",), since_us=at_us)
    for event in renewed:
        kept = event.detail["holds"]
        talk.say(
            "warning: the holds of the old journal could not be read: place them again before anything is removed"
            if kept is None
            else f"holds that were kept: {kept}; those that were placed after that journal was written must be placed again"
        )
    rows = [{"volume": one.volume, "path": one.path, "came": one.came, "reason": one.reason} for one in found]
    if chosen.chosen_format == "json":
        output.made(chosen, "job-rebuild", {"id": None, "state": "rebuilt", "found": rows}, complete=all(one.came != "left" for one in found))
    else:
        output.rows(chosen, "job-rebuild", rows)
    if any(one.came == "left" for one in found):
        raise typer.Exit(Exit.PARTLY)


def now_us() -> int:
    """The clock, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def _cores(given: int | None) -> int:
    return given or len(os.sched_getaffinity(0))


def _tell(chosen: settings.Settings, schema: str, outcome: "Outcome") -> None:
    """Say what came of a run, print the object that JSON asks for, and end with the exit code."""
    data = {"id": outcome.job_id, "state": outcome.state, "counts": dict(outcome.counts), "bytes": sum(outcome.bytes.values())}
    from lifecycle.stores import is_folder

    with journals.existing(chosen.configuration()) as journal:
        changed = [volume for volume in journal.volumes_of(outcome.job_id) if not is_folder(volume)] if journal else []
    data |= {"changed_volumes": changed, "bytes_by_state": dict(outcome.bytes), "reasons": [talk.printable(reason) for reason in outcome.reasons]}
    output.made(chosen, schema, data, complete=outcome.complete)
    if not chosen.quiet:
        talk.say(f"job {outcome.job_id}: {outcome.state}; {_counted(outcome.counts)}")
        for reason in outcome.reasons[:_SAID]:
            talk.say(f"  {reason}")
        if outcome.state == "done" and not outcome.complete:
            talk.say(f"  'lastcopy job show {outcome.job_id}' says why steps ended otherwise than was meant")
        if outcome.counts.get("QUARANTINED"):
            talk.say(f"  what was taken away rests in quarantine: 'lastcopy job undo {outcome.job_id}' brings it back; a plan of action purge lets it go")
        if changed:
            talk.say(f"  reports show what was before: 'lastcopy scan {' '.join(changed)}' brings the change into them")
    code = exits.Exit.DONE if outcome.complete else Exit.INTERRUPTED if outcome.state == "interrupted" else Exit.PARTLY
    if code is not Exit.DONE:
        raise typer.Exit(code)


def _counted(counts: Any) -> str:  # noqa: ANN401  a mapping of words that only lifecycle names
    return ", ".join(f"{steps:,} {state}" for state, steps in counts.items()) or "no steps"


def _step(record: "Record") -> dict[str, object]:
    from catalog import names

    target = None if record.step.target_path is None else f"{record.step.target_volume}:{names.escape(record.step.target_path)}"
    return {
        "step": record.step.step,
        "state": record.state,
        "path": f"{record.step.volume}:{names.escape(record.step.path)}",
        "target": target,
        "reason": record.reason,
        "losses": ", ".join(record.losses) or None,
        "sha256": record.sha256.hex() if record.sha256 else None,
    }
