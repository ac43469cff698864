-- When a reading last failed, of each identity, size and modified time.
SELECT
    volume,
    fs_id,
    inode,
    CASE WHEN inode IS NULL OR fs_id IS NULL THEN dir || name END AS path,
    created_at,
    size_bytes,
    modified_at,
    modified_ns,
    max(digested_at) AS failed_at
FROM digests
WHERE digest IS NULL AND sample IS NULL
GROUP BY ALL
