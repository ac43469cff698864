-- The asked files of which not enough is known under their fingerprint; what volumes in `again` had read before `read_since`, where it is set, is read again,
-- and so is what could not be read at the last try. Of several names of one file one `is_first`, if possible one whose reading had no problem under its scan (`has_failed`).
WITH found AS (
    SELECT
        asked.*,
        coalesce(failed.all_of_it OR list_contains(failed.inodes, asked.inode), FALSE) AS has_failed
    FROM asked
    LEFT JOIN unread
        ON asked.volume = unread.volume AND asked.dir = unread.dir AND asked.name = unread.name AND asked.inode IS NOT DISTINCT FROM unread.inode
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
            AND unread.failed_at IS NULL
            AND (known.has_digest OR NOT asked.whole)
            AND (getvariable('read_since') IS NULL OR known.digested_at >= getvariable('read_since') OR NOT list_contains(getvariable('again'), asked.volume))
    LEFT JOIN failed ON asked.volume = failed.volume AND asked.dir || asked.name = failed.path
)

SELECT
    *,  -- every column of asked -- noqa: AM04
    TRUE AS is_first
FROM found
WHERE inode IS NULL OR fs_id IS NULL OR link_count = 1
UNION ALL
SELECT
    *,
    row_number() OVER (
        PARTITION BY volume, fs_id, inode, created_at, size_bytes, modified_at, modified_ns, changed_at, changed_ns
        ORDER BY has_failed, dir, name
    ) = 1 AS is_first
FROM found
WHERE inode IS NOT NULL AND fs_id IS NOT NULL AND link_count IS DISTINCT FROM 1
