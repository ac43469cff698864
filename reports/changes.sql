/*
title = "Changes"
question = "What is new, gone, changed or newly unprotected since the earlier snapshot?"
table = ["newly_unprotected", "change", "volume", "path", "status_before", "status", "size_bytes_before", "size_bytes"]

[columns]
volume = "where the file lies or lay"
path = "its path in the volume, escaped"
change = "new, gone, changed, moved, or protection where only its status differs"
moved_from = "where a moved file lay; told by size and modification time that no other new or gone file of the volume has"
size_bytes = { meaning = "its size now; null = gone", unit = "bytes" }
size_bytes_before = { meaning = "its size before; null = new", unit = "bytes" }
modified_at = { meaning = "its last change; null = gone", unit = "UTC" }
status = "its protection now"
status_before = "its protection before"
newly_unprotected = "whether it is an asset that became unprotected, that met its requirement before and does not surely now, or whose last other copy is gone; no where it is protected, and no for a new file as long as its class lets it wait for its first copy"
data_class = "the class whose requirement it must meet"
owner = "the owner that a label names, else that of the storage"
*/
-- Where a volume keeps versions of a path, its newest one is compared.
WITH superseded AS (
    SELECT
        is_now,
        volume,
        entry_id
    FROM (
        SELECT
            seen.is_now,
            seen.volume,
            seen.entry_id,
            row_number() OVER (
                PARTITION BY seen.is_now, seen.volume, seen.dir, seen.name
                ORDER BY seen.modified_at DESC NULLS LAST, seen.size_bytes DESC NULLS LAST, seen.entry_id ASC
            ) AS place
        FROM (
            SELECT
                TRUE AS is_now,
                volume,
                entry_id,
                dir,
                name,
                size_bytes,
                modified_at
            FROM files
            UNION ALL
            SELECT
                FALSE AS is_now,
                volume,
                entry_id,
                dir,
                name,
                size_bytes,
                modified_at
            FROM files_before
        ) AS seen
        INNER JOIN (
            SELECT DISTINCT volume
            FROM entries
            WHERE last_recovery_point IS NOT NULL OR version_id IS NOT NULL
        ) AS versioned ON seen.volume = versioned.volume
    ) AS versions
    WHERE place > 1
),

now_rows AS (
    SELECT
        files.volume,
        files.dir,
        files.name,
        files.path,
        files.data_class,
        files.owner,
        files.size_bytes,
        files.modified_at,
        files.status,
        files.is_asset,
        files.is_last_copy,
        files.freshness,
        files.reasons
    FROM files
    LEFT JOIN superseded
        ON
            files.volume = superseded.volume
            AND files.entry_id = superseded.entry_id
            AND superseded.is_now
    WHERE superseded.volume IS NULL
),

once_rows AS (
    SELECT
        files_before.volume,
        files_before.dir,
        files_before.name,
        files_before.path,
        files_before.data_class,
        files_before.owner,
        files_before.size_bytes,
        files_before.modified_at,
        files_before.status,
        files_before.is_asset,
        files_before.is_last_copy,
        files_before.freshness,
        files_before.reasons
    FROM files_before
    LEFT JOIN superseded
        ON
            files_before.volume = superseded.volume
            AND files_before.entry_id = superseded.entry_id
            AND NOT superseded.is_now
    WHERE superseded.volume IS NULL
),

