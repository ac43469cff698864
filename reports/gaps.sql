/*
title = "Gaps"
question = "What is missing first, where assets would not survive or are not known to?"

[columns]
threat = "what could happen"
name = "the first missing condition, a word of docs/protection.md"
result = "no or unknown: whether the assets are known not to survive, or it is not known"
assets = { meaning = "assets that miss it first; those of a class that waives the threat are left out", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
volumes = { meaning = "volumes that they lie on", unit = "count" }
*/
WITH judged AS (
    SELECT
        volume,
        data_class,
        user_error,
        ransomware,
        system_failure,
        facility_outage,
        user_error_reasons,
        ransomware_reasons,
        system_failure_reasons,
        facility_outage_reasons,
        count(*) AS assets,
        sum(counted_bytes) AS bytes
    FROM assets
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
),

results AS (
    SELECT
        'user_error' AS threat,
        volume,
        data_class,
        user_error AS result,
        user_error_reasons AS reasons,
        assets,
        bytes
    FROM judged
    UNION ALL
    SELECT
        'ransomware' AS threat,
        volume,
        data_class,
        ransomware AS result,
        ransomware_reasons AS reasons,
        assets,
        bytes
    FROM judged
    UNION ALL
    SELECT
        'system_failure' AS threat,
        volume,
        data_class,
        system_failure AS result,
        system_failure_reasons AS reasons,
        assets,
        bytes
    FROM judged
    UNION ALL
    SELECT
        'facility_outage' AS threat,
        volume,
        data_class,
        facility_outage AS result,
        facility_outage_reasons AS reasons,
        assets,
        bytes
    FROM judged
)

SELECT
    results.threat,
    split_part(results.reasons, ',', 1) AS name,
    results.result,
    sum(results.assets) AS assets,
    sum(results.bytes) AS bytes,
    count(DISTINCT results.volume) AS volumes
FROM results
INNER JOIN classes ON results.data_class = classes.data_class
WHERE
    results.result <> 'yes'
    AND NOT contains(concat(',', array_to_string(classes.waive, ','), ','), concat(',', results.threat, ','))
GROUP BY 1, 2, 3
ORDER BY
    CASE WHEN threat = 'user_error' THEN 1 WHEN threat = 'ransomware' THEN 2 WHEN threat = 'system_failure' THEN 3 ELSE 4 END ASC,
    bytes DESC,
    name ASC,
    result ASC
