/* Files of a protecting volume that are also files of the asset volume (bind mounts, volumes inside volumes): never copies. */
SELECT DISTINCT
    p.a,
    b.v,
    b.entry_id
FROM pair_list AS p
INNER JOIN items AS b ON p.v = b.v
INNER JOIN items AS i ON p.a = i.v AND b.fs_no = i.fs_no AND b.inode = i.inode
WHERE
    EXISTS (
        SELECT 1
        FROM shared_file_systems AS s
        WHERE s.a = p.a AND s.v = p.v
    )
