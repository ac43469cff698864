/*
title = "Overview"
question = "How much is stored, protected, known to be kept once, unused and kept twice?"

[params.days]
default = 365
least = 0
help = "days without use before the volume's scan after which a file is dormant"

[columns]
name = "stored, assets, the five kinds of status of assets; last_copies: files whose content nothing else is known to hold; last_copies_read: those of them that were ever read as they are there, by size and time of change: of others a copy that nobody read either may be there; dormant: on primary volumes, what could be moved; dormant_elsewhere: on other volumes, copies or not; reclaimable"
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
        coalesce(files.role = 'primary', FALSE) AS is_primary,
        coalesce(files.last_active_at <= volumes.scanned_at - $days * INTERVAL '1' DAY AND NOT files.carried, FALSE) AS is_dormant,
        count(*) AS files,
        sum(files.counted_bytes) AS bytes
    FROM files
    INNER JOIN volumes ON files.volume = volumes.volume
    GROUP BY 1, 2, 3, 4, 5
),

read_once AS (
    SELECT
        files.volume,
        files.entry_id,
        max(files.counted_bytes) AS bytes
    FROM files
    INNER JOIN digests
        ON
            files.volume = digests.volume
            AND files.dir = digests.dir
            AND files.name = digests.name
            AND files.size_bytes = digests.size_bytes
            AND files.modified_at = digests.modified_at
    WHERE files.is_last_copy AND digests.digest IS NOT NULL
    GROUP BY 1, 2
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
        'last_copies_read' AS name,
        FALSE AS of_assets,
        count(*) AS files,
        sum(bytes) AS bytes
    FROM read_once
    UNION ALL
    SELECT
        10 AS position,
        'dormant' AS name,
        FALSE AS of_assets,
        sum(files) AS files,
        sum(bytes) AS bytes
    FROM counted
    WHERE is_dormant AND is_primary
    UNION ALL
    SELECT
        11 AS position,
        'dormant_elsewhere' AS name,
        FALSE AS of_assets,
        sum(files) AS files,
        sum(bytes) AS bytes
    FROM counted
    WHERE is_dormant AND NOT is_primary
    UNION ALL
    SELECT
        12 AS position,
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
        WHEN name = 'last_copies_read' THEN 9
        WHEN name = 'dormant' THEN 10
        WHEN name = 'dormant_elsewhere' THEN 11
        ELSE 12
    END ASC,
    name ASC
