/*
title = "Coverage"
question = "How much of the data would survive each threat, and how much is unknown?"
table = ["name", "threat", "assets", "bytes", "covered_pct", "covered_bytes_pct", "unknown_assets", "unknown_bytes", "excepted_assets", "waived"]

[params.by]
default = "class"
choices = ["class", "volume", "owner", "folder"]
help = "one line for each data class, volume, owner or top folder"

[columns]
by = "what the lines stand for"
name = "the class, volume, owner ('' = none) or volume:folder"
threat = "what could happen"
assets = { meaning = "assets in all", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
covered_assets = { meaning = "assets that are known to survive", unit = "files" }
covered_bytes = { meaning = "their size", unit = "bytes" }
unknown_assets = { meaning = "assets of which it is not known; they are not covered", unit = "files" }
unknown_bytes = { meaning = "their size", unit = "bytes" }
covered_pct = { meaning = "covered of all assets, rounded down; null without assets", unit = "%" }
covered_bytes_pct = { meaning = "covered of all bytes, rounded down; null without bytes", unit = "%" }
excepted_assets = { meaning = "assets that are not covered, and whose findings are accepted", unit = "files" }
excepted_bytes = { meaning = "their size", unit = "bytes" }
waived = "whether the class need not survive this threat; null where a line is not a class"
status_unknown_assets = { meaning = "assets of the name whose status is unknown: the same on each of its lines", unit = "files" }
status_unknown_bytes = { meaning = "their size", unit = "bytes" }
threat_unknown_assets = { meaning = "assets of the name of which at least one threat is unknown: the same on each of its lines", unit = "files" }
threat_unknown_bytes = { meaning = "their size", unit = "bytes" }
*/
WITH judged AS (
    SELECT
        CASE
            WHEN $by = 'class' THEN data_class
            WHEN $by = 'volume' THEN volume
            WHEN $by = 'owner' THEN coalesce(owner, '')
            ELSE concat(volume, ':', split_part(dir, '/', 1))
        END AS name,
        status,
        user_error,
        ransomware,
        system_failure,
        facility_outage,
        count(*) AS assets,
        sum(counted_bytes) AS bytes
    FROM assets
    GROUP BY 1, 2, 3, 4, 5, 6
),

threats AS (
    SELECT 'user_error' AS threat
    UNION ALL
    SELECT 'ransomware' AS threat
    UNION ALL
    SELECT 'system_failure' AS threat
    UNION ALL
    SELECT 'facility_outage' AS threat
),

results AS (
    SELECT
        judged.name,
        threats.threat,
        judged.assets,
        judged.bytes,
        judged.status,
        'unknown' IN (judged.user_error, judged.ransomware, judged.system_failure, judged.facility_outage) AS some_unknown,
        CASE
            WHEN threats.threat = 'user_error' THEN judged.user_error
            WHEN threats.threat = 'ransomware' THEN judged.ransomware
            WHEN threats.threat = 'system_failure' THEN judged.system_failure
            ELSE judged.facility_outage
        END AS result
    FROM judged
    CROSS JOIN threats
),

sums AS (
    SELECT
        name,
        threat,
        sum(assets) AS assets,
        sum(bytes) AS bytes,
        coalesce(sum(assets) FILTER (WHERE result = 'yes'), 0) AS covered_assets,
        coalesce(sum(bytes) FILTER (WHERE result = 'yes'), 0) AS covered_bytes,
        coalesce(sum(assets) FILTER (WHERE result = 'unknown'), 0) AS unknown_assets,
        coalesce(sum(bytes) FILTER (WHERE result = 'unknown'), 0) AS unknown_bytes,
        coalesce(sum(assets) FILTER (WHERE result <> 'yes' AND status = 'excepted'), 0) AS excepted_assets,
        coalesce(sum(bytes) FILTER (WHERE result <> 'yes' AND status = 'excepted'), 0) AS excepted_bytes,
        coalesce(sum(assets) FILTER (WHERE status = 'unknown'), 0) AS status_unknown_assets,
        coalesce(sum(bytes) FILTER (WHERE status = 'unknown'), 0) AS status_unknown_bytes,
        coalesce(sum(assets) FILTER (WHERE some_unknown), 0) AS threat_unknown_assets,
        coalesce(sum(bytes) FILTER (WHERE some_unknown), 0) AS threat_unknown_bytes
    FROM results
    GROUP BY 1, 2
),

lines AS (
    SELECT name FROM judged
    UNION
    SELECT data_class AS name FROM classes
    WHERE $by = 'class'
    UNION
    SELECT volume AS name FROM volumes
    WHERE $by = 'volume' AND role = 'primary'
)

SELECT
    $by AS "by",
    lines.name,
    threats.threat,
    coalesce(sums.assets, 0) AS assets,
    coalesce(sums.bytes, 0) AS bytes,
    coalesce(sums.covered_assets, 0) AS covered_assets,
    coalesce(sums.covered_bytes, 0) AS covered_bytes,
    coalesce(sums.unknown_assets, 0) AS unknown_assets,
    coalesce(sums.unknown_bytes, 0) AS unknown_bytes,
    CASE WHEN sums.assets > 0 THEN (sums.covered_assets * 1000 // sums.assets) / 10.0 END AS covered_pct,
    CASE WHEN sums.bytes > 0 THEN (sums.covered_bytes * 1000 // sums.bytes) / 10.0 END AS covered_bytes_pct,
    coalesce(sums.excepted_assets, 0) AS excepted_assets,
    coalesce(sums.excepted_bytes, 0) AS excepted_bytes,
    CASE WHEN $by = 'class' THEN contains(concat(',', array_to_string(classes.waive, ','), ','), concat(',', threats.threat, ',')) END AS waived,
    coalesce(sums.status_unknown_assets, 0) AS status_unknown_assets,
    coalesce(sums.status_unknown_bytes, 0) AS status_unknown_bytes,
    coalesce(sums.threat_unknown_assets, 0) AS threat_unknown_assets,
    coalesce(sums.threat_unknown_bytes, 0) AS threat_unknown_bytes
FROM lines
CROSS JOIN threats
LEFT JOIN sums ON lines.name = sums.name AND threats.threat = sums.threat
LEFT JOIN classes ON lines.name = classes.data_class AND $by = 'class'
ORDER BY
    name ASC,
    CASE WHEN threat = 'user_error' THEN 1 WHEN threat = 'ransomware' THEN 2 WHEN threat = 'system_failure' THEN 3 ELSE 4 END ASC
