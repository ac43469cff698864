/*
title = "Forecast"
question = "How much will each volume hold, and when is it full?"
table = ["volume", "bytes", "growth_bytes", "low_bytes", "likely_bytes", "high_bytes", "free_bytes", "gets_full", "full_earliest_at", "full_at", "full_latest_at", "unknown_because", "full_unknown_because"]

[params.ahead]
default = 90
least = 1
help = "days after the snapshot that it looks ahead"

[params.days]
default = 180
least = 14
help = "days before the snapshot that it rests on; on fewer where the volume was made anew since"

[columns]
volume = "its name"
days_seen = { meaning = "days with a scan that it rests on, each with the newest of that day; at least 7 are needed, over two weeks", unit = "count" }
since_at = { meaning = "the first of these scans", unit = "UTC" }
until_at = { meaning = "the last of them", unit = "UTC" }
ahead_at = { meaning = "the time that low, likely and high are of", unit = "UTC" }
bytes = { meaning = "bytes in files at the last of them", unit = "bytes" }
growth_bytes = { meaning = "growth a day: the median of the slopes between every two days (Theil and Sen), without a step that is more than half of all that moved; null = unknown", unit = "bytes" }
low_bytes = { meaning = "bytes in files then, at the least, in nine cases of ten between this and high_bytes if it goes on as it went; null = unknown", unit = "bytes" }
likely_bytes = { meaning = "bytes in files then, as is most likely", unit = "bytes" }
high_bytes = { meaning = "at the most", unit = "bytes" }
files = { meaning = "files at the last of these scans", unit = "files" }
growth_files = { meaning = "likewise their growth a day", unit = "files" }
low_files = { meaning = "files then, at the least", unit = "files" }
likely_files = { meaning = "files then, as is most likely", unit = "files" }
high_files = { meaning = "at the most", unit = "files" }
capacity_bytes = { meaning = "what the volume, or the file system that it lies on, holds at most, as a scan tells it or the configuration declares; null = unknown", unit = "bytes" }
free_bytes = { meaning = "what is free of it", unit = "bytes" }
gets_full = "yes: nothing is free; likely: full_at is within ten years; possible: only full_earliest_at is; no: not even that; unknown"
full_earliest_at = { meaning = "when it is full at the earliest, by what is taken of the capacity, whoever took it; null = not within ten years, or unknown", unit = "UTC" }
full_at = { meaning = "when it is full, as is most likely", unit = "UTC" }
full_latest_at = { meaning = "at the latest; null = it may never be, or unknown", unit = "UTC" }
unknown_because = "why there is no forecast of bytes: never_scanned, not_told, too_few_days, or erratic: the error is greater than what it holds; null = there is one"
full_unknown_because = "why it is unknown when it is full: never_scanned, no_capacity or too_few_days"
*/
-- Where only a list of changes was looked at, what is held is of that time, as old as its evidence is.
WITH timed AS (
    SELECT
        volume,
        scan_id,
        previous_scan_id,
        state,
        root_fs_id,
        bytes,
        files,
        carried_entries,
        capacity_bytes,
        free_bytes,
        CASE WHEN coalesce(contains(options, '"changes_since": '), FALSE) THEN started_at ELSE coalesce(evidence_at, started_at) END AS seen_at
    FROM scans
),

-- A scan that another one of an earlier time followed was made by a clock that was ahead.
looks AS (
    SELECT
        scans.volume,
        scans.scan_id,
        scans.seen_at,
        scans.root_fs_id,
        CASE WHEN scans.carried_entries = 0 THEN scans.bytes END AS bytes,
        CASE WHEN scans.carried_entries = 0 THEN scans.files END AS files,
        scans.capacity_bytes,
        scans.free_bytes
    FROM timed AS scans
    CROSS JOIN snapshot
    LEFT JOIN timed AS later ON scans.volume = later.volume AND scans.scan_id = later.previous_scan_id AND later.state <> 'failed'
    WHERE
        scans.state <> 'failed'
        AND scans.seen_at <= snapshot.as_of
        AND (later.scan_id IS NULL OR later.seen_at >= scans.seen_at)
        AND date_diff('day', scans.seen_at, snapshot.as_of) <= $days
),

