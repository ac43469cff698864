/* Every directory that holds a file, and every one above it, with a number and the one right above. */
WITH RECURSIVE above AS (
    SELECT dir
    FROM dirs
    UNION
    SELECT regexp_replace(dir, '[^/]*/$', '') AS dir
    FROM above
    WHERE dir <> ''
)

SELECT
    dir,
    CAST(row_number() OVER (ORDER BY dir) AS INTEGER) AS folder_no,
    CASE WHEN dir <> '' THEN regexp_replace(dir, '[^/]*/$', '') END AS parent_dir,
    length(dir) - length(replace(dir, '/', '')) AS depth
FROM above
