-- Files that an earlier scan of the volume had found damaged, that the scan which holds does not tell of, and that still have another content than at first
-- under the fingerprint that they have now.
WITH found AS (
    SELECT
        volume,
        path,
        inode,
        max_by(error, seen_at) AS error,
        max(seen_at) AS seen_at
    FROM earlier_problems
    WHERE stage = 'damaged'
    GROUP BY volume, path, inode
)

SELECT
    found.volume,
    found.path,
    found.inode,
    found.error,
    found.seen_at
FROM found
INNER JOIN readings
    ON
        found.volume = readings.volume
        AND found.path = readings.dir || readings.name
        AND (found.inode IS NULL OR found.inode IS NOT DISTINCT FROM readings.inode)
ANTI JOIN problems
    ON found.volume = problems.volume AND found.path = problems.path AND found.inode IS NOT DISTINCT FROM problems.inode AND problems.stage = 'damaged'
WHERE readings.has_digest
GROUP BY found.volume, found.path, found.inode, found.error, found.seen_at
HAVING min_by(readings.digest, readings.digested_at) <> max_by(readings.digest, readings.digested_at)
ORDER BY found.volume, found.path, found.inode
