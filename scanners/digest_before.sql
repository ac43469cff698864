-- The wanted files with the newest digest that was read of each under its fingerprint, for comparison with what is read now.
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
        max_by(digest, digested_at) AS digest,
        max(digested_at) AS digested_at
    FROM known
    WHERE has_digest
    GROUP BY ALL
)

SELECT
    wanted.*,
    newest.digest AS digest_before,
    newest.digested_at AS digested_before_at
FROM wanted
LEFT JOIN newest
    ON
        wanted.volume = newest.volume
        AND wanted.fs_id IS NOT DISTINCT FROM newest.fs_id
        AND wanted.inode IS NOT DISTINCT FROM newest.inode
        AND wanted.created_at IS NOT DISTINCT FROM newest.created_at
        AND wanted.size_bytes = newest.size_bytes
        AND wanted.modified_at IS NOT DISTINCT FROM newest.modified_at
        AND wanted.modified_ns IS NOT DISTINCT FROM newest.modified_ns
        AND wanted.changed_at IS NOT DISTINCT FROM newest.changed_at
        AND wanted.changed_ns IS NOT DISTINCT FROM newest.changed_ns
        AND (newest.path IS NULL OR wanted.dir || wanted.name = newest.path)
