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
why = "left_newest = the newest recovery point does not hold it any more, backup_stopped = the newest itself goes, and none came after it for more than twice the usual gap, a day and the class's max_copy_age; or it may be gone by now, lock_ends = the last known lock on its copies, none of which is offline"
days_left = { meaning = "whole days that are left to it; below zero: it may be gone by now; null = nothing tells how long versions are kept", unit = "days" }
held_at = { meaning = "begin of the newest recovery point that holds it; null where a lock ends", unit = "UTC" }
kept_days = { meaning = "how long its volume keeps versions, as declared; null = not declared", unit = "days" }
locked_until_at = { meaning = "the end of the lock; null where it is no lock", unit = "UTC" }
files = { meaning = "files of the copy's volume that hold the content: other versions may be kept for longer", unit = "files" }
status = "protected, partly, unprotected, unknown or excepted; null = an orphan"
data_class = "the class whose requirement it must meet"
owner = "the owner that a label names, else that of the storage"
*/
WITH placed AS (
    SELECT
        recovery_points.volume,
        recovery_points.host,
        recovery_points.paths,
        recovery_points.recovery_point,
        recovery_points.started_at,
        floor(volumes.keeps_versions_days) AS kept_days,
        snapshot.as_of,
        row_number() OVER (
            PARTITION BY recovery_points.volume, recovery_points.host, recovery_points.paths
            ORDER BY recovery_points.started_at DESC, recovery_points.recovery_point DESC
        ) AS place,
        lead(recovery_points.started_at) OVER (
            PARTITION BY recovery_points.volume, recovery_points.host, recovery_points.paths
            ORDER BY recovery_points.started_at DESC, recovery_points.recovery_point DESC
        ) AS before_at
    FROM recovery_points
    INNER JOIN volumes ON recovery_points.volume = volumes.volume
    CROSS JOIN snapshot
),

timed AS (
    SELECT
        volume,
        host,
        paths,
        recovery_point,
        started_at,
        kept_days,
        place = 1 AS is_newest,
        place <= 5 AND before_at IS NOT NULL AS is_late_gap,
        date_diff('day', before_at, started_at) * 1440
        + (extract(HOUR FROM started_at) - extract(HOUR FROM before_at)) * 60
        + extract(MINUTE FROM started_at)
        - extract(MINUTE FROM before_at) AS gap_minutes,
        date_diff('day', started_at, as_of) * 1440
        + (extract(HOUR FROM as_of) - extract(HOUR FROM started_at)) * 60
        + extract(MINUTE FROM as_of)
        - extract(MINUTE FROM started_at) AS age_minutes,
        date_diff('day', started_at, as_of)
        + CASE WHEN as_of - date_trunc('day', as_of) > started_at - date_trunc('day', started_at) THEN 1 ELSE 0 END AS begun_days
    FROM placed
),

ranked AS (
    SELECT
        volume,
        host,
        paths,
        recovery_point,
        started_at,
        kept_days,
        is_newest,
        is_late_gap,
        gap_minutes,
        age_minutes,
        begun_days,
        row_number() OVER (PARTITION BY volume, host, paths, is_late_gap ORDER BY gap_minutes ASC) AS gap_place,
        count(*) OVER (PARTITION BY volume, host, paths, is_late_gap) AS gaps
    FROM timed
),

-- The usual gap is the median of the last five: retention thins out what is older.
points AS (
    SELECT
        volume,
        recovery_point,
        started_at,
        kept_days,
        is_newest,
        age_minutes,
        CAST(kept_days AS BIGINT) - begun_days AS days_left,
        min(CASE WHEN is_late_gap AND gap_place * 2 >= gaps THEN gap_minutes END) OVER (PARTITION BY volume, host, paths) AS usual_minutes
    FROM ranked
),

ending_points AS (
    SELECT
        volume,
        recovery_point,
        started_at,
        kept_days,
        CASE WHEN is_newest THEN 'backup_stopped' ELSE 'left_newest' END AS why,
        days_left,
        -- What the class may allow to be older; null where it has no say.
        CASE WHEN is_newest AND days_left >= 0 THEN age_minutes END AS allowed_minutes
    FROM points
    WHERE
        CASE
            WHEN NOT is_newest THEN kept_days IS NULL OR days_left <= $days
            WHEN days_left < 0 THEN TRUE
            WHEN usual_minutes IS NULL THEN days_left <= $days AND age_minutes >= least(8 * 1440, kept_days * 720)
            ELSE days_left <= $days AND age_minutes > greatest(usual_minutes * 2, 1440)
        END
),

versions AS (
    SELECT
        entries.volume,
        entries.entry_id,
        ending_points.started_at,
        ending_points.kept_days,
        ending_points.why,
        ending_points.days_left,
        ending_points.allowed_minutes
    FROM entries
    INNER JOIN ending_points ON entries.volume = ending_points.volume AND entries.last_recovery_point = ending_points.recovery_point
),

held AS (
    SELECT
        copies.volume,
        copies.entry_id,
        copies.copy_volume,
        copies.copy_entry_id,
        concat(copies.copy_dir, copies.copy_name) AS copy_path,
        copies.files,
        copies.lock_mode,
        copies.locked_until
    FROM copies
    WHERE copies.is_current AND copies.usable <> 'no'
),

