/*
title = "Expiring copies"
question = "Of which assets and orphans do all the copies that are known end soon, and by what?"
table = ["days_left", "why", "what", "volume", "path", "size_bytes", "copy_volume", "held_at", "status"]

[params.days]
default = 30
least = 0
help = "days from the snapshot within which a copy ends"

[columns]
volume = "the volume that holds the asset; of an orphan the one that still holds it"
path = "its path there, escaped"
what = "asset, or orphan: then the copy is the last that is known of it"
size_bytes = { meaning = "its size", unit = "bytes" }
counted_bytes = { meaning = "its size on the first name of a hard-linked file, else 0; sums use it", unit = "bytes" }
copy_volume = "the volume whose copy ends"
copy_path = "its path there, escaped"
why = "left_newest = the newest recovery point does not hold it any more, backup_stopped = the newest itself is that old, lock_ends = the last known lock on its copies, none of which is offline"
days_left = { meaning = "whole days that are left to it; below zero: it may be gone by now; null = nothing tells how long versions are kept", unit = "days" }
held_at = { meaning = "begin of the newest recovery point that holds it; null where a lock ends", unit = "UTC" }
kept_days = { meaning = "how long its volume keeps versions, as declared; null = not declared", unit = "days" }
locked_until_at = { meaning = "the end of the lock; null where it is no lock", unit = "UTC" }
files = { meaning = "files of the copy's volume that hold the content: other versions may be kept for longer", unit = "files" }
status = "protected, partly, unprotected, unknown or excepted; null = an orphan"
data_class = "the class whose requirement it must meet"
owner = "the owner that a label names, else that of the storage"
*/
WITH points AS (
    SELECT
        recovery_points.volume,
        recovery_points.recovery_point,
        recovery_points.started_at,
        floor(volumes.keeps_versions_days) AS kept_days,
        row_number() OVER (
            PARTITION BY recovery_points.volume, recovery_points.host, recovery_points.paths
            ORDER BY recovery_points.started_at DESC, recovery_points.recovery_point DESC
        ) = 1 AS is_newest,
        date_diff('day', recovery_points.started_at, snapshot.as_of)
        + CASE
            WHEN
                snapshot.as_of - date_trunc('day', snapshot.as_of)
                > recovery_points.started_at - date_trunc('day', recovery_points.started_at)
                THEN 1
            ELSE 0
        END AS begun_days
    FROM recovery_points
    INNER JOIN volumes ON recovery_points.volume = volumes.volume
    CROSS JOIN snapshot
),

ending_points AS (
    SELECT
        volume,
        recovery_point,
        started_at,
        kept_days,
        CASE WHEN is_newest THEN 'backup_stopped' ELSE 'left_newest' END AS why,
        CAST(kept_days AS BIGINT) - begun_days AS days_left
    FROM points
    WHERE CAST(kept_days AS BIGINT) - begun_days <= $days OR (kept_days IS NULL AND NOT is_newest)
),

versions AS (
    SELECT
        entries.volume,
        entries.entry_id,
        ending_points.started_at,
        ending_points.kept_days,
        ending_points.why,
        ending_points.days_left
    FROM entries
    INNER JOIN ending_points ON entries.volume = ending_points.volume AND entries.last_recovery_point = ending_points.recovery_point
),

locks AS (
    SELECT
        volumes.volume,
        volumes.immutable_until,
        date_diff('day', snapshot.as_of, volumes.immutable_until) AS days_left
    FROM volumes
    CROSS JOIN snapshot
    WHERE
        volumes.immutability IN ('governance', 'compliance')
        AND coalesce(volumes.access, '') <> 'offline'
        AND date_diff('day', snapshot.as_of, volumes.immutable_until) <= $days
),

-- Where a copy is out of reach beyond that time, as far as is declared.
lasting AS (
    SELECT volumes.volume
    FROM volumes
    LEFT JOIN locks ON volumes.volume = locks.volume
    WHERE
        locks.volume IS NULL
        AND (
            volumes.access = 'offline'
            OR volumes.immutability = 'append_only'
            OR (volumes.immutability IN ('governance', 'compliance') AND volumes.immutable_until IS NOT NULL)
        )
),

