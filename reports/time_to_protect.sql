/*
title = "Time to protect"
question = "How long did changes wait for their first copy, and how long do those wait that have none yet?"
table = ["name", "assets", "told_assets", "median_hours", "p90_hours", "p99_hours", "longest_hours", "late_assets", "waiting_assets", "overdue_assets", "longest_waiting_hours"]

[params.by]
default = "class"
choices = ["class", "volume", "month"]
help = "one line for each data class, each volume, or each month (UTC) of the last change"

[params.since]
default = ""
a_day = true
help = "only assets that were last changed on this day (UTC) or later; '' = all"

[params.until]
default = ""
a_day = true
help = "only assets that were last changed on this day or earlier; '' = all"

[columns]
by = "what the lines stand for"
name = "the class, the volume or the month; '' = nothing tells the month"
assets = { meaning = "assets in all", unit = "files" }
covered_assets = { meaning = "assets with a current copy", unit = "files" }
told_assets = { meaning = "assets among them of which scans and recovery points tell when each of their copies was first there, but those that a manifest or a listing tells of; the hours are of these", unit = "files" }
median_hours = { meaning = "whole hours from the change to the first copy that half of them waited at most; null = of none is it told. A change is no older than its modified time and the last scan that did not see the path, and a copy is as old as the first scan or recovery point that shows it: the hours are the most that it can have been", unit = "hours" }
p90_hours = { meaning = "likewise nine of ten", unit = "hours" }
p99_hours = { meaning = "likewise 99 of 100", unit = "hours" }
longest_hours = { meaning = "the longest of them", unit = "hours" }
late_assets = { meaning = "assets among them that waited longer than their class's max_copy_age", unit = "files" }
waiting_assets = { meaning = "assets of which no volume is known to hold what they are now", unit = "files" }
waiting_bytes = { meaning = "their size, hard links once", unit = "bytes" }
overdue_assets = { meaning = "assets among them that wait longer than their class's max_copy_age", unit = "files" }
longest_waiting_hours = { meaning = "the longest that one of them waits, up to the snapshot; null = of none is it known", unit = "hours" }
unknown_assets = { meaning = "assets of which it is not known whether a copy is current", unit = "files" }
max_copy_age_hours = { meaning = "how long a change may wait by the class; null = it does not say, or the line has several", unit = "hours" }
undated_assets = { meaning = "assets of which nothing tells when they changed: they are of no month, and where since or until is given in no other column", unit = "files" }
*/
-- What others tell of a volume is of no time at which somebody looked.
WITH hearsay AS (
    SELECT DISTINCT volume
    FROM scans
    WHERE evidence_at IS NOT NULL AND state <> 'failed' AND NOT coalesce(contains(options, '"changes_since": '), FALSE)
),

looks AS (
    SELECT
        volumes.volume,
        min(scans.started_at) AS first_at,
        max(CASE WHEN scans.started_at < volumes.scanned_at THEN scans.started_at END) AS before_at
    FROM volumes
    INNER JOIN scans ON volumes.volume = scans.volume
    WHERE scans.state <> 'failed' AND scans.started_at <= volumes.scanned_at
    GROUP BY 1
),

-- What a scan saw first came after the scan before it.
steps AS (
    SELECT
        volume,
        started_at,
        lag(started_at) OVER (PARTITION BY volume ORDER BY started_at ASC) AS unseen_at
    FROM scans
    WHERE state <> 'failed'
),

changed AS (
    SELECT
        assets.volume,
        assets.entry_id,
        assets.data_class,
        assets.counted_bytes,
        assets.freshness,
        CASE
            WHEN assets.last_active_at IS NOT NULL AND hearsay.volume IS NULL
                THEN greatest(assets.modified_at, steps.unseen_at)
        END AS changed_at
    FROM assets
    LEFT JOIN hearsay ON assets.volume = hearsay.volume
    LEFT JOIN steps ON assets.volume = steps.volume AND assets.first_seen_at = steps.started_at
),

points AS (
    SELECT
        volume,
        recovery_point,
        started_at,
        row_number() OVER (PARTITION BY volume, host, paths ORDER BY started_at ASC, recovery_point ASC) = 1 AS is_oldest
    FROM recovery_points
),

