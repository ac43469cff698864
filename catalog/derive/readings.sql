/* The newest digest and the newest sample of each identity and fingerprint that we read ourselves. */
SELECT
    v.v,
    s.fs_no,
    g.inode,
    g.created_at,
    g.size_bytes,
    g.modified_at,
    g.modified_ns,
    g.changed_at,
    g.changed_ns,
    g.digest,
    CASE WHEN g.digest IS NOT NULL THEN g.digested_at END AS digested_at,
    g.sample,
    g.accessed_at AS accessed_before_at,
    g.read_started_at,
    g.digested_at AS read_finished_at
FROM digests AS g
INNER JOIN volume_facts AS v ON g.volume = v.volume
INNER JOIN file_systems AS s ON g.fs_id = s.fs_id
LEFT JOIN read_twice AS t ON v.v = t.v AND s.fs_no = t.fs_no AND g.inode = t.inode
WHERE g.inode IS NOT NULL AND (g.digest IS NOT NULL OR g.sample IS NOT NULL) AND t.v IS NULL
UNION ALL
SELECT
    v,
    fs_no,
    inode,
    created_at,
    size_bytes,
    modified_at,
    modified_ns,
    changed_at,
    changed_ns,
    digest,
    digested_at,
    sample,
    accessed_before_at,
    read_started_at,
    read_finished_at
FROM reread
