/*
title = "Fixity"
question = "How well are the copies on each volume known to be what they should be, and since when?"
table = ["volume", "verification_level", "copies", "bytes", "current_copies", "usable_copies", "old_copies", "oldest_days"]

[params.days]
default = 90
least = 0
help = "days after which a verification counts as old"

[columns]
volume = "the volume that holds the copies"
verification_level = { meaning = "0 listed, 1 sizes consistent or attested, 2 read and digested, 3 equal to the source, 4 restored and compared; null = nothing known", unit = "level" }
copies = { meaning = "copies of assets known this well", unit = "files" }
bytes = { meaning = "their size", unit = "bytes" }
current_copies = { meaning = "copies among them that hold the asset's present content", unit = "files" }
usable_copies = { meaning = "copies among them that count as protection", unit = "files" }
old_copies = { meaning = "copies among them that were verified too long before the snapshot", unit = "files" }
oldest_verified_at = { meaning = "the oldest verification", unit = "UTC" }
newest_verified_at = { meaning = "the newest verification", unit = "UTC" }
oldest_days = { meaning = "whole days from the oldest verification to the snapshot", unit = "days" }
*/
WITH dated AS (
    SELECT
        copies.copy_volume,
        copies.verification_level,
        copies.is_current,
        copies.usable,
        copies.size_bytes,
        copies.verified_at,
        snapshot.as_of,
        date_diff('day', copies.verified_at, snapshot.as_of)
        - CASE
            WHEN snapshot.as_of - date_trunc('day', snapshot.as_of) < copies.verified_at - date_trunc('day', copies.verified_at) THEN 1
            ELSE 0
        END AS verified_days
    FROM copies
    CROSS JOIN snapshot
),

sums AS (
    SELECT
        copy_volume,
        verification_level,
        count(*) AS copies,
        sum(size_bytes) AS bytes,
        count(*) FILTER (WHERE is_current) AS current_copies,
        count(*) FILTER (WHERE usable = 'yes') AS usable_copies,
        count(*) FILTER (WHERE verified_days >= $days) AS old_copies,
        min(verified_at) AS oldest_verified_at,
        max(verified_at) AS newest_verified_at,
        max(verified_days) AS oldest_days
    FROM dated
    GROUP BY 1, 2
)

SELECT
    volumes.volume,
    sums.verification_level,
    coalesce(sums.copies, 0) AS copies,
    coalesce(sums.bytes, 0) AS bytes,
    coalesce(sums.current_copies, 0) AS current_copies,
    coalesce(sums.usable_copies, 0) AS usable_copies,
    coalesce(sums.old_copies, 0) AS old_copies,
    sums.oldest_verified_at,
    sums.newest_verified_at,
    sums.oldest_days
FROM volumes
LEFT JOIN sums ON volumes.volume = sums.copy_volume
WHERE volumes.role <> 'primary' OR sums.copy_volume IS NOT NULL
ORDER BY
    volume ASC,
    verification_level ASC NULLS LAST
