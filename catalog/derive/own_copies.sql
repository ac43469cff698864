/* Files of a protecting volume that are also files of the asset volume (bind mounts, volumes inside volumes): never copies. */
SELECT DISTINCT
    b.a,
    b.v,
    b.entry_id
FROM items AS i
INNER JOIN (
    SELECT
        s.a,
        c.v,
        c.entry_id,
        c.fs_no,
        c.inode
    FROM items AS c
    INNER JOIN shared_file_systems AS s ON c.v = s.v
) AS b ON i.v = b.a AND b.fs_no = i.fs_no AND b.inode = i.inode
