/* As `known`, where there is no inode or no file-system id: a digest belongs to a path. */
SELECT
    volume,
    dir,
    name,
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
    max(digested_at) AS read_finished_at,
    arg_max(sample, digested_at) FILTER (WHERE sample IS NOT NULL) AS sample
FROM digests
WHERE (inode IS NULL OR fs_id IS NULL) AND (digest IS NOT NULL OR sample IS NOT NULL)
GROUP BY volume, dir, name, fs_id, inode, created_at, size_bytes, modified_at, modified_ns, changed_at, changed_ns
