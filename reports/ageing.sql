/*
title = "Ageing"
question = "How long has the data of each volume not been used?"
table = ["volume", "age_from_days", "age_to_days", "files", "bytes", "bytes_pct", "unprotected_assets", "unprotected_bytes"]

[columns]
volume = "where the files lie"
age_from_days = { meaning = "last used at least so long before the scan; null = no trustworthy time", unit = "days" }
age_to_days = { meaning = "and less than so long; null = no bound", unit = "days" }
files = { meaning = "files of this age, hard links once", unit = "files" }
bytes = { meaning = "their size", unit = "bytes" }
bytes_pct = { meaning = "their share of the volume's bytes, rounded down; null without bytes", unit = "%" }
unprotected_assets = { meaning = "assets among them that nothing protects", unit = "files" }
unprotected_bytes = { meaning = "their size", unit = "bytes" }
unknown_assets = { meaning = "assets among them whose protection is unknown", unit = "files" }
*/
WITH ages AS (
    SELECT
        volume,
        files,
        bytes,
        unprotected_assets,
        unprotected_bytes,
        unknown_assets,
        TRY_CAST("key" AS BIGINT) AS age_from_days, -- an engine may cast other keys, too, before it leaves them out
        sum(bytes) OVER (PARTITION BY volume) AS volume_bytes
    FROM rollup
    WHERE "by" = 'age'
),

bounds AS (
    SELECT
        age_from_days,
        lead(age_from_days) OVER (ORDER BY age_from_days) AS age_to_days
    FROM (
        SELECT DISTINCT age_from_days FROM ages
        WHERE age_from_days IS NOT NULL
    ) AS known
)

SELECT
    ages.volume,
    ages.age_from_days,
    bounds.age_to_days,
    ages.files,
    ages.bytes,
    CASE WHEN ages.volume_bytes > 0 THEN (CAST(ages.bytes AS HUGEINT) * 1000 // ages.volume_bytes) / 10.0 END AS bytes_pct,
    ages.unprotected_assets,
    ages.unprotected_bytes,
    ages.unknown_assets
FROM ages
LEFT JOIN bounds ON ages.age_from_days = bounds.age_from_days
ORDER BY
    volume ASC,
    age_from_days ASC NULLS LAST
