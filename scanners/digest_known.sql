-- What was read before: files of each fingerprint, or paths where the storage does not number its files.
SELECT
    volume,
    fs_id,
    inode,
    CASE WHEN inode IS NULL OR fs_id IS NULL THEN dir || name END AS path,
    created_at,
    size_bytes,
    modified_at,
    modified_ns,
    changed_at,
    changed_ns,
    digest,
    digest IS NOT NULL AS has_digest,
    digested_at,
    sample
FROM digests
WHERE digest IS NOT NULL OR sample IS NOT NULL
