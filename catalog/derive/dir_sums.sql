/* Sums over the files of each directory, without those below. */
SELECT
    s.volume,
    d.folder_no AS dir_no,
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
        f.volume,
        f.dir,
        count(*) AS files,
        sum(f.counted_bytes) AS bytes,
        sum(CASE WHEN f.counted_bytes > 0 OR f.size_bytes = 0 THEN f.allocated_bytes ELSE 0 END) AS allocated_bytes,
        sum(CASE WHEN f.is_asset THEN 1 ELSE 0 END) AS assets,
        sum(CASE WHEN f.is_asset AND f.status = 'unprotected' THEN 1 ELSE 0 END) AS unprotected_assets,
        sum(CASE WHEN f.is_asset AND f.status = 'unprotected' THEN f.counted_bytes ELSE 0 END) AS unprotected_bytes,
        sum(CASE WHEN f.is_asset AND f.status = 'unknown' THEN 1 ELSE 0 END) AS unknown_assets,
        max(f.last_active_at) AS last_active_at
    FROM files AS f
    GROUP BY f.volume, f.dir
) AS s
INNER JOIN all_dirs AS d ON s.dir = d.dir
