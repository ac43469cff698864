-- The files of the newest scans whose content can be known, with the fingerprint that a digest holds for. What a backup, or somebody else, only lists is none of them.
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
    digest AS attested
FROM entries
WHERE
    type = 'file' AND size_bytes > 0 AND carried_from IS NULL
    AND ((last_recovery_point IS NULL AND attested_at IS NULL) OR digest IS NOT NULL OR (restore_state = 'whole' AND inode IS NOT NULL))
