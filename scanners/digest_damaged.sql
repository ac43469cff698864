-- Files that an earlier scan of the volume had found damaged, that the scan which holds does not tell of, and that still have another content than at first
-- under the fingerprint that they have now.
WITH found AS (
    SELECT
        volume,
        path,
        max_by(error, seen_at) AS error,
        max(seen_at) AS seen_at
    FROM earlier_problems
    WHERE stage = 'damaged'
    GROUP BY volume, path
)

SELECT
    found.volume,
    found.path,
    found.error,
    found.seen_at
FROM found
INNER JOIN files ON found.volume = files.volume AND found.path = files.dir || files.name
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
ANTI JOIN problems ON found.volume = problems.volume AND found.path = problems.path AND problems.stage = 'damaged'
WHERE known.has_digest
GROUP BY found.volume, found.path, found.error, found.seen_at
HAVING min_by(known.digest, known.digested_at) <> max_by(known.digest, known.digested_at)
ORDER BY found.volume, found.path
