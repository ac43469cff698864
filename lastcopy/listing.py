"""The plans, jobs and audit trail of a catalog as rows, for the command line and the API."""

from typing import TYPE_CHECKING, Any

from lastcopy import journals, settings

if TYPE_CHECKING:
    from catalog.config import Config
    from lifecycle.journal import Journal
    from lifecycle.records import JobRow

_GOOD = ("DONE", "QUARANTINED")


def plans(config: "Config", now_us: int) -> list[dict[str, object]]:
    """The plans, oldest first, each with its state."""
    from lifecycle import plan
    from reports.state import iso

    with journals.existing(config) as journal:
        return [
            {
                "id": one.id,
                "state": one.state(journal, now_us),
                "policy": one.header.policy_name or None,
                "action": one.header.action,
                "steps": one.steps_count,
                "bytes": one.header.totals["bytes"],
                "refused": one.header.totals["refused"],
                "created_at": iso(plan.moment(one.header.created_us)),
                "expires_at": iso(plan.moment(one.header.expires_us)),
                "actor": one.header.actor,
            }
            for one in plan.plans(settings.root_of(config))
        ]


def jobs(config: "Config", *, resting: bool = False) -> list[dict[str, Any]]:
    """The jobs, oldest first; none without a journal. `resting` asks what of each is in quarantine, which takes longer."""
    with journals.existing(config) as journal:
        return [job_row(job, journal if resting else None) for job in journal.jobs()] if journal else []


def job_row(job: "JobRow", journal: "Journal | None" = None) -> dict[str, Any]:
    """A job, how far it came, and, where its journal is given, what of it rests in quarantine."""
    from lifecycle import audit
    from lifecycle.states import BAD_ENDS, ENDS

    ended = {state: steps for state, steps in job.counts.items() if state in ENDS or state in _GOOD}
    return {
        "id": job.job_id,
        "kind": job.kind,
        "state": job.state,
        "action": job.action,
        "plan": job.plan_id,
        "of_job": job.of_job,
        "created_at": audit.moment(job.created_us),
        "actor": job.actor,
        "finished_at": audit.moment(job.finished_us),
        "steps": sum(job.counts.values()),
        "ended": sum(ended.values()),
        "failed": sum(steps for state, steps in ended.items() if state in BAD_ENDS),
        "bytes": sum(job.bytes.values()),
        **(_resting(job, journal) if journal is not None else {}),
    }


def verified(journal: "Journal", against: bytes | None) -> dict[str, object]:
    """What a look at the whole audit trail finds, perhaps against a head that was written down."""
    found = journal.verify(against)
    state = "whole" if found.bad_seq is None else "broken"
    return {"id": journal.id, "state": state, "events": found.events, "head": found.head.hex(), "bad_seq": found.bad_seq, "wrong": found.wrong}


def _resting(job: "JobRow", journal: "Journal") -> dict[str, object]:
    """What of a job rests in quarantine, and when a purge may take the last of it."""
    from catalog.config import Policy
    from lifecycle import audit
    from lifecycle.states import TAKEN

    found = journal.resting(job.job_id) if job.kind == "plan" and any(job.counts.get(state) for state in TAKEN) else None
    if found is None:
        return {"quarantined": 0, "quarantined_bytes": 0, "grace_ends_at": None}
    ends_us = found.last_us + int(Policy.model_validate_json(job.policy).grace * 1e6)
    return {"quarantined": found.files, "quarantined_bytes": found.bytes, "grace_ends_at": audit.moment(ends_us)}
