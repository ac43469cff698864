-- The files of volumes in `again` whose whole content was read under the fingerprint that they have now: all of them are read again.
SELECT
    files.volume,
    files.dir,
    files.name
FROM files
SEMI JOIN known
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
        AND known.has_digest
WHERE list_contains(getvariable('again'), files.volume)
