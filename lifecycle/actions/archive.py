"""Archive: a file moves to another volume, verified; it rests in quarantine before it is purged."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifecycle.draft import Draft


class Action:
    """Moves a file to another volume; it rests in quarantine for the grace time."""

    NAME = "archive"
    NEEDS_TARGET = True
    REMOVES = True
    TOUCHES = True
    REREADS = False
    QUIET = True
    REPORT = "dormant-copies"
    STAGES = ("open", "copy", "verify", "publish", "guard", "check", "retire")

    def intend(self, draft: "Draft") -> None:
        """Each chosen file goes to the policy's target, under its own path."""
        draft.choose()
        draft.send_to_target()
