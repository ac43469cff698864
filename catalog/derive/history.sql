/* One row a volume and class: what there was, and how far it was protected, at this snapshot. */
SELECT
    n.as_of,
    f.volume,
    f.data_class,
    count(*) AS files,
    sum(f.counted_bytes) AS bytes,
    sum(CASE WHEN f.is_asset THEN 1 ELSE 0 END) AS assets,
    sum(CASE WHEN f.is_asset THEN f.counted_bytes ELSE 0 END) AS asset_bytes,
    sum(CASE WHEN f.is_asset AND f.status = 'protected' THEN 1 ELSE 0 END) AS protected_assets,
    sum(CASE WHEN f.is_asset AND f.status = 'protected' THEN f.counted_bytes ELSE 0 END) AS protected_bytes,
    sum(CASE WHEN f.is_asset AND f.status = 'partly' THEN 1 ELSE 0 END) AS partly_assets,
    sum(CASE WHEN f.is_asset AND f.status = 'unprotected' THEN 1 ELSE 0 END) AS unprotected_assets,
    sum(CASE WHEN f.is_asset AND f.status = 'unprotected' THEN f.counted_bytes ELSE 0 END) AS unprotected_bytes,
    sum(CASE WHEN f.is_asset AND f.status = 'unknown' THEN 1 ELSE 0 END) AS unknown_assets,
    sum(CASE WHEN f.is_asset AND f.status = 'unknown' THEN f.counted_bytes ELSE 0 END) AS unknown_bytes,
    sum(CASE WHEN f.is_asset AND f.status = 'excepted' THEN 1 ELSE 0 END) AS excepted_assets,
    sum(CASE WHEN f.is_last_copy THEN 1 ELSE 0 END) AS last_copies,
    sum(CASE WHEN f.last_active_at < v.scanned_at - INTERVAL 365 DAY THEN f.counted_bytes ELSE 0 END) AS dormant_year_bytes
FROM files AS f
INNER JOIN volume_facts AS v ON f.volume = v.volume
CROSS JOIN this_snapshot AS n
GROUP BY n.as_of, f.volume, f.data_class
