-- The files whose last reading failed, or of which another volume (`reader`) found other content: their whole content was not read since by their own volume
-- under the fingerprint that they have now.
WITH hits AS (
    SELECT
        files.*,
        failures.reader,
        failures.is_other,
        failures.failed_at
    FROM files
    INNER JOIN failures
        ON
            files.size_bytes = failures.size_bytes
            AND files.fs_id IS NOT DISTINCT FROM failures.fs_id
            AND files.inode IS NOT DISTINCT FROM failures.inode
            AND files.created_at IS NOT DISTINCT FROM failures.created_at
            AND files.modified_at IS NOT DISTINCT FROM failures.modified_at
            AND files.modified_ns IS NOT DISTINCT FROM failures.modified_ns
            AND (failures.path IS NULL OR files.dir || files.name = failures.path)
            AND (files.volume = failures.volume OR (failures.volume IS NULL AND files.volume <> failures.reader))
)

SELECT
    hits.volume,
    hits.dir,
    hits.name,
    hits.inode,
    arg_max(hits.reader, hits.failed_at) AS reader,
    arg_max(hits.is_other, hits.failed_at) AS is_other,
    max(hits.failed_at) AS failed_at
FROM hits
ANTI JOIN known
    ON
        hits.volume = known.volume
        AND hits.fs_id IS NOT DISTINCT FROM known.fs_id
        AND hits.inode IS NOT DISTINCT FROM known.inode
        AND hits.created_at IS NOT DISTINCT FROM known.created_at
        AND hits.size_bytes = known.size_bytes
        AND hits.modified_at IS NOT DISTINCT FROM known.modified_at
        AND hits.modified_ns IS NOT DISTINCT FROM known.modified_ns
        AND hits.changed_at IS NOT DISTINCT FROM known.changed_at
        AND hits.changed_ns IS NOT DISTINCT FROM known.changed_ns
        AND (known.path IS NULL OR hits.dir || hits.name = known.path)
        AND known.has_digest
        AND known.digested_at > hits.failed_at
GROUP BY hits.volume, hits.dir, hits.name, hits.inode
