"""Recall: what was archived comes back to its old path; the archived copy stays."""

from typing import TYPE_CHECKING

from lifecycle import actions

if TYPE_CHECKING:
    from lifecycle.draft import Draft

# Of a path that was archived more than once, what was archived last.
_RECALLED = """
SELECT
    row_number() OVER (ORDER BY volume, path) AS rank,
    archive_volume AS volume,
    archive_path AS path,
    volume AS target_volume,
    path AS target_path,
    'archived by job ' || job AS reason,
    sha256,
    of_copy AS expected
FROM taken
WHERE archive_path IS NOT NULL AND {condition}
QUALIFY row_number() OVER (PARTITION BY volume, path ORDER BY taken_at DESC) = 1
"""

_NAMED = """
AND EXISTS (
    SELECT 1 FROM chosen AS c
    WHERE (c.volume = taken.volume AND c.path = taken.path) OR (c.volume = taken.archive_volume AND c.path = taken.archive_path)
)
"""


class Action(actions.Action):
    """Brings archived files back to their old paths."""

    NAME = "recall"
    NEEDS_DIGEST = True
    QUIET = False
    RETURNS = True
    STAGES = ("open", "copy", "verify", "publish")

    def intend(self, draft: "Draft") -> None:
        """What jobs took away with a copy, as the journal knows: all of it, or what a report lists at its old or its archived path."""
        from lifecycle import archived

        if draft.policy.report or draft.policy.data_class:
            draft.choose()
            archived.taken(draft.without_condition(), lambda job, record: True)
            draft.intend(_RECALLED.format(condition=f"TRUE {_NAMED}"))
        else:
            draft.intend(_RECALLED.format(condition=archived.taken(draft, lambda job, record: True)))
