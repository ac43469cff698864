/*
title = "Exceptions"
question = "Which findings were accepted, by whom, why and until when, and how much rests on them?"
table = ["condition", "controls", "reason", "owner", "approver", "until", "days_left", "state", "assets", "accepted_assets", "accepted_bytes"]

[params.days]
default = 30
least = 0
help = "an exception is ending if it has at most so many days left"

[columns]
condition = "which assets the exception is for"
controls = { meaning = "the controls that it accepts as missed, joined by commas; '' = all", unit = "list" }
reason = "why"
owner = "who answers for it"
approver = "who agreed; null = nobody named"
until = "its last day"
days_left = { meaning = "days from the snapshot to its last day; below zero it has ended", unit = "days" }
is_live = "whether it still holds at the snapshot"
position = { meaning = "its place in the configuration, from 0", unit = "count" }
state = "live, ending (live, and ends within the days asked for) or ended"
assets = { meaning = "assets that it is for, whatever they miss", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
missing_assets = { meaning = "assets among them that miss a control which it accepts: the findings without any exception", unit = "files" }
missing_bytes = { meaning = "their size", unit = "bytes" }
accepted_assets = { meaning = "assets among these that count as excepted, for all that they miss is accepted, by it and other live exceptions; 0 when it has ended", unit = "files" }
accepted_bytes = { meaning = "their size", unit = "bytes" }
*/
WITH hits AS (
    SELECT
        excepted.position,
        assets.status,
        concat(',', assets.not_met, ',') AS not_met,
        count(*) AS assets,
        sum(assets.counted_bytes) AS bytes
    FROM excepted
    INNER JOIN assets ON excepted.volume = assets.volume AND excepted.entry_id = assets.entry_id
    GROUP BY 1, 2, 3
),

told AS (
    SELECT
        exceptions.position,
        hits.assets,
        hits.bytes,
        CAST(snapshot.as_of AS DATE) <= exceptions.until AND hits.status = 'excepted' AS accepted,
        CASE
            WHEN array_to_string(exceptions.controls, ',') = '' THEN hits.not_met <> ',,'
            ELSE
                regexp_matches(
                    hits.not_met,
                    concat(',(', replace(array_to_string(exceptions.controls, ','), ',', '|'), '),')
                )
        END AS misses
    FROM exceptions
    CROSS JOIN snapshot
    INNER JOIN hits ON exceptions.position = hits.position
),

sums AS (
    SELECT
        position,
        sum(assets) AS assets,
        sum(bytes) AS bytes,
        sum(CASE WHEN misses THEN assets ELSE 0 END) AS missing_assets,
        sum(CASE WHEN misses THEN bytes ELSE 0 END) AS missing_bytes,
        sum(CASE WHEN misses AND accepted THEN assets ELSE 0 END) AS accepted_assets,
        sum(CASE WHEN misses AND accepted THEN bytes ELSE 0 END) AS accepted_bytes
    FROM told
    GROUP BY 1
)

SELECT
    exceptions."where" AS condition,
    array_to_string(exceptions.controls, ',') AS controls,
    exceptions.reason,
    exceptions.owner,
    exceptions.approver,
    exceptions.until,
    date_diff('day', CAST(snapshot.as_of AS DATE), exceptions.until) AS days_left,
    CAST(snapshot.as_of AS DATE) <= exceptions.until AS is_live,
    exceptions.position,
    CASE
        WHEN CAST(snapshot.as_of AS DATE) > exceptions.until THEN 'ended'
        WHEN date_diff('day', CAST(snapshot.as_of AS DATE), exceptions.until) <= $days THEN 'ending'
        ELSE 'live'
    END AS state,
    coalesce(sums.assets, 0) AS assets,
    coalesce(sums.bytes, 0) AS bytes,
    coalesce(sums.missing_assets, 0) AS missing_assets,
    coalesce(sums.missing_bytes, 0) AS missing_bytes,
    coalesce(sums.accepted_assets, 0) AS accepted_assets,
    coalesce(sums.accepted_bytes, 0) AS accepted_bytes
FROM exceptions
CROSS JOIN snapshot
LEFT JOIN sums ON exceptions.position = sums.position
ORDER BY
    until ASC,
    position ASC