held AS (
    SELECT
        copies.volume,
        copies.entry_id,
        copies.copy_volume,
        copies.copy_entry_id,
        concat(copies.copy_dir, copies.copy_name) AS copy_path,
        copies.files
    FROM copies
    WHERE copies.is_current AND copies.usable <> 'no'
),

ending AS (
    SELECT
        held.volume,
        held.entry_id,
        held.copy_volume,
        held.copy_path,
        held.files,
        versions.why,
        versions.days_left,
        versions.started_at AS held_at,
        versions.kept_days,
        CAST(NULL AS TIMESTAMP) AS locked_until_at
    FROM held
    INNER JOIN versions ON held.copy_volume = versions.volume AND held.copy_entry_id = versions.entry_id
    UNION ALL
    SELECT
        held.volume,
        held.entry_id,
        held.copy_volume,
        held.copy_path,
        held.files,
        'lock_ends' AS why,
        locks.days_left,
        CAST(NULL AS TIMESTAMP) AS held_at,
        CAST(NULL AS DOUBLE) AS kept_days,
        locks.immutable_until AS locked_until_at
    FROM held
    INNER JOIN locks ON held.copy_volume = locks.volume
),

-- Copies of the same assets that do not end: then theirs are not all.
kept AS (
    SELECT DISTINCT
        ending.volume,
        ending.entry_id,
        ending.why = 'lock_ends' AS of_lock
    FROM ending
    INNER JOIN held ON ending.volume = held.volume AND ending.entry_id = held.entry_id
    LEFT JOIN versions ON held.copy_volume = versions.volume AND held.copy_entry_id = versions.entry_id
    LEFT JOIN lasting ON held.copy_volume = lasting.volume
    WHERE CASE WHEN ending.why = 'lock_ends' THEN lasting.volume IS NOT NULL ELSE versions.volume IS NULL END
),

found AS (
    SELECT
        'asset' AS what,
        ending.volume,
        ending.entry_id,
        ending.copy_volume,
        ending.copy_path,
        ending.files,
        ending.why,
        ending.days_left,
        ending.held_at,
        ending.kept_days,
        ending.locked_until_at
    FROM ending
    LEFT JOIN kept ON ending.volume = kept.volume AND ending.entry_id = kept.entry_id AND (ending.why = 'lock_ends') = kept.of_lock
    LEFT JOIN elsewhere ON ending.volume = elsewhere.volume AND ending.entry_id = elsewhere.entry_id
    WHERE kept.volume IS NULL AND elsewhere.volume IS NULL
    UNION ALL
    SELECT
        'orphan' AS what,
        orphans.volume,
        orphans.entry_id,
        orphans.volume AS copy_volume,
        orphans.path AS copy_path,
        1 AS files,
        versions.why,
        versions.days_left,
        versions.started_at AS held_at,
        versions.kept_days,
        CAST(NULL AS TIMESTAMP) AS locked_until_at
    FROM orphans
    INNER JOIN versions ON orphans.volume = versions.volume AND orphans.entry_id = versions.entry_id
    UNION ALL
    SELECT
        'orphan' AS what,
        orphans.volume,
        orphans.entry_id,
        orphans.volume AS copy_volume,
        orphans.path AS copy_path,
        1 AS files,
        'lock_ends' AS why,
        locks.days_left,
        CAST(NULL AS TIMESTAMP) AS held_at,
        CAST(NULL AS DOUBLE) AS kept_days,
        locks.immutable_until AS locked_until_at
    FROM orphans
    INNER JOIN locks ON orphans.volume = locks.volume
)

SELECT
    found.volume,
    files.path,
    found.what,
    files.size_bytes,
    files.counted_bytes,
    found.copy_volume,
    found.copy_path,
    found.why,
    found.days_left,
    found.held_at,
    found.kept_days,
    found.locked_until_at,
    found.files,
    CASE WHEN found.what = 'asset' THEN files.status END AS status,
    files.data_class,
    files.owner
FROM found
INNER JOIN files ON found.volume = files.volume AND found.entry_id = files.entry_id
WHERE found.what = 'asset' OR files.is_last_copy
ORDER BY
    days_left ASC,
    volume ASC,
    path ASC,
    what ASC,
    copy_volume ASC,
    copy_path ASC,
    why ASC,
    held_at ASC
