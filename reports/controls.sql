/*
title = "Controls"
question = "What must each class of data have, and how much of it has that, has it not, or is not known to?"
table = ["data_class", "control", "requirement", "assets", "met_assets", "not_met_assets", "unknown_assets", "met_pct", "waived", "sets"]

[columns]
data_class = "the class; default is that of all assets which no other takes"
control = "one line of its requirement, a word of docs/protection.md"
requirement = "what that line asks of each asset"
assets = { meaning = "assets of the class", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
met_assets = { meaning = "assets that have it", unit = "files" }
met_bytes = { meaning = "their size", unit = "bytes" }
not_met_assets = { meaning = "assets that have it not", unit = "files" }
not_met_bytes = { meaning = "their size", unit = "bytes" }
unknown_assets = { meaning = "assets of which it is not known", unit = "files" }
unknown_bytes = { meaning = "their size", unit = "bytes" }
accepted_assets = { meaning = "assets among not_met_assets of which live exceptions accept all that they miss", unit = "files" }
accepted_bytes = { meaning = "their size", unit = "bytes" }
met_pct = { meaning = "share of the assets that have it, rounded down; null = the class has no asset", unit = "%" }
waived = "whether it is a threat that the class need not survive: told, and not asked for"
sets = { meaning = "the named sets of requirements that ask for it, joined by commas; '' = the class itself does", unit = "list" }
position = { meaning = "place of the line among all, from 0: by class as in the configuration, then by control", unit = "count" }
*/
WITH judged AS (
    SELECT
        data_class,
        user_error,
        ransomware,
        system_failure,
        facility_outage,
        concat(',', not_met, ',') AS not_met,
        concat(',', unknown_controls, ',') AS unknown_controls,
        status = 'excepted' AS accepted,
        count(*) AS assets,
        sum(counted_bytes) AS bytes
    FROM assets
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
),

answers AS (
    SELECT
        controls.position,
        judged.accepted AND NOT controls.waived AS accepted,
        judged.assets,
        judged.bytes,
        CASE
            WHEN controls.control = 'user_error' THEN judged.user_error
            WHEN controls.control = 'ransomware' THEN judged.ransomware
            WHEN controls.control = 'system_failure' THEN judged.system_failure
            WHEN controls.control = 'facility_outage' THEN judged.facility_outage
            WHEN contains(judged.not_met, concat(',', controls.control, ',')) THEN 'no'
            WHEN contains(judged.unknown_controls, concat(',', controls.control, ',')) THEN 'unknown'
            ELSE 'yes'
        END AS answer
    FROM controls
    INNER JOIN judged ON controls.data_class = judged.data_class
),

sums AS (
    SELECT
        position,
        sum(assets) AS assets,
        sum(bytes) AS bytes,
        sum(CASE WHEN answer = 'yes' THEN assets ELSE 0 END) AS met_assets,
        sum(CASE WHEN answer = 'yes' THEN bytes ELSE 0 END) AS met_bytes,
        sum(CASE WHEN answer = 'no' THEN assets ELSE 0 END) AS not_met_assets,
        sum(CASE WHEN answer = 'no' THEN bytes ELSE 0 END) AS not_met_bytes,
        sum(CASE WHEN answer = 'unknown' THEN assets ELSE 0 END) AS unknown_assets,
        sum(CASE WHEN answer = 'unknown' THEN bytes ELSE 0 END) AS unknown_bytes,
        sum(CASE WHEN answer = 'no' AND accepted THEN assets ELSE 0 END) AS accepted_assets,
        sum(CASE WHEN answer = 'no' AND accepted THEN bytes ELSE 0 END) AS accepted_bytes
    FROM answers
    GROUP BY 1
)

SELECT
    controls.data_class,
    controls.control,
    controls.requirement,
    coalesce(sums.assets, 0) AS assets,
    coalesce(sums.bytes, 0) AS bytes,
    coalesce(sums.met_assets, 0) AS met_assets,
    coalesce(sums.met_bytes, 0) AS met_bytes,
    coalesce(sums.not_met_assets, 0) AS not_met_assets,
    coalesce(sums.not_met_bytes, 0) AS not_met_bytes,
    coalesce(sums.unknown_assets, 0) AS unknown_assets,
    coalesce(sums.unknown_bytes, 0) AS unknown_bytes,
    coalesce(sums.accepted_assets, 0) AS accepted_assets,
    coalesce(sums.accepted_bytes, 0) AS accepted_bytes,
    CASE WHEN sums.assets > 0 THEN (sums.met_assets * 1000 // sums.assets) / 10.0 END AS met_pct,
    controls.waived,
    controls.sets,
    controls.position
FROM controls
LEFT JOIN sums ON controls.position = sums.position
ORDER BY position ASC
