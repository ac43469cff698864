/* One row a volume and class: what there was, and how far it was protected, at this snapshot. */
SELECT
    n.as_of,
    f.volume,
    f.data_class,
    sum(f.files) AS files,
    sum(f.bytes) AS bytes,
    sum(CASE WHEN f.asset_status IS NOT NULL THEN f.files ELSE 0 END) AS assets,
    sum(CASE WHEN f.asset_status IS NOT NULL THEN f.bytes ELSE 0 END) AS asset_bytes,
    sum(CASE WHEN f.asset_status = 'protected' THEN f.files ELSE 0 END) AS protected_assets,
    sum(CASE WHEN f.asset_status = 'protected' THEN f.bytes ELSE 0 END) AS protected_bytes,
    sum(CASE WHEN f.asset_status = 'partly' THEN f.files ELSE 0 END) AS partly_assets,
    sum(CASE WHEN f.asset_status = 'unprotected' THEN f.files ELSE 0 END) AS unprotected_assets,
    sum(CASE WHEN f.asset_status = 'unprotected' THEN f.bytes ELSE 0 END) AS unprotected_bytes,
    sum(CASE WHEN f.asset_status = 'unknown' THEN f.files ELSE 0 END) AS unknown_assets,
    sum(CASE WHEN f.asset_status = 'unknown' THEN f.bytes ELSE 0 END) AS unknown_bytes,
    sum(CASE WHEN f.asset_status = 'excepted' THEN f.files ELSE 0 END) AS excepted_assets,
    sum(f.last_copies) AS last_copies,
    sum(CASE WHEN f.age IN ('365', '730', '1825') THEN f.bytes ELSE 0 END) AS dormant_year_bytes
FROM file_sums AS f
CROSS JOIN this_snapshot AS n
GROUP BY n.as_of, f.volume, f.data_class
