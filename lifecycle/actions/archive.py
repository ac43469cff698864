"""Archive: a file moves to another volume, verified; it rests in quarantine before it is purged."""

from typing import TYPE_CHECKING

from catalog.errors import ConfigError
from lifecycle import actions

if TYPE_CHECKING:
    from lifecycle.draft import Draft


class Action(actions.Action):
    """Moves a file to another volume; it rests in quarantine for the grace time."""

    NAME = "archive"
    REPORT = "dormant-copies"
    NEEDS_TARGET = True
    REMOVES = True
    TOUCHES = True
    STAGES = ("open", "copy", "verify", "publish", "guard", "check", "retire")

    def intend(self, draft: "Draft") -> None:
        """Each chosen file goes to the policy's target, under its own path; from a replica only where the policy names it."""
        _refuse_link(draft)
        draft.choose()
        draft.send_to_target()
        draft.spare_replicas()


def _refuse_link(draft: "Draft") -> None:
    """Raises ConfigError for links that would lead nowhere."""
    to = draft.policy.to
    if draft.policy.leave == "symlink" and to in draft.config.volumes and draft.config.root(to) is None:
        raise ConfigError(f"policy {draft.name}: leave = 'symlink': nothing on a host leads to a file of volume {to}, which is no file tree; leave a 'stub'")
