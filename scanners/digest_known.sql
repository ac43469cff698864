-- What was read before: files of each fingerprint, or paths where the storage has no file numbers.
SELECT
    volume,
    fs_id,
    inode,
    CASE WHEN inode IS NULL THEN dir || name END AS path,
    created_at,
    size_bytes,
    modified_at,
    modified_ns,
    changed_at,
    changed_ns,
    digest IS NOT NULL AS has_digest,
    sample
FROM digests
