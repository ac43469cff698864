/* Files, by identity, of which more than one reading of ours is stored: of the others nothing has to be put together. */
SELECT
    v.v,
    s.fs_no,
    g.inode
FROM digests AS g
INNER JOIN volume_facts AS v ON g.volume = v.volume
INNER JOIN file_systems AS s ON g.fs_id = s.fs_id
WHERE g.inode IS NOT NULL AND (g.digest IS NOT NULL OR g.sample IS NOT NULL)
GROUP BY v.v, s.fs_no, g.inode
HAVING count(*) > 1
