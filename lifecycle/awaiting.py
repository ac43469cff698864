"""What lies in an archive of its storage: a job asks for each file once, which costs, and again only at a person's word.

The journal has each request before it is sent: who dies in between, or gets no answer, does not pay twice.
"""

import datetime
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from lifecycle.chunk import Run, Work
from lifecycle.ends import ColdError, EndError
from lifecycle.journal import Journal
from lifecycle.states import LIVE

_KINDS = ("files_awaited", "files_not_asked", "files_asked_again")
_ON_ITS_WAY = "files in an archive of its storage were asked back, or are on their way; resume the job once they are there"


def wait(run: Run, cold: Mapping[Work, ColdError]) -> None:
    """Ask for what was never asked for, and let the steps wait for a later run; what is not on its way though it was asked for ends FAILED. Writes."""
    if not cold:
        return
    asked = _asked(run.journal, run.job_id, [work.step.step for work in cold])
    ours = [work for work, error in cold.items() if error.ask is not None]
    for work in ours:
        if work.step.step in asked:
            work.end = _given_up(run, work, asked[work.step.step])
    _ask(run, [work for work in ours if work.live], cold)
    for work in cold:
        if work.live:
            work.paused = run.waits[work.step.volume] = _ON_ITS_WAY


def allow(journal: Journal, job_id: str, at_us: int, actor: str) -> None:
    """Keep a person's word that what a job asked for once may be asked for again, where it is not on its way. Writes."""
    steps = [record.step.step for record in journal.records(job_id, {*LIVE, "FAILED"})]
    journal.note_files("files_asked_again", job_id, steps, at_us, actor)


def _ask(run: Run, works: Sequence[Work], cold: Mapping[Work, ColdError]) -> None:
    if not works:
        return
    run.journal.note_files("files_awaited", run.job_id, [work.step.step for work in works], run.clock(), run.actor)
    sent: set[int] = set()

    def act(work: Work) -> None:
        sent.add(work.step.step)
        if ask := cold[work].ask:
            ask()

    run.each(works, act)
    unasked = [work.step.step for work in works if work.step.step not in sent or work.end is not None]
    if unasked:
        run.journal.note_files("files_not_asked", run.job_id, unasked, run.clock(), run.actor)


def _asked(journal: Journal, job_id: str, steps: Sequence[int]) -> dict[int, int]:
    """When each of some steps was asked for; those that never were, or may be again, are left out."""
    found: dict[int, int] = {}
    ordered = sorted(steps)
    for event in journal.events(job_id, kinds=_KINDS):
        for first, _, last in (span.partition("-") for span in event.detail["steps"].split(",") if span):
            for step in ordered[bisect_left(ordered, int(first)) : bisect_right(ordered, int(last or first))]:
                found.pop(step, None)
                if event.kind == "files_awaited":
                    found[step] = event.at_us
    return found


def _given_up(run: Run, work: Work, asked_us: int) -> EndError:
    day = datetime.datetime.fromtimestamp(asked_us // 1_000_000, datetime.UTC)
    told = f"was asked back from an archive of its storage on {day:%Y-%m-%d}, and given up again there meanwhile, or the request was lost"
    mend = f"raise restore_for of volume {work.step.volume}, then 'lastcopy job resume {run.job_id} --ask-again' asks, and pays, once more"
    return EndError("FAILED", f"{work.shown}: {told}; {mend}", retry=True)