-- Of each copy, and each orphan, the lock that its object tells of, else that which is declared.
lockable AS (
    SELECT
        'asset' AS what,
        volume,
        entry_id,
        copy_volume,
        lock_mode,
        locked_until
    FROM held
    UNION ALL
    SELECT
        'orphan' AS what,
        orphans.volume,
        orphans.entry_id,
        orphans.volume AS copy_volume,
        CASE WHEN entries.legal_hold THEN 'hold' ELSE entries.lock_mode END AS lock_mode,
        entries.retain_until AS locked_until
    FROM orphans
    INNER JOIN entries ON orphans.volume = entries.volume AND orphans.entry_id = entries.entry_id
),

timed_locks AS (
    SELECT
        told.what,
        told.volume,
        told.entry_id,
        told.copy_volume,
        told.lasts,
        told.locked_until_at,
        date_diff('day', snapshot.as_of, told.locked_until_at)
        - CASE
            WHEN told.locked_until_at - date_trunc('day', told.locked_until_at) < snapshot.as_of - date_trunc('day', snapshot.as_of) THEN 1
            ELSE 0
        END AS days_left
    FROM (
        SELECT
            lockable.what,
            lockable.volume,
            lockable.entry_id,
            lockable.copy_volume,
            coalesce(volumes.access = 'offline', FALSE)
            OR coalesce(volumes.immutability = 'append_only', FALSE)
            OR coalesce(lockable.lock_mode = 'hold', FALSE) AS lasts,
            CASE
                WHEN lockable.lock_mode IN ('governance', 'compliance') THEN lockable.locked_until
                WHEN lockable.lock_mode IS NULL AND volumes.immutability IN ('governance', 'compliance') THEN volumes.immutable_until
            END AS locked_until_at
        FROM lockable
        INNER JOIN volumes ON lockable.copy_volume = volumes.volume
    ) AS told
    CROSS JOIN snapshot
),

locks AS (
    SELECT
        what,
        volume,
        entry_id,
        copy_volume,
        locked_until_at,
        days_left
    FROM timed_locks
    WHERE days_left <= $days AND NOT lasts
),

-- Where a copy is out of reach beyond that time, as far as is known or declared.
lasting AS (
    SELECT DISTINCT
        volume,
        entry_id
    FROM timed_locks
    WHERE what = 'asset' AND (lasts OR days_left > $days)
),

ending AS (
    SELECT
        held.volume,
        held.entry_id,
        held.copy_volume,
        held.copy_entry_id,
        held.copy_path,
        held.files,
        versions.why,
        versions.days_left,
        versions.started_at AS held_at,
        versions.kept_days,
        CAST(NULL AS TIMESTAMP) AS locked_until_at
    FROM held
    INNER JOIN versions ON held.copy_volume = versions.volume AND held.copy_entry_id = versions.entry_id
    INNER JOIN files ON held.volume = files.volume AND held.entry_id = files.entry_id
    INNER JOIN classes ON files.data_class = classes.data_class
    WHERE coalesce(versions.allowed_minutes > classes.max_copy_age_days * 1440, TRUE)
    UNION ALL
    SELECT
        held.volume,
        held.entry_id,
        held.copy_volume,
        held.copy_entry_id,
        held.copy_path,
        held.files,
        'lock_ends' AS why,
        locks.days_left,
        CAST(NULL AS TIMESTAMP) AS held_at,
        CAST(NULL AS DOUBLE) AS kept_days,
        locks.locked_until_at
    FROM held
    INNER JOIN locks ON held.volume = locks.volume AND held.entry_id = locks.entry_id AND held.copy_volume = locks.copy_volume AND locks.what = 'asset'
),

-- Copies of the same assets that do not end: then theirs are not all.
kept AS (
    SELECT DISTINCT
        ending.volume,
        ending.entry_id,
        ending.why = 'lock_ends' AS of_lock
    FROM ending
    INNER JOIN held ON ending.volume = held.volume AND ending.entry_id = held.entry_id
    LEFT JOIN ending AS versioned
        ON
            held.volume = versioned.volume
            AND held.entry_id = versioned.entry_id
            AND held.copy_volume = versioned.copy_volume
            AND held.copy_entry_id = versioned.copy_entry_id
            AND versioned.why <> 'lock_ends'
    LEFT JOIN lasting ON held.volume = lasting.volume AND held.entry_id = lasting.entry_id
    WHERE CASE WHEN ending.why = 'lock_ends' THEN lasting.volume IS NOT NULL ELSE versioned.volume IS NULL END
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
    INNER JOIN files ON orphans.volume = files.volume AND orphans.entry_id = files.entry_id
    INNER JOIN classes ON files.data_class = classes.data_class
    WHERE coalesce(versions.allowed_minutes > classes.max_copy_age_days * 1440, TRUE)
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
        locks.locked_until_at
    FROM orphans
    INNER JOIN locks ON orphans.volume = locks.volume AND orphans.entry_id = locks.entry_id AND locks.what = 'orphan'
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
