/* Every file system of the snapshot with a number. */
SELECT
    fs_id,
    CAST(row_number() OVER (ORDER BY fs_id) AS INTEGER) AS fs_no
FROM (
    SELECT DISTINCT fs_id
    FROM file_entries
    WHERE fs_id IS NOT NULL
) AS distinct_file_systems
