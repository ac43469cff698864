-- The files of the newest scans whose content can be known, with the fingerprint that a digest holds for. What a backup, or somebody else, only lists is none of them;
-- nor is what is read `on_request`, and was not yet (`requested`), unless it is read now.
SELECT
    volume,
    scan_id,
    dir,
    name,
    path_hash,
    fs_id,
    coalesce(fs_id, '?' || volume) AS fs_key,
    inode,
    created_at,
    size_bytes,
    allocated_bytes,
    modified_at,
    modified_ns,
    changed_at,
    changed_ns,
    accessed_at,
    link_count,
    digest AS attested,
    last_recovery_point IS NOT NULL AS is_version
FROM entries
WHERE
    type IN ('file', 'object') AND size_bytes > 0 AND carried_from IS NULL
    AND ((last_recovery_point IS NULL AND attested_at IS NULL) OR digest IS NOT NULL OR (restore_state = 'whole' AND inode IS NOT NULL))
    AND (
        NOT list_contains(getvariable('on_request'), volume)
        OR list_contains(getvariable('again'), volume)
        OR (volume, fs_id, inode) IN (SELECT (requested.volume, requested.fs_id, requested.inode) FROM requested)
    )
