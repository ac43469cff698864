/* As `digest_numbers`, for samples. */
SELECT
    sample,
    CAST(row_number() OVER () AS INTEGER) AS sample_no
FROM (
    SELECT sample
    FROM (
        SELECT sample FROM readings
        UNION ALL
        SELECT sample FROM known_paths
    ) AS all_samples
    WHERE sample IS NOT NULL
    GROUP BY sample
    HAVING count(*) > 1
) AS repeated_samples
