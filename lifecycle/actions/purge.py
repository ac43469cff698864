"""Purge: what lies in quarantine past its grace time goes for ever, if enough verified copies stay."""

from typing import TYPE_CHECKING

from lifecycle import actions

if TYPE_CHECKING:
    from lifecycle.draft import Draft

_DUE = """
SELECT
    row_number() OVER (ORDER BY taken_at, job, step) AS rank,
    volume,
    path,
    key,
    kept_path,
    job AS of_job,
    step AS of_step,
    'in quarantine since ' || CAST(taken_at AS VARCHAR) || ' by job ' || job AS reason,
    sha256,
    of_source AS expected,
    also
FROM taken
WHERE {condition}
"""


class Action(actions.Action):
    """Lets go for ever of what is in quarantine past its grace time."""

    NAME = "purge"
    NEEDS_DIGEST = True
    REMOVES = True
    TOUCHES = True
    REREADS = True
    QUIET = False
    STAGES = ("purge",)

    def intend(self, draft: "Draft") -> None:
        """Every file in quarantine whose grace time is over, by the policy of the job that put it there."""
        from catalog.errors import ConfigError
        from lifecycle import archived

        if "grace" in draft.policy.model_fields_set:
            told = "a purge goes by the grace time of the job that took the files away, which was approved with it; leave out the grace time here"
            raise ConfigError(f"{f'policy {draft.name}' if draft.name else '--grace'}: {told}, and see 'lastcopy job list' for when it ends")
        draft.intend(_DUE.format(condition=archived.taken(draft, lambda job, record: archived.is_due(job, record, draft.now_us))))
