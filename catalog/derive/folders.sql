/* Every directory with each folder above it, itself and the root included. */
WITH RECURSIVE above AS (
    SELECT
        dir,
        dir AS key
    FROM dir_names
    UNION ALL
    SELECT
        dir,
        regexp_replace(key, '[^/]*/$', '') AS key
    FROM above
    WHERE key <> ''
)

SELECT
    dir,
    key,
    length(key) - length(replace(key, '/', '')) AS depth
FROM above
