/*
title = "Dormant copies"
question = "Which files has nobody used for long, what do they cost, and what else holds their content?"
table = ["volume", "path", "size_bytes", "dormant_days", "other_copies", "is_last_copy", "differs", "status", "cost_per_month"]

[params.days]
default = 365
least = 0
help = "days without use before the volume's scan; a file with no trustworthy time is never listed"

[columns]
volume = "where the file lies"
path = "its path in the volume, escaped"
size_bytes = { meaning = "its size", unit = "bytes" }
dormant_days = { meaning = "whole days from its last use to the start of the volume's scan", unit = "days" }
clock = "the time that tells the last use: accessed or modified"
last_active_at = { meaning = "its last use by that clock", unit = "UTC" }
role = "what the volume is for: primary, replica, backup, archive"
other_copies = { meaning = "other files and volumes that hold the content", unit = "count" }
is_last_copy = "whether nothing else is known to hold the content"
status = "the protection of the asset; of a copy that of its worst asset; null of an orphan"
cost_per_month = { meaning = "what its space costs, on the first name of a hard-linked file; null where no price is declared", unit = "money" }
data_class = "the class whose requirement it must meet"
owner = "the owner that a label names, else that of the storage"
counted_bytes = { meaning = "its size on the first name of a hard-linked file, else 0; sums use it", unit = "bytes" }
differs = "conflict where its counterpart on another volume has equal size and time and other content, older where that is another version; null = neither"
*/
WITH apart AS (
    SELECT
        volume,
        entry_id,
        min(match) AS differs
    FROM (
        SELECT
            volume,
            entry_id,
            match
        FROM copies
        WHERE match IN ('conflict', 'older')
        UNION ALL
        SELECT
            copy_volume AS volume,
            copy_entry_id AS entry_id,
            match
        FROM copies
        WHERE match IN ('conflict', 'older')
    ) AS counterparts
    GROUP BY volume, entry_id
),

idle AS (
    SELECT
        files.volume,
        files.path,
        files.size_bytes,
        files.counted_bytes,
        files.clock,
        files.last_active_at,
        files.role,
        files.other_copies,
        files.is_last_copy,
        apart.differs,
        files.status,
        files.data_class,
        files.owner,
        volumes.cost_per_tib_month,
        -- Whole days: midnights between the two, less one where the time of day was not reached again.
        date_diff('day', files.last_active_at, volumes.scanned_at)
        - CASE
            WHEN volumes.scanned_at - date_trunc('day', volumes.scanned_at) < files.last_active_at - date_trunc('day', files.last_active_at) THEN 1
            ELSE 0
        END AS dormant_days,
        CASE WHEN files.counted_bytes > 0 THEN coalesce(files.allocated_bytes, files.size_bytes) ELSE 0 END AS paid_bytes
    FROM files
    INNER JOIN volumes ON files.volume = volumes.volume
    LEFT JOIN apart ON files.volume = apart.volume AND files.entry_id = apart.entry_id
    WHERE
        NOT files.carried
        AND files.last_active_at <= volumes.scanned_at - $days * INTERVAL '1' DAY -- says what dormant_days >= $days says, before anything is computed
)

SELECT
    volume,
    path,
    size_bytes,
    dormant_days,
    clock,
    last_active_at,
    role,
    other_copies,
    is_last_copy,
    status,
    paid_bytes * cost_per_tib_month / 1099511627776.0 AS cost_per_month,
    data_class,
    owner,
    counted_bytes,
    differs
FROM idle
WHERE dormant_days >= $days
ORDER BY
    size_bytes DESC,
    volume ASC,
    path ASC,
    last_active_at DESC,
    counted_bytes DESC,
    other_copies DESC,
    is_last_copy ASC,
    differs ASC NULLS FIRST,
    status ASC NULLS FIRST
