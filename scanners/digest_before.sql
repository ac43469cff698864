-- The newest digest of each asked file of volumes in `again` that was read whole under its fingerprint.
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
    WHERE has_digest AND list_contains(getvariable('again'), volume)
    GROUP BY ALL
)

SELECT
    asked.volume,
    asked.dir,
    asked.name,
    asked.size_bytes,
    newest.digest AS digest_before,
    newest.digested_at AS digested_before_at
FROM asked
INNER JOIN newest
    ON
        asked.volume = newest.volume
        AND asked.fs_id IS NOT DISTINCT FROM newest.fs_id
        AND asked.inode IS NOT DISTINCT FROM newest.inode
        AND asked.created_at IS NOT DISTINCT FROM newest.created_at
        AND asked.size_bytes = newest.size_bytes
        AND asked.modified_at IS NOT DISTINCT FROM newest.modified_at
        AND asked.modified_ns IS NOT DISTINCT FROM newest.modified_ns
        AND asked.changed_at IS NOT DISTINCT FROM newest.changed_at
        AND asked.changed_ns IS NOT DISTINCT FROM newest.changed_ns
        AND (newest.path IS NULL OR asked.dir || asked.name = newest.path)
