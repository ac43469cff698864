/* Every directory that holds a file with each folder above it, itself and the root included. */
WITH RECURSIVE parents AS MATERIALIZED (
    SELECT
        one.folder_no,
        two.folder_no AS parent_no
    FROM all_dirs AS one
    LEFT JOIN all_dirs AS two ON one.parent_dir = two.dir
),

above AS (
    SELECT
        d.dir_no,
        d.dir_no AS folder_no
    FROM (SELECT DISTINCT dir_no FROM dir_sums) AS d
    UNION ALL
    SELECT
        a.dir_no,
        p.parent_no AS folder_no
    FROM parents AS p
    INNER JOIN above AS a ON p.folder_no = a.folder_no
    WHERE p.parent_no IS NOT NULL
)

SELECT
    dir_no,
    folder_no
FROM above
