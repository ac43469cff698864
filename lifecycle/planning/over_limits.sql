/* What comes after the policy's limits are reached, in the order of the selection; all names of a file together. */
WITH units AS (
    SELECT
        unit,
        volume,
        min(rank) AS rank,
        max(size_bytes) AS size_bytes,
        count(*) AS names
    FROM standing
    GROUP BY unit, volume
),

running AS (
    SELECT
        u.unit,
        sum(u.names) OVER everything AS steps,
        sum(u.size_bytes) OVER everything AS bytes,
        sum(u.names) OVER of_volume AS volume_steps,
        sum(u.size_bytes) OVER of_volume AS volume_bytes,
        v.files,
        v.bytes AS all_bytes
    FROM units AS u
    LEFT JOIN volumes AS v ON u.volume = v.volume
    WINDOW
        everything AS (
            ORDER BY u.rank, u.unit
            ROWS UNBOUNDED PRECEDING
        ),
        of_volume AS (
            PARTITION BY u.volume
            ORDER BY u.rank, u.unit
            ROWS UNBOUNDED PRECEDING
        )
),

judged AS (
    SELECT
        unit,
        CASE
            WHEN steps > $max_steps THEN 'max_steps is ' || CAST($max_steps AS VARCHAR)
            WHEN bytes > $max_bytes THEN 'max_bytes is ' || CAST($max_bytes AS VARCHAR)
            WHEN volume_steps > $max_share_pct / 100 * files THEN 'max_share_pct is ' || CAST($max_share_pct AS VARCHAR) || ' of the files of the volume'
            WHEN volume_bytes > $max_share_pct / 100 * all_bytes THEN 'max_share_pct is ' || CAST($max_share_pct AS VARCHAR) || ' of the bytes of the volume'
        END AS detail
    FROM running
)

SELECT
    s.id,
    j.detail
FROM judged AS j
INNER JOIN standing AS s ON j.unit = s.unit
WHERE j.detail IS NOT NULL
