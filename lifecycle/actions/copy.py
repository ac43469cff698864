"""Copy: one more copy of a file on another volume, verified; the file stays."""

from typing import TYPE_CHECKING

from lifecycle import actions

if TYPE_CHECKING:
    from lifecycle.draft import Draft


class Action(actions.Action):
    """Adds a verified copy on another volume."""

    NAME = "copy"
    NEEDS_TARGET = True
    STAGES = ("open", "copy", "verify", "publish")

    def intend(self, draft: "Draft") -> None:
        """Each chosen file goes to the policy's target, under its own path."""
        draft.choose()
        draft.send_to_target()
