/* Sums by folder (with all below it), owner, extension, media type and age of last use, for each volume. */
SELECT
    s.by,
    s.volume,
    s.key,
    CAST(s.depth AS INTEGER) AS depth,
    s.files,
    s.bytes,
    s.allocated_bytes,
    s.assets,
    s.unprotected_assets,
    s.unprotected_bytes,
    s.unknown_assets,
    s.last_active_at
FROM (
    SELECT
        'folder' AS by,
        d.volume,
        n.dir AS key,
        n.depth,
        d.files,
        d.bytes,
        d.allocated_bytes,
        d.assets,
        d.unprotected_assets,
        d.unprotected_bytes,
        d.unknown_assets,
        d.last_active_at
    FROM folder_sums AS d
    INNER JOIN all_dirs AS n ON d.folder_no = n.folder_no
    UNION ALL
    SELECT
        k.by,
        k.volume,
        k.key,
        0 AS depth,
        k.files,
        k.bytes,
        k.allocated_bytes,
        k.assets,
        k.unprotected_assets,
        k.unprotected_bytes,
        k.unknown_assets,
        k.last_active_at
    FROM key_sums AS k
) AS s
