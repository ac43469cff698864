"""Delete: a redundant copy that nobody uses is taken away, if enough others stay; it rests in quarantine before it is purged."""

from typing import TYPE_CHECKING

from lifecycle import actions

if TYPE_CHECKING:
    from lifecycle.draft import Draft

_ORIGINALS = """
SELECT i.id, 'it is an asset of class ' || f.data_class AS detail
FROM intended AS i
INNER JOIN files AS f ON i.volume = f.volume AND i.path = f.path
WHERE f.is_asset
"""


class Action(actions.Action):
    """Takes a redundant copy away; it rests in quarantine for the grace time."""

    NAME = "delete"
    REPORT = "dormant-copies"
    NEEDS_DIGEST = True
    REMOVES = True
    TOUCHES = True
    STAGES = ("open", "guard", "check", "retire")

    def intend(self, draft: "Draft") -> None:
        """Each chosen file goes, but for assets: those are originals, and no copies; from a replica only where the policy names it."""
        draft.choose()
        draft.intend("SELECT * FROM chosen")
        draft.refuse("is_original", _ORIGINALS)
        draft.spare_replicas()
