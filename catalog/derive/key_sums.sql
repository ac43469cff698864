/* Sums over the files of each owner, extension, media type and age of last use (lower bound in days, against the scan; '' = unknown). */
SELECT
    g.by,
    f.volume,
    CASE g.by WHEN 'owner' THEN f.owner WHEN 'extension' THEN f.extension WHEN 'media_type' THEN f.media_type ELSE f.age END AS key,
    sum(f.files) AS files,
    sum(f.bytes) AS bytes,
    sum(f.allocated_bytes) AS allocated_bytes,
    sum(CASE WHEN f.asset_status IS NOT NULL THEN f.files ELSE 0 END) AS assets,
    sum(CASE WHEN f.asset_status = 'unprotected' THEN f.files ELSE 0 END) AS unprotected_assets,
    sum(CASE WHEN f.asset_status = 'unprotected' THEN f.bytes ELSE 0 END) AS unprotected_bytes,
    sum(CASE WHEN f.asset_status = 'unknown' THEN f.files ELSE 0 END) AS unknown_assets,
    max(f.last_active_at) AS last_active_at
FROM file_sums AS f
CROSS JOIN groupings AS g
GROUP BY 1, 2, 3