versions AS (
    SELECT
        entries.volume,
        entries.entry_id,
        points.started_at,
        points.is_oldest
    FROM entries
    INNER JOIN points ON entries.volume = points.volume AND entries.first_recovery_point = points.recovery_point
),

arrived AS (
    SELECT
        files.volume,
        files.entry_id,
        files.first_seen_at
    FROM files
    INNER JOIN looks ON files.volume = looks.volume
    WHERE files.first_seen_at > looks.first_at
),

-- When each current copy was first there, but those that others tell of; null where nothing tells.
copied AS (
    SELECT
        copies.volume,
        copies.entry_id,
        CASE
            WHEN versions.volume IS NOT NULL
                THEN CASE WHEN NOT versions.is_oldest OR versions.started_at <= changed.changed_at THEN versions.started_at END
            WHEN arrived.first_seen_at >= changed.changed_at THEN arrived.first_seen_at
            WHEN looks.before_at < changed.changed_at THEN copies.seen_at
        END AS copied_at
    FROM copies
    INNER JOIN changed ON copies.volume = changed.volume AND copies.entry_id = changed.entry_id
    LEFT JOIN hearsay ON copies.copy_volume = hearsay.volume
    LEFT JOIN looks ON copies.copy_volume = looks.volume
    LEFT JOIN arrived ON copies.copy_volume = arrived.volume AND copies.copy_entry_id = arrived.entry_id
    LEFT JOIN versions ON copies.copy_volume = versions.volume AND copies.copy_entry_id = versions.entry_id
    WHERE copies.match IN ('content', 'metadata') AND hearsay.volume IS NULL
),

firsts AS (
    SELECT
        volume,
        entry_id,
        CASE WHEN count(*) = count(copied_at) THEN min(copied_at) END AS first_copy_at
    FROM copied
    GROUP BY 1, 2
),

spans AS (
    SELECT
        CASE
            WHEN $by = 'class' THEN changed.data_class
            WHEN $by = 'volume' THEN changed.volume
            ELSE coalesce(substr(CAST(changed.changed_at AS VARCHAR), 1, 7), '')
        END AS name,
        coalesce(
            changed.changed_at >= CAST(CASE WHEN $since = '' THEN '0001-01-01' ELSE $since END AS TIMESTAMP)
            AND changed.changed_at < CAST(CASE WHEN $until = '' THEN '9999-01-01' ELSE $until END AS TIMESTAMP) + INTERVAL 1 DAY,
            $since = '' AND $until = ''
        ) AS counts,
        changed.counted_bytes,
        changed.freshness,
        classes.max_copy_age_days,
        changed.changed_at,
        CASE
            WHEN changed.freshness = 'current' AND elsewhere.volume IS NULL THEN greatest(firsts.first_copy_at, changed.changed_at)
            WHEN changed.freshness IN ('new_within_rpo', 'stale_within_rpo', 'stale_overdue', 'unprotected') THEN snapshot.as_of
        END AS ended_at,
        firsts.first_copy_at
    FROM changed
    CROSS JOIN snapshot
    INNER JOIN classes ON changed.data_class = classes.data_class
    LEFT JOIN firsts ON changed.volume = firsts.volume AND changed.entry_id = firsts.entry_id
    LEFT JOIN elsewhere ON changed.volume = elsewhere.volume AND changed.entry_id = elsewhere.entry_id
),

minutes AS (
    SELECT
        name,
        counts,
        changed_at IS NULL AS undated,
        freshness,
        max_copy_age_days * 24 AS allowed_hours,
        CASE
            WHEN freshness <> 'current' OR first_copy_at IS NOT NULL
                THEN
                    date_diff('day', changed_at, ended_at) * 1440
                    + (extract(HOUR FROM ended_at) - extract(HOUR FROM changed_at)) * 60
                    + extract(MINUTE FROM ended_at)
                    - extract(MINUTE FROM changed_at)
                    - CASE WHEN ended_at - date_trunc('minute', ended_at) < changed_at - date_trunc('minute', changed_at) THEN 1 ELSE 0 END
        END AS waited_minutes,
        ended_at - date_trunc('minute', ended_at) <> changed_at - date_trunc('minute', changed_at) AS and_more,
        counted_bytes
    FROM spans
),

