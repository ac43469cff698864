-- How many names are not known enough, and how many files are to be read, with their bytes.
SELECT
    count(*) AS names,
    count(*) FILTER (WHERE is_first AND NOT has_failed) AS wanted,
    coalesce(sum(CASE WHEN whole THEN size_bytes ELSE $sampled_bytes END) FILTER (WHERE is_first AND NOT has_failed), 0) AS wanted_bytes
FROM wanted
