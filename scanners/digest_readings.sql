-- The files with what was read of each under the fingerprint that it has now.
SELECT
    files.*,  -- every column of files -- noqa: AM04
    known.has_digest,
    known.digest,
    known.digested_at,
    known.sample
FROM files
INNER JOIN known
    ON
        files.volume = known.volume
        AND files.fs_id IS NOT DISTINCT FROM known.fs_id
        AND files.inode IS NOT DISTINCT FROM known.inode
        AND files.created_at IS NOT DISTINCT FROM known.created_at
        AND files.size_bytes = known.size_bytes
        AND files.modified_at IS NOT DISTINCT FROM known.modified_at
        AND files.modified_ns IS NOT DISTINCT FROM known.modified_ns
        AND files.changed_at IS NOT DISTINCT FROM known.changed_at
        AND files.changed_ns IS NOT DISTINCT FROM known.changed_ns
        AND (known.path IS NULL OR files.dir || files.name = known.path)
