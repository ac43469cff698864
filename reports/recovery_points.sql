/*
title = "Recovery points"
question = "What can each backup give back as a whole, of which times, and what was left out of it?"
table = ["volume", "started_at", "host", "paths", "age_days", "gap_hours", "breaks", "is_newest", "first_entries", "last_entries", "leaves_out"]

[columns]
volume = "the backup"
recovery_point = "its id in the repository"
started_at = { meaning = "when the backup was begun: what it holds is of that time or later", unit = "UTC" }
ended_at = { meaning = "when it ended; null = the repository does not tell", unit = "UTC" }
host = "the machine that was backed up"
paths = { meaning = "what was to be backed up, as JSON, escaped", unit = "list" }
age_days = { meaning = "whole days from its begin to the snapshot", unit = "days" }
gap_hours = { meaning = "whole hours since the recovery point before it, of the same host and paths; null = it is the oldest", unit = "hours" }
breaks = "whether that gap is longer than eight days: what lies before it is not counted as kept"
is_newest = "whether it is the newest of its host and paths"
first_entries = { meaning = "versions that no older recovery point holds", unit = "entries" }
last_entries = { meaning = "versions that no newer recovery point holds: they go when it goes, or, of the newest, are what is there now", unit = "entries" }
leaves_out = "whether it has patterns of what was left out; null = not known"
patterns = { meaning = "these, as JSON, in the repository's own notation, escaped", unit = "list" }
username = "who made it"
tags = { meaning = "its tags, as JSON", unit = "list" }
run = "complete or partial, as its run was recorded to have ended; null = it was not recorded"
unread_files = { meaning = "files that the run could not read, as recorded", unit = "files" }
*/
WITH placed AS (
    SELECT
        recovery_points.volume,
        recovery_points.recovery_point,
        recovery_points.started_at,
        recovery_points.ended_at,
        recovery_points.host,
        recovery_points.paths,
        recovery_points.excludes,
        recovery_points.username,
        recovery_points.tags,
        lag(recovery_points.started_at) OVER (
            PARTITION BY recovery_points.volume, recovery_points.host, recovery_points.paths
            ORDER BY recovery_points.started_at ASC, recovery_points.recovery_point ASC
        ) AS before_at,
        row_number() OVER (
            PARTITION BY recovery_points.volume, recovery_points.host, recovery_points.paths
            ORDER BY recovery_points.started_at DESC, recovery_points.recovery_point DESC
        ) AS place,
        snapshot.as_of
    FROM recovery_points
    CROSS JOIN snapshot
),

runs AS (
    SELECT
        placed.volume,
        placed.recovery_point,
        CASE WHEN bool_and(verifications.ok) THEN 'complete' ELSE 'partial' END AS run,
        count(DISTINCT verifications.dir || verifications.name) AS unread_files
    FROM placed
    INNER JOIN verifications ON placed.volume = verifications.volume AND starts_with(placed.recovery_point, verifications.recovery_point)
    WHERE verifications.method IN ('restic-backup', 'borg-create')
    GROUP BY 1, 2
),

firsts AS (
    SELECT
        volume,
        first_recovery_point,
        count(*) AS entries
    FROM entries
    WHERE first_recovery_point IS NOT NULL
    GROUP BY 1, 2
),

lasts AS (
    SELECT
        volume,
        last_recovery_point,
        count(*) AS entries
    FROM entries
    WHERE last_recovery_point IS NOT NULL
    GROUP BY 1, 2
)

SELECT
    placed.volume,
    placed.recovery_point,
    placed.started_at,
    placed.ended_at,
    placed.host,
    placed.paths,
    date_diff('day', placed.started_at, placed.as_of)
    - CASE
        WHEN placed.as_of - date_trunc('day', placed.as_of) < placed.started_at - date_trunc('day', placed.started_at) THEN 1
        ELSE 0
    END AS age_days,
    date_diff('day', placed.before_at, placed.started_at) * 24
    + extract(HOUR FROM placed.started_at)
    - extract(HOUR FROM placed.before_at)
    - CASE
        WHEN placed.started_at - date_trunc('hour', placed.started_at) < placed.before_at - date_trunc('hour', placed.before_at) THEN 1
        ELSE 0
    END AS gap_hours,
    coalesce(placed.started_at - INTERVAL 8 DAY > placed.before_at, FALSE) AS breaks,
    placed.place = 1 AS is_newest,
    coalesce(firsts.entries, 0) AS first_entries,
    coalesce(lasts.entries, 0) AS last_entries,
    placed.excludes <> '[]' AS leaves_out,
    placed.excludes AS patterns,
    placed.username,
    placed.tags,
    runs.run,
    runs.unread_files
FROM placed
LEFT JOIN runs ON placed.volume = runs.volume AND placed.recovery_point = runs.recovery_point
LEFT JOIN firsts ON placed.volume = firsts.volume AND placed.recovery_point = firsts.first_recovery_point
LEFT JOIN lasts ON placed.volume = lasts.volume AND placed.recovery_point = lasts.last_recovery_point
ORDER BY
    volume ASC,
    started_at ASC,
    recovery_point ASC
