/* What no longer fits on a target, in the order of the selection: all before it and twice the largest must be free. */
WITH units AS (
    SELECT
        unit,
        target_volume,
        min(rank) AS rank,
        max(size_bytes) AS size_bytes
    FROM standing
    WHERE NOT adopts
    GROUP BY unit, target_volume
),

running AS (
    SELECT
        u.unit,
        sum(u.size_bytes) OVER before + 2 * max(u.size_bytes) OVER before AS needed_bytes,
        p.free_bytes
    FROM units AS u
    INNER JOIN places AS p ON u.target_volume = p.volume
    WINDOW
        before AS (
            PARTITION BY u.target_volume
            ORDER BY u.rank, u.unit
            ROWS UNBOUNDED PRECEDING
        )
)

SELECT
    s.id,
    CAST(r.needed_bytes AS VARCHAR) || ' bytes are needed up to here, ' || CAST(r.free_bytes AS VARCHAR) || ' are free' AS detail
FROM running AS r
INNER JOIN standing AS s ON r.unit = s.unit
WHERE r.needed_bytes > r.free_bytes
