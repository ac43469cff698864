/* Sums by folder (with all below it), owner, extension, media type and age of last use, for each volume. */
SELECT
    s.by,
    s.volume,
    s.key,
    CAST(s.depth AS INTEGER) AS depth,
    sum(s.files) AS files,
    sum(s.bytes) AS bytes,
    sum(s.allocated_bytes) AS allocated_bytes,
    sum(s.assets) AS assets,
    sum(s.unprotected_assets) AS unprotected_assets,
    sum(s.unprotected_bytes) AS unprotected_bytes,
    sum(s.unknown_assets) AS unknown_assets,
    max(s.last_active_at) AS last_active_at
FROM (
    SELECT
        'folder' AS by,
        d.volume,
        f.key,
        f.depth,
        d.files,
        d.bytes,
        d.allocated_bytes,
        d.assets,
        d.unprotected_assets,
        d.unprotected_bytes,
        d.unknown_assets,
        d.last_active_at
    FROM dir_sums AS d
    INNER JOIN folders AS f ON d.dir = f.dir
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
GROUP BY s.by, s.volume, s.key, s.depth
