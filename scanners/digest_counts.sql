-- How many files are asked for, how many of them are known, and what is left to read, with its bytes.
WITH left_over AS (
    SELECT
        count(*) AS names,
        count(*) FILTER (WHERE is_first AND NOT has_failed) AS wanted,
        sum(CASE WHEN whole THEN size_bytes ELSE $sampled_bytes END) FILTER (WHERE is_first AND NOT has_failed) AS wanted_bytes
    FROM wanted
),

asked_files AS (
    SELECT count(*) AS files
    FROM asked
)

SELECT
    asked_files.files,
    asked_files.files - left_over.names AS carried,
    left_over.wanted,
    coalesce(left_over.wanted_bytes, 0)::BIGINT AS wanted_bytes
FROM asked_files
CROSS JOIN left_over
