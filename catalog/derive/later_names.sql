/* Names of a file that another name of the same (file system, inode) precedes on the same volume: they add no bytes. */
SELECT
    v,
    entry_id
FROM (
    SELECT
        i.v,
        i.entry_id,
        row_number() OVER (PARTITION BY i.v, i.fs_no, i.inode ORDER BY i.dir_no, i.name) AS place
    FROM items AS i
    INNER JOIN (
        SELECT
            v,
            fs_no,
            inode
        FROM items
        WHERE fs_no IS NOT NULL AND inode IS NOT NULL
        GROUP BY v, fs_no, inode
        HAVING count(*) > 1
    ) AS s ON i.v = s.v AND i.fs_no = s.fs_no AND i.inode = s.inode
) AS named
WHERE place > 1
