/* When a reading last failed, of each identity, size and modified time. */
SELECT
    v.v,
    g.fs_id,
    g.inode,
    CASE WHEN g.inode IS NULL OR g.fs_id IS NULL THEN g.dir || g.name END AS path,
    g.created_at,
    g.size_bytes,
    g.modified_at,
    g.modified_ns,
    max(g.digested_at) AS failed_at
FROM digests AS g
INNER JOIN volume_facts AS v ON g.volume = v.volume
WHERE g.digest IS NULL AND g.sample IS NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
