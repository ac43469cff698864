"""The plans and jobs of a catalog as rows, for the command line and the API."""

from typing import TYPE_CHECKING

from lastcopy import journals, settings

if TYPE_CHECKING:
    from catalog.config import Config
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


def jobs(config: "Config") -> list[dict[str, object]]:
    """The jobs, oldest first; none without a journal."""
    with journals.existing(config) as journal:
        return [job_row(job) for job in journal.jobs()] if journal else []


def job_row(job: "JobRow") -> dict[str, object]:
    """A job, and how far it came."""
    from lastcopy.commands import hold
    from lifecycle.states import BAD_ENDS, ENDS

    ended = {state: steps for state, steps in job.counts.items() if state in ENDS or state in _GOOD}
    return {
        "id": job.job_id,
        "kind": job.kind,
        "state": job.state,
        "action": job.action,
        "plan": job.plan_id,
        "of_job": job.of_job,
        "created_at": hold.time_of(job.created_us),
        "actor": job.actor,
        "finished_at": hold.time_of(job.finished_us),
        "steps": sum(job.counts.values()),
        "ended": sum(ended.values()),
        "failed": sum(steps for state, steps in ended.items() if state in BAD_ENDS),
        "bytes": sum(job.bytes.values()),
    }
