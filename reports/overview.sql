/*
title = "Overview"
question = "How much is stored, protected, kept once, unused and kept twice?"

[params.days]
default = 365
least = 0
help = "days without use before the volume's scan after which a file is dormant"

[columns]
name = "stored, assets, the five kinds of status of assets, last_copies, dormant, reclaimable"
files = { meaning = "files, each name counted", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
files_pct = { meaning = "their share of all assets, or of all files, rounded down; null without any", unit = "%" }
bytes_pct = { meaning = "the share of their bytes, rounded down; null without any", unit = "%" }
*/
WITH counted AS (
    SELECT
        files.is_asset,
        files.status,
        files.is_last_copy,
        coalesce(files.last_active_at <= volumes.scanned_at - $days * INTERVAL '1' DAY AND NOT files.carried, FALSE) AS is_dormant,
        count(*) AS files,
        sum(files.counted_bytes) AS bytes
    FROM files
    INNER JOIN volumes ON files.volume = volumes.volume
    GROUP BY 1, 2, 3, 4
),

kept_twice AS (
    SELECT
        digest,
        max(members) - 1 AS files,
        max(reclaimable_bytes) AS bytes
    FROM duplicate_groups
    WHERE scope = 'primary'
    GROUP BY digest
),

lines AS (
    SELECT
        1 AS position,
        'stored' AS name,
        FALSE AS of_assets,
        sum(files) AS files,
        sum(bytes) AS bytes
    FROM counted
    UNION ALL
    SELECT
        2 AS position,
        'assets' AS name,
        FALSE AS of_assets,
        sum(files) AS files,
        sum(bytes) AS bytes
    FROM counted
    WHERE is_asset
    UNION ALL
    SELECT
        statuses.position,
        statuses.name,
        TRUE AS of_assets,
        sum(counted.files) AS files,
        sum(counted.bytes) AS bytes
    FROM (
        SELECT
            3 AS position,
            'protected' AS name
        UNION ALL
        SELECT
            4 AS position,
            'partly' AS name
        UNION ALL
        SELECT
            5 AS position,
            'unprotected' AS name
        UNION ALL
        SELECT
            6 AS position,
            'unknown' AS name
        UNION ALL
        SELECT
            7 AS position,
            'excepted' AS name
    ) AS statuses
    LEFT JOIN counted ON statuses.name = counted.status AND counted.is_asset
    GROUP BY 1, 2
    UNION ALL
    SELECT
        8 AS position,
        'last_copies' AS name,
        FALSE AS of_assets,
        sum(files) AS files,
        sum(bytes) AS bytes
    FROM counted
    WHERE is_last_copy
    UNION ALL
    SELECT
        9 AS position,
        'dormant' AS name,
        FALSE AS of_assets,
        sum(files) AS files,
        sum(bytes) AS bytes
    FROM counted
    WHERE is_dormant
    UNION ALL
    SELECT
        10 AS position,
        'reclaimable' AS name,
        FALSE AS of_assets,
        sum(files) AS files,
        sum(bytes) AS bytes
    FROM kept_twice
),

wholes AS (
    SELECT
        sum(files) AS files,
        sum(bytes) AS bytes,
        coalesce(sum(files) FILTER (WHERE is_asset), 0) AS asset_files,
        coalesce(sum(bytes) FILTER (WHERE is_asset), 0) AS asset_bytes
    FROM counted
),

shares AS (
    SELECT
        lines.position,
        lines.name,
        coalesce(lines.files, 0) AS files,
        coalesce(lines.bytes, 0) AS bytes,
        CASE WHEN lines.of_assets THEN wholes.asset_files ELSE wholes.files END AS of_files,
        CASE WHEN lines.of_assets THEN wholes.asset_bytes ELSE wholes.bytes END AS of_bytes
    FROM lines
    CROSS JOIN wholes
)

SELECT
    name,
    files,
    bytes,
    CASE WHEN of_files > 0 THEN (files * 1000 // of_files) / 10.0 END AS files_pct,
    CASE WHEN of_bytes > 0 THEN (bytes * 1000 // of_bytes) / 10.0 END AS bytes_pct
FROM shares
ORDER BY
    CASE
        WHEN name = 'stored' THEN 1
        WHEN name = 'assets' THEN 2
        WHEN name = 'protected' THEN 3
        WHEN name = 'partly' THEN 4
        WHEN name = 'unprotected' THEN 5
        WHEN name = 'unknown' THEN 6
        WHEN name = 'excepted' THEN 7
        WHEN name = 'last_copies' THEN 8
        WHEN name = 'dormant' THEN 9
        ELSE 10
    END ASC,
    name ASC
