/* Sums over the files of each directory, without those below. */
SELECT
    volume,
    dir,
    count(*) AS files,
    sum(counted_bytes) AS bytes,
    sum(CASE WHEN counted_bytes > 0 OR size_bytes = 0 THEN allocated_bytes ELSE 0 END) AS allocated_bytes,
    sum(CASE WHEN is_asset THEN 1 ELSE 0 END) AS assets,
    sum(CASE WHEN is_asset AND status = 'unprotected' THEN 1 ELSE 0 END) AS unprotected_assets,
    sum(CASE WHEN is_asset AND status = 'unprotected' THEN counted_bytes ELSE 0 END) AS unprotected_bytes,
    sum(CASE WHEN is_asset AND status = 'unknown' THEN 1 ELSE 0 END) AS unknown_assets,
    max(last_active_at) AS last_active_at
FROM files
GROUP BY volume, dir