both_sides AS (
    SELECT
        coalesce(now_seen.volume, once_seen.volume) AS volume,
        concat(coalesce(now_seen.dir, once_seen.dir), coalesce(now_seen.name, once_seen.name)) AS path,
        now_seen.data_class,
        now_seen.owner,
        once_seen.dir AS dir_before,
        once_seen.name AS name_before,
        now_seen.size_bytes,
        once_seen.size_bytes AS size_bytes_before,
        now_seen.modified_at,
        once_seen.modified_at AS modified_at_before,
        now_seen.status,
        once_seen.status AS status_before,
        coalesce(now_seen.is_asset, FALSE) AS is_asset,
        coalesce(
            now_seen.is_asset AND now_seen.is_last_copy AND NOT once_seen.is_last_copy AND now_seen.status <> 'protected'
            -- What a later version waits for, within its copy age, is no loss; a conflict is.
            AND NOT (now_seen.freshness = 'stale_within_rpo' AND NOT contains(now_seen.reasons, 'conflict')),
            FALSE
        ) AS became_last_copy,
        coalesce(now_seen.freshness = 'new_within_rpo', FALSE) AS waits,
        coalesce(once_seen.freshness = 'new_within_rpo', FALSE) AS waited,
        CASE
            WHEN once_seen.volume IS NULL THEN 'new'
            WHEN now_seen.volume IS NULL THEN 'gone'
            WHEN (now_seen.size_bytes IS DISTINCT FROM once_seen.size_bytes) OR (now_seen.modified_at IS DISTINCT FROM once_seen.modified_at) THEN 'changed'
            ELSE 'protection'
        END AS change
    FROM now_rows AS now_seen
    FULL OUTER JOIN once_rows AS once_seen
        ON
            now_seen.volume = once_seen.volume
            AND now_seen.dir = once_seen.dir
            AND now_seen.name = once_seen.name
    WHERE
        once_seen.volume IS NULL
        OR now_seen.volume IS NULL
        OR now_seen.size_bytes IS DISTINCT FROM once_seen.size_bytes
        OR now_seen.modified_at IS DISTINCT FROM once_seen.modified_at
        OR now_seen.status IS DISTINCT FROM once_seen.status
        OR (now_seen.is_last_copy AND NOT once_seen.is_last_copy)
        OR (once_seen.freshness = 'new_within_rpo' AND now_seen.freshness <> 'new_within_rpo')
),

gone AS (
    SELECT
        once_rows.volume,
        once_rows.path,
        once_rows.data_class,
        once_rows.owner
    FROM once_rows
    INNER JOIN both_sides
        ON
            once_rows.volume = both_sides.volume
            AND once_rows.dir = both_sides.dir_before
            AND once_rows.name = both_sides.name_before
            AND both_sides.change = 'gone'
),

departures AS (
    SELECT
        volume,
        size_bytes_before AS moved_bytes,
        modified_at_before AS moved_at,
        max(path) AS path_before,
        max(status_before) AS status_before
    FROM both_sides
    WHERE change = 'gone' AND size_bytes_before > 0
    GROUP BY 1, 2, 3
    HAVING count(*) = 1
),

moves AS (
    SELECT
        departures.volume,
        departures.path_before,
        max(departures.status_before) AS status_before,
        max(both_sides.path) AS path_now
    FROM departures
    INNER JOIN both_sides
        ON
            departures.volume = both_sides.volume
            AND departures.moved_bytes = both_sides.size_bytes
            AND departures.moved_at = both_sides.modified_at
            AND both_sides.change = 'new'
    GROUP BY 1, 2
    HAVING count(*) = 1
)

SELECT
    both_sides.volume,
    both_sides.path,
    CASE WHEN arrived.path_now IS NOT NULL THEN 'moved' ELSE both_sides.change END AS change,
    arrived.path_before AS moved_from,
    both_sides.size_bytes,
    CASE WHEN arrived.path_now IS NOT NULL THEN both_sides.size_bytes ELSE both_sides.size_bytes_before END AS size_bytes_before,
    both_sides.modified_at,
    both_sides.status,
    coalesce(both_sides.status_before, arrived.status_before) AS status_before,
    both_sides.is_asset
    AND (
        (
            both_sides.status = 'unprotected'
            AND (both_sides.waited OR coalesce(both_sides.status_before, arrived.status_before, '') <> 'unprotected')
            AND NOT (both_sides.waits AND (both_sides.waited OR both_sides.change = 'new'))
        )
        OR (both_sides.status IN ('partly', 'unknown') AND coalesce(both_sides.status_before, arrived.status_before, '') IN ('protected', 'excepted'))
        OR both_sides.became_last_copy
    ) AS newly_unprotected,
    coalesce(both_sides.data_class, gone.data_class) AS data_class,
    coalesce(both_sides.owner, gone.owner) AS owner
FROM both_sides
LEFT JOIN gone ON both_sides.volume = gone.volume AND both_sides.path = gone.path AND both_sides.change = 'gone'
LEFT JOIN moves AS arrived
    ON both_sides.volume = arrived.volume AND both_sides.path = arrived.path_now AND both_sides.change = 'new'
LEFT JOIN moves AS departed
    ON both_sides.volume = departed.volume AND both_sides.path = departed.path_before AND both_sides.change = 'gone'
WHERE departed.path_before IS NULL
ORDER BY
    volume ASC,
    path ASC
