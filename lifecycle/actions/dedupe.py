"""Dedupe: files of equal content on one file system share their blocks; every name, owner and time stays."""

from typing import TYPE_CHECKING

from lifecycle import actions, planning

if TYPE_CHECKING:
    from catalog.config import Policy
    from lifecycle.draft import Draft
    from lifecycle.stores import Capabilities

_DIFFERENT = """
SELECT i.id, 'other owner or mode than the file that is kept' AS detail
FROM intended AS i
INNER JOIN entries AS e ON i.volume = e.volume AND i.path = e.path
INNER JOIN entries AS k ON i.volume = k.volume AND i.kept_path = k.path
WHERE (e.uid, e.gid, e.mode) IS DISTINCT FROM (k.uid, k.gid, k.mode)
"""


class Action(actions.Action):
    """Lets equal files of one file system share their blocks."""

    NAME = "dedupe"
    REPORT = "duplicates"
    NEEDS_DIGEST = True
    TOUCHES = True
    FREES = True
    STAGES = ("open", "share")

    def intend(self, draft: "Draft") -> None:
        """Of the chosen files of one content, volume and file system the oldest is kept; the others share its blocks."""
        draft.choose()
        draft.intend(planning.sql("shared"))
        if draft.policy.hard_links:  # a link has one owner and one mode
            draft.refuse("not_supported", _DIFFERENT)

    def lacks(self, capabilities: "Capabilities", policy: "Policy") -> str | None:
        """Blocks that can be shared, or clones or, where the policy wants them, hard links that can take the place of a file."""
        if capabilities.dedupe or (capabilities.exchange and (capabilities.reflink or (policy.hard_links and capabilities.hard_links))):
            return None
        return "its file system cannot share blocks, and the policy does not ask for hard links"
