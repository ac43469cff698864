"""Restore: a file comes back to a chosen place, on a volume or in a folder outside of all, from itself or from any file that is known to have its content."""

from typing import TYPE_CHECKING

from catalog.fingerprints import OF_ENTRY
from lifecycle import actions, folders, planning, stores

if TYPE_CHECKING:
    from lifecycle.draft import Draft

# The file itself, to learn its content.
_THEMSELVES = "SELECT rank, volume, path FROM chosen"

# The file itself first; then its copies, those known best and read last before the others; then any other file that was read and had its content,
# also one that may not count as a copy, at most eight. Each of them carries the content of the file itself: a copy may be a version that its key
# shows no more, so what lies at its path proves nothing. Where the file was not read by its own volume, the version that was found equal to it tells.
# Of several versions in a backup nobody knows which one is meant: no other file stands for them.
_CHOICES = f"""
WITH themselves AS (
    SELECT
        rank,
        volume,
        path,
        any_value(sha256) AS sha256
    FROM sources
    GROUP BY rank, volume, path
    HAVING count(DISTINCT sha256) = 1
),

equals AS (
    SELECT
        c.rank,
        s.sha256,
        k.copy_volume,
        k.copy_entry_id,
        k.copy_dir,
        k.copy_name,
        k.verification_level,
        k.verified_at
    FROM chosen AS c
    INNER JOIN copies AS k ON c.volume = k.volume AND c.path = k.path
    LEFT JOIN themselves AS s ON c.rank = s.rank
    WHERE k.match = 'content' AND k.size_bytes > 0
),

told AS (
    SELECT
        q.rank,
        q.copy_volume,
        arg_max(d.digest, d.digested_at) AS sha256
    FROM equals AS q
    INNER JOIN entries AS e ON q.copy_volume = e.volume AND q.copy_entry_id = e.entry_id
    INNER JOIN digests AS d
        ON {OF_ENTRY}
    WHERE q.sha256 IS NULL AND d.digest IS NOT NULL
    GROUP BY q.rank, q.copy_volume
),

found AS (
    SELECT
        q.rank,
        0 AS other,
        q.verification_level AS level,
        q.verified_at,
        q.copy_volume AS volume,
        q.copy_dir || q.copy_name AS path,
        coalesce(q.sha256, t.sha256) AS sha256,
        1 AS place
    FROM equals AS q
    LEFT JOIN told AS t ON q.rank = t.rank AND q.copy_volume = t.copy_volume
    UNION ALL BY NAME
    SELECT
        h.rank,
        1 AS other,
        NULL AS level,
        h.holder.verified_at AS verified_at,
        h.holder.volume AS volume,
        h.holder.path AS path,
        h.sha256,
        row_number() OVER (PARTITION BY h.rank, h.holder.volume ORDER BY h.holder.verified_at DESC, h.holder.path ASC) AS place
    FROM (
        SELECT s.rank, s.volume, s.path, s.sha256, unnest(w.holders) AS holder
        FROM themselves AS s
        INNER JOIN holders AS w ON s.sha256 = w.sha256
    ) AS h
    LEFT JOIN copies AS k ON h.volume = k.volume AND h.path = k.path AND h.holder.volume = k.copy_volume AND h.holder.path = k.copy_dir || k.copy_name
    WHERE NOT (h.holder.volume = h.volume AND h.holder.path = h.path) AND (k.match IS NULL OR k.match <> 'content')
),

ordered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY rank ORDER BY other ASC, place ASC, level DESC, verified_at DESC, volume ASC) AS choice,
        row_number() OVER (PARTITION BY rank, other ORDER BY place ASC, verified_at DESC, volume ASC) AS of_its_kind
    FROM found
)

SELECT rank, 0 AS choice, volume, path, reason, $to AS target_volume, $folder || path AS target_path FROM chosen
UNION ALL BY NAME
SELECT
    c.rank,
    o.choice,
    o.volume,
    o.path,
    c.reason || CASE o.other WHEN 0 THEN ', from its copy' ELSE ', from another file with its content' END AS reason,
    o.sha256,
    $to AS target_volume,
    $folder || c.path AS target_path
FROM chosen AS c
INNER JOIN ordered AS o ON c.rank = o.rank
WHERE o.other = 0 OR o.of_its_kind <= 8
"""


class Action(actions.Action):
    """Brings a file to a chosen place, from itself or from a file with the same content."""

    NAME = "restore"
    REPORT = "assets"
    NEEDS_TARGET = True
    QUIET = False
    STAGES = ("open", "copy", "verify", "publish")

    def intend(self, draft: "Draft") -> None:
        """Each chosen file goes to the policy's volume or folder, under its own path; where it is not as the scan saw it, another with its content goes."""
        if draft.policy.to_folder is not None:
            folders.refuse_unfit(draft.config, draft.root, draft.policy.to_folder)
        draft.choose()
        draft.intend(_THEMSELVES)
        draft.make("sources", planning.sql("sources"))
        draft.make("holders", planning.sql("holders"), workable=stores.workable(draft.config))
        draft.intend(_CHOICES, to=draft.target, folder=draft.folder)
        draft.prefer_originals()
