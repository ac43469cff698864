/* The newest digest and the newest sample of each identity and fingerprint, of files that we read more than once. */
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
    arg_max(g.digest, g.digested_at) FILTER (WHERE g.digest IS NOT NULL) AS digest,
    max(g.digested_at) FILTER (WHERE g.digest IS NOT NULL) AS digested_at,
    arg_max(g.sample, g.digested_at) FILTER (WHERE g.sample IS NOT NULL) AS sample,
    arg_max(g.accessed_at, g.digested_at) AS accessed_before_at,
    max(g.read_started_at) AS read_started_at,
    max(g.digested_at) AS read_finished_at
FROM digests AS g
INNER JOIN volume_facts AS v ON g.volume = v.volume
INNER JOIN file_systems AS s ON g.fs_id = s.fs_id
INNER JOIN read_twice AS t ON v.v = t.v AND s.fs_no = t.fs_no AND g.inode = t.inode
WHERE g.digest IS NOT NULL OR g.sample IS NOT NULL
GROUP BY v.v, s.fs_no, g.inode, g.created_at, g.size_bytes, g.modified_at, g.modified_ns, g.changed_at, g.changed_ns
