-- When that was read which a budget of bytes leaves out: what was read longest ago goes first, and one file at least. NULL: it is enough for all.
-- A file with several names is counted once: they have the very same reading.
SELECT min(digested_before_at)
FROM (
    SELECT
        digested_before_at,
        sum(size_bytes) OVER (ORDER BY digested_before_at, volume, digest_before ROWS UNBOUNDED PRECEDING) - size_bytes AS bytes_before
    FROM (
        SELECT DISTINCT
            volume,
            size_bytes,
            digest_before,
            digested_before_at
        FROM before
    ) AS readings
) AS summed
WHERE bytes_before >= $budget
