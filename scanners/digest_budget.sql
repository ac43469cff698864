-- When that was read which a budget of bytes leaves out: what was read longest ago goes first, and one file at least. NULL: it is enough for all.
WITH newest AS (
    SELECT
        volume,
        fs_id,
        inode,
        path,
        created_at,
        size_bytes,
        modified_at,
        modified_ns,
        changed_at,
        changed_ns,
        max(digested_at) AS digested_at
    FROM known
    WHERE has_digest
    GROUP BY ALL
),

summed AS (
    SELECT
        digested_at,
        sum(size_bytes) OVER (ORDER BY digested_at, volume, inode, path ROWS UNBOUNDED PRECEDING) - size_bytes AS bytes_before
    FROM newest
    SEMI JOIN asked
        ON
            newest.volume = asked.volume
            AND newest.fs_id IS NOT DISTINCT FROM asked.fs_id
            AND newest.inode IS NOT DISTINCT FROM asked.inode
            AND newest.created_at IS NOT DISTINCT FROM asked.created_at
            AND newest.size_bytes = asked.size_bytes
            AND newest.modified_at IS NOT DISTINCT FROM asked.modified_at
            AND newest.modified_ns IS NOT DISTINCT FROM asked.modified_ns
            AND newest.changed_at IS NOT DISTINCT FROM asked.changed_at
            AND newest.changed_ns IS NOT DISTINCT FROM asked.changed_ns
            AND (newest.path IS NULL OR asked.dir || asked.name = newest.path)
)

SELECT min(digested_at)
FROM summed
WHERE bytes_before >= $budget
