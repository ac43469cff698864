/* The newest digest and the newest sample of each identity and fingerprint that we read ourselves. */
SELECT
    volume,
    fs_id,
    inode,
    created_at,
    size_bytes,
    modified_at,
    modified_ns,
    changed_at,
    changed_ns,
    arg_max(digest, digested_at) FILTER (WHERE digest IS NOT NULL) AS digest,
    max(digested_at) FILTER (WHERE digest IS NOT NULL) AS digested_at,
    arg_max(sample, digested_at) FILTER (WHERE sample IS NOT NULL) AS sample,
    arg_max(accessed_at, digested_at) AS accessed_before_at,
    max(read_started_at) AS read_started_at,
    max(digested_at) AS read_finished_at
FROM digests
WHERE inode IS NOT NULL AND fs_id IS NOT NULL
GROUP BY volume, fs_id, inode, created_at, size_bytes, modified_at, modified_ns, changed_at, changed_ns