named AS (
    SELECT
        name,
        sum(CASE WHEN undated THEN 1 ELSE 0 END) AS undated_assets
    FROM minutes
    WHERE counts OR undated
    GROUP BY 1
),

counted AS (
    SELECT
        name,
        freshness,
        allowed_hours,
        waited_minutes // 60 AS waited_hours,
        CASE WHEN and_more THEN waited_minutes >= allowed_hours * 60 ELSE waited_minutes > allowed_hours * 60 END AS late,
        count(*) AS assets,
        sum(counted_bytes) AS bytes
    FROM minutes
    WHERE counts
    GROUP BY 1, 2, 3, 4, 5
),

told AS (
    SELECT
        name,
        waited_hours,
        sum(assets) AS assets
    FROM counted
    WHERE freshness = 'current' AND waited_hours IS NOT NULL
    GROUP BY 1, 2
),

ranked AS (
    SELECT
        name,
        waited_hours,
        sum(assets) OVER (PARTITION BY name ORDER BY waited_hours ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS up_to,
        sum(assets) OVER (PARTITION BY name) AS of_all
    FROM told
),

quantiles AS (
    SELECT
        name,
        max(of_all) AS told_assets,
        min(CASE WHEN up_to * 2 >= of_all THEN waited_hours END) AS median_hours,
        min(CASE WHEN up_to * 10 >= of_all * 9 THEN waited_hours END) AS p90_hours,
        min(CASE WHEN up_to * 100 >= of_all * 99 THEN waited_hours END) AS p99_hours,
        max(waited_hours) AS longest_hours
    FROM ranked
    GROUP BY 1
),

sums AS (
    SELECT
        name,
        sum(assets) AS assets,
        sum(CASE WHEN freshness = 'current' THEN assets ELSE 0 END) AS covered_assets,
        sum(CASE WHEN freshness = 'current' AND late THEN assets ELSE 0 END) AS late_assets,
        sum(CASE WHEN freshness NOT IN ('current', 'unknown') THEN assets ELSE 0 END) AS waiting_assets,
        sum(CASE WHEN freshness NOT IN ('current', 'unknown') THEN bytes ELSE 0 END) AS waiting_bytes,
        sum(CASE WHEN freshness IN ('stale_overdue', 'unprotected') AND allowed_hours IS NOT NULL THEN assets ELSE 0 END) AS overdue_assets,
        max(CASE WHEN freshness NOT IN ('current', 'unknown') THEN waited_hours END) AS longest_waiting_hours,
        sum(CASE WHEN freshness = 'unknown' THEN assets ELSE 0 END) AS unknown_assets,
        CASE WHEN count(*) = count(allowed_hours) AND min(allowed_hours) = max(allowed_hours) THEN min(allowed_hours) END AS max_copy_age_hours
    FROM counted
    GROUP BY 1
)

SELECT
    $by AS "by",
    named.name,
    coalesce(sums.assets, 0) AS assets,
    coalesce(sums.covered_assets, 0) AS covered_assets,
    coalesce(quantiles.told_assets, 0) AS told_assets,
    quantiles.median_hours,
    quantiles.p90_hours,
    quantiles.p99_hours,
    quantiles.longest_hours,
    coalesce(sums.late_assets, 0) AS late_assets,
    coalesce(sums.waiting_assets, 0) AS waiting_assets,
    coalesce(sums.waiting_bytes, 0) AS waiting_bytes,
    coalesce(sums.overdue_assets, 0) AS overdue_assets,
    sums.longest_waiting_hours,
    coalesce(sums.unknown_assets, 0) AS unknown_assets,
    sums.max_copy_age_hours,
    named.undated_assets
FROM named
LEFT JOIN sums ON named.name = sums.name
LEFT JOIN quantiles ON named.name = quantiles.name
ORDER BY name ASC