places AS (
    SELECT
        volume,
        seen_at,
        root_fs_id,
        lag(root_fs_id) OVER (PARTITION BY volume ORDER BY seen_at ASC, scan_id ASC) AS place_before
    FROM looks
    WHERE root_fs_id IS NOT NULL
),

made_anew AS (
    SELECT
        volume,
        max(seen_at) AS since
    FROM places
    WHERE root_fs_id <> place_before
    GROUP BY 1
),

kinds AS (
    SELECT 'bytes' AS measure
    UNION ALL
    SELECT 'files' AS measure
    UNION ALL
    SELECT 'taken' AS measure
),

told AS (
    SELECT
        looks.volume,
        looks.scan_id,
        looks.seen_at,
        kinds.measure,
        CASE
            WHEN kinds.measure = 'bytes' THEN looks.bytes
            WHEN kinds.measure = 'files' THEN looks.files
            -- Where a scan tells no capacity, the one that is declared is held against the bytes in files.
            WHEN looks.capacity_bytes IS NULL AND volumes.capacity_bytes IS NOT NULL THEN looks.bytes
            ELSE looks.capacity_bytes - looks.free_bytes
        END AS amount
    FROM looks
    INNER JOIN volumes ON looks.volume = volumes.volume
    CROSS JOIN kinds
    LEFT JOIN made_anew ON looks.volume = made_anew.volume
    WHERE made_anew.volume IS NULL OR looks.seen_at >= made_anew.since
),

days AS (
    SELECT
        told.volume,
        told.measure,
        told.seen_at,
        -date_diff('day', told.seen_at, snapshot.as_of) AS day,
        told.amount,
        row_number() OVER (
            PARTITION BY told.volume, told.measure, date_diff('day', told.seen_at, snapshot.as_of) ORDER BY told.seen_at DESC, told.scan_id DESC
        ) AS place
    FROM told
    CROSS JOIN snapshot
    WHERE told.amount IS NOT NULL
),

points AS (
    SELECT
        volume,
        measure,
        seen_at,
        day,
        amount,
        day - lag(day) OVER (PARTITION BY volume, measure ORDER BY day ASC) AS passed,
        amount - lag(amount) OVER (PARTITION BY volume, measure ORDER BY day ASC) AS moved
    FROM days
    WHERE place = 1
),

extents AS (
    SELECT
        volume,
        measure,
        count(*) AS days_seen,
        min(day) AS first_day,
        max(day) AS last_day,
        min(seen_at) AS since_at,
        max(seen_at) AS until_at,
        sum(abs(moved)) AS moved
    FROM points
    GROUP BY 1, 2
),

usual AS (
    SELECT
        volume,
        measure,
        avg(rate) AS rate
    FROM (
        SELECT
            volume,
            measure,
            CAST(moved AS DOUBLE) / passed AS rate,
            row_number() OVER (PARTITION BY volume, measure ORDER BY CAST(moved AS DOUBLE) / passed ASC, day ASC) AS place,
            count(*) OVER (PARTITION BY volume, measure) AS among
        FROM points
        WHERE passed > 0
    ) AS rates
    WHERE place * 2 >= among AND place * 2 <= among + 2
    GROUP BY 1, 2
),

