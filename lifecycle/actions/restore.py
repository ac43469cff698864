"""Restore: a file comes back to a chosen place, on a volume or in a folder outside of all, from itself or from any copy that is known to have its content."""

from typing import TYPE_CHECKING

from lifecycle import actions, folders

if TYPE_CHECKING:
    from lifecycle.draft import Draft

# The file itself first; then its copies, those known best and read last before the others.
_CHOICES = """
SELECT rank, 0 AS choice, volume, path, reason, $to AS target_volume, $folder || path AS target_path FROM chosen
UNION ALL BY NAME
SELECT
    c.rank,
    row_number() OVER (PARTITION BY c.rank ORDER BY k.verification_level DESC, k.verified_at DESC, k.copy_volume ASC) AS choice,
    k.copy_volume AS volume,
    k.copy_dir || k.copy_name AS path,
    c.reason || ', from its copy' AS reason,
    $to AS target_volume,
    $folder || c.path AS target_path
FROM chosen AS c
INNER JOIN copies AS k ON c.volume = k.volume AND c.path = k.path
WHERE k.match = 'content' AND k.size_bytes > 0
"""


class Action(actions.Action):
    """Brings a file to a chosen place, from itself or from a copy with the same content."""

    NAME = "restore"
    REPORT = "assets"
    NEEDS_TARGET = True
    QUIET = False
    STAGES = ("open", "copy", "verify", "publish")

    def intend(self, draft: "Draft") -> None:
        """Each chosen file goes to the policy's volume or folder, under its own path; where it is not as the scan saw it, a copy of it goes."""
        if draft.policy.to_folder is not None:
            folders.refuse_unfit(draft.config, draft.root, draft.policy.to_folder)
        draft.choose()
        draft.intend(_CHOICES, to=draft.target, folder=draft.folder)
        draft.prefer_originals()
