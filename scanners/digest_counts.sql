-- How many files are asked for, how many of them are known, and what is left to read, with its bytes.
SELECT
    (SELECT count(*) FROM asked) AS files,
    (SELECT count(*) FROM asked) - count(*) AS carried,
    count(*) FILTER (is_first AND NOT has_failed) AS wanted,
    coalesce(sum(CASE WHEN whole THEN size_bytes ELSE $sampled_bytes END) FILTER (is_first AND NOT has_failed), 0)::BIGINT AS wanted_bytes
FROM wanted