-- What moved at once and by more than half of all that moved is a step, and no growth.
without_steps AS (
    SELECT
        points.volume,
        points.measure,
        points.day,
        points.amount - sum(
            CASE WHEN abs(points.moved - usual.rate * points.passed) * 2 > extents.moved THEN points.moved - usual.rate * points.passed ELSE 0 END
        ) OVER (PARTITION BY points.volume, points.measure ORDER BY points.day ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS amount,
        row_number() OVER (PARTITION BY points.volume, points.measure ORDER BY points.day DESC) - 1 AS place,
        extents.days_seen // 100 + 1 AS every
    FROM points
    INNER JOIN extents ON points.volume = extents.volume AND points.measure = extents.measure
    INNER JOIN usual ON points.volume = usual.volume AND points.measure = usual.measure
    WHERE extents.days_seen >= 7 AND extents.last_day - extents.first_day >= 13
),

-- Of very many days every second, third… is enough: the pairs are as the square of them.
slopes AS (
    SELECT
        volume,
        measure,
        avg(slope) AS slope
    FROM (
        SELECT
            one.volume,
            one.measure,
            CAST(other.amount - one.amount AS DOUBLE) / (other.day - one.day) AS slope,
            row_number() OVER (
                PARTITION BY one.volume, one.measure ORDER BY CAST(other.amount - one.amount AS DOUBLE) / (other.day - one.day) ASC, one.day ASC, other.day ASC
            ) AS place,
            count(*) OVER (PARTITION BY one.volume, one.measure) AS among
        FROM without_steps AS one
        INNER JOIN without_steps AS other ON one.volume = other.volume AND one.measure = other.measure AND one.day < other.day
        WHERE one.place % one.every = 0 AND other.place % other.every = 0
    ) AS pairs
    WHERE place * 2 >= among AND place * 2 <= among + 2
    GROUP BY 1, 2
),

-- Of a random walk with that drift: its variance a day, by all that moved, steps too. Shares are added as whole parts of 10^15, so that no order matters.
variances AS (
    SELECT
        volume,
        measure,
        slope,
        coalesce(sum(share), 0) / 1000000000000000.0 * moved * moved / freedom AS variance,
        1.644854 + 1.523783 / freedom + 1.420220 / (freedom * freedom) AS quantile,
        span
    FROM (
        SELECT
            points.volume,
            points.measure,
            slopes.slope,
            CAST(
                floor(
                    (points.moved - slopes.slope * points.passed) / nullif(extents.moved, 0)
                    * ((points.moved - slopes.slope * points.passed) / nullif(extents.moved, 0))
                    / points.passed
                    * 1000000000000000.0 + 0.5
                )
                AS BIGINT
            ) AS share,
            CAST(extents.moved AS DOUBLE) AS moved,
            extents.days_seen - 2 AS freedom,
            (extents.last_day - extents.first_day) / 1.2 AS span
        FROM points
        INNER JOIN slopes ON points.volume = slopes.volume AND points.measure = slopes.measure
        INNER JOIN extents ON points.volume = extents.volume AND points.measure = extents.measure
        WHERE points.passed > 0
    ) AS shares
    GROUP BY volume, measure, slope, moved, freedom, span
),

-- The quantile of Student's t is the expansion in Abramowitz and Stegun, 26.7.5.
fits AS (
    SELECT
        volume,
        measure,
        slope,
        variance * quantile * quantile AS spread,
        span
    FROM variances
),

last_points AS (
    SELECT
        points.volume,
        points.measure,
        points.amount,
        points.day,
        extents.days_seen,
        extents.since_at,
        extents.until_at,
        fits.slope,
        fits.spread,
        fits.span,
        points.amount + fits.slope * ($ahead - points.day) AS likely,
        sqrt(fits.spread * (($ahead - points.day) + ($ahead - points.day) * ($ahead - points.day) / fits.span)) AS error
    FROM points
    INNER JOIN extents ON points.volume = extents.volume AND points.measure = extents.measure AND points.day = extents.last_day
    LEFT JOIN fits ON points.volume = fits.volume AND points.measure = fits.measure
),

amounts AS (
    SELECT
        volume,
        measure,
        amount,
        days_seen,
        since_at,
        until_at,
        floor(slope) AS slope,
        floor(CASE WHEN error <= greatest(amount, likely) THEN greatest(likely - error, 0) END) AS low,
        floor(CASE WHEN error <= greatest(amount, likely) THEN greatest(likely, 0) END) AS likely,
        floor(CASE WHEN error <= greatest(amount, likely) THEN greatest(likely + error, 0) END) AS high,
        slope IS NOT NULL AS has_fit
    FROM last_points
),

-- Where the edges of what is likely reach the capacity: the roots of (room - slope x)^2 = spread (x + x^2 / span).
rooms AS (
    SELECT
        last_points.volume,
        last_points.day,
        last_points.slope,
        CAST(volumes.free_bytes AS DOUBLE) AS room,
        last_points.slope * last_points.slope - last_points.spread / last_points.span AS bend,
        2.0 * last_points.slope * volumes.free_bytes + last_points.spread AS lean,
        last_points.spread * (
            4.0 * last_points.slope * volumes.free_bytes
            + last_points.spread
            + 4.0 * (volumes.free_bytes / last_points.span) * volumes.free_bytes
        ) AS discriminant
    FROM last_points
    INNER JOIN volumes ON last_points.volume = volumes.volume
    WHERE last_points.measure = 'taken' AND last_points.slope IS NOT NULL AND volumes.capacity_bytes IS NOT NULL AND volumes.free_bytes > 0
),

reaches AS (
    SELECT
        volume,
        day,
        CASE WHEN slope > 0 THEN room / slope END AS likely,
        CASE
            WHEN discriminant >= 0 AND lean + sqrt(greatest(discriminant, 0)) > 0
                THEN 2 * room * (room / (lean + sqrt(greatest(discriminant, 0))))
        END AS earliest,
        CASE WHEN discriminant >= 0 AND slope > 0 AND bend > 0 THEN (lean + sqrt(greatest(discriminant, 0))) / (2 * bend) END AS latest
    FROM rooms
),

fills AS (
    SELECT
        volume,
        floor(CASE WHEN likely + day <= 3653 THEN greatest(likely + day, 0) END) AS likely,
        floor(CASE WHEN earliest + day <= 3653 THEN greatest(earliest + day, 0) END) AS earliest,
        floor(CASE WHEN latest + day <= 3653 THEN greatest(latest + day, 0) END) AS latest
    FROM reaches
)

SELECT
    volumes.volume,
    coalesce(held.days_seen, 0) AS days_seen,
    held.since_at,
    held.until_at,
    snapshot.as_of + $ahead * INTERVAL 1 DAY AS ahead_at,
    held.amount AS bytes,
    CAST(held.slope AS BIGINT) AS growth_bytes,
    CAST(held.low AS BIGINT) AS low_bytes,
    CAST(held.likely AS BIGINT) AS likely_bytes,
    CAST(held.high AS BIGINT) AS high_bytes,
    counted.amount AS files,
    CAST(counted.slope AS BIGINT) AS growth_files,
    CAST(counted.low AS BIGINT) AS low_files,
    CAST(counted.likely AS BIGINT) AS likely_files,
    CAST(counted.high AS BIGINT) AS high_files,
    volumes.capacity_bytes,
    volumes.free_bytes,
    CASE
        WHEN volumes.free_bytes <= 0 AND volumes.capacity_bytes > 0 THEN 'yes'
        WHEN fills.volume IS NULL THEN 'unknown'
        WHEN fills.likely IS NOT NULL THEN 'likely'
        WHEN fills.earliest IS NOT NULL THEN 'possible'
        ELSE 'no'
    END AS gets_full,
    snapshot.as_of + CAST(fills.earliest AS BIGINT) * INTERVAL 1 DAY AS full_earliest_at,
    snapshot.as_of + CAST(fills.likely AS BIGINT) * INTERVAL 1 DAY AS full_at,
    snapshot.as_of + CAST(fills.latest AS BIGINT) * INTERVAL 1 DAY AS full_latest_at,
    CASE
        WHEN volumes.scan_id IS NULL THEN 'never_scanned'
        WHEN held.volume IS NULL THEN 'not_told'
        WHEN NOT held.has_fit THEN 'too_few_days'
        WHEN held.likely IS NULL THEN 'erratic'
    END AS unknown_because,
    CASE
        WHEN volumes.free_bytes <= 0 AND volumes.capacity_bytes > 0 OR fills.volume IS NOT NULL THEN NULL
        WHEN volumes.scan_id IS NULL THEN 'never_scanned'
        WHEN volumes.capacity_bytes IS NULL OR volumes.free_bytes IS NULL THEN 'no_capacity'
        ELSE 'too_few_days'
    END AS full_unknown_because
FROM volumes
CROSS JOIN snapshot
LEFT JOIN amounts AS held ON volumes.volume = held.volume AND held.measure = 'bytes'
LEFT JOIN amounts AS counted ON volumes.volume = counted.volume AND counted.measure = 'files'
LEFT JOIN fills ON volumes.volume = fills.volume
ORDER BY volume ASC
