/* As `known`, for storage that has no inodes: a digest belongs to a path. */
SELECT
    volume,
    dir,
    name,
    size_bytes,
    modified_at,
    modified_ns,
    changed_at,
    arg_max(digest, digested_at) FILTER (WHERE digest IS NOT NULL) AS digest,
    max(digested_at) FILTER (WHERE digest IS NOT NULL) AS digested_at,
    arg_max(sample, digested_at) FILTER (WHERE sample IS NOT NULL) AS sample
FROM digests
WHERE inode IS NULL
GROUP BY volume, dir, name, size_bytes, modified_at, modified_ns, changed_at
