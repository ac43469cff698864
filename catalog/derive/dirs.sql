/* Every directory string of the snapshot with a number in its order: joins on numbers and names are exact and narrow. */
SELECT
    dir,
    CAST(row_number() OVER (ORDER BY dir) AS INTEGER) AS dir_no
FROM (
    SELECT DISTINCT dir
    FROM file_entries
) AS distinct_dirs
