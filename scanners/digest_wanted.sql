-- The asked files of which not enough is known under their fingerprint. Of several names of one file one `is_first`, if
-- possible one whose reading had no problem under its scan (`has_failed`).
SELECT
    asked.*,
    failed.path IS NOT NULL AS has_failed,
    row_number() OVER (
        PARTITION BY
            asked.volume,
            asked.fs_id,
            asked.inode,
            asked.created_at,
            asked.size_bytes,
            asked.modified_at,
            asked.modified_ns,
            asked.changed_at,
            asked.changed_ns,
            CASE WHEN asked.inode IS NULL THEN asked.dir || asked.name END
        ORDER BY failed.path IS NOT NULL, asked.dir, asked.name
    ) = 1 AS is_first
FROM asked
ANTI JOIN known
    ON
        asked.volume = known.volume
        AND asked.fs_id IS NOT DISTINCT FROM known.fs_id
        AND asked.inode IS NOT DISTINCT FROM known.inode
        AND asked.created_at IS NOT DISTINCT FROM known.created_at
        AND asked.size_bytes = known.size_bytes
        AND asked.modified_at IS NOT DISTINCT FROM known.modified_at
        AND asked.modified_ns IS NOT DISTINCT FROM known.modified_ns
        AND asked.changed_at IS NOT DISTINCT FROM known.changed_at
        AND asked.changed_ns IS NOT DISTINCT FROM known.changed_ns
        AND (known.path IS NULL OR asked.dir || asked.name = known.path)
        AND (known.has_digest OR NOT asked.whole)
LEFT JOIN failed ON asked.volume = failed.volume AND asked.dir || asked.name = failed.path
