/* Sums over the files of each owner, extension, media type and age of last use (lower bound in days, against the scan; '' = unknown). */
SELECT
    g.by,
    f.volume,
    CASE g.by WHEN 'owner' THEN f.owner WHEN 'extension' THEN f.extension WHEN 'media_type' THEN f.media_type ELSE f.age END AS key,
    sum(f.files) AS files,
    sum(f.bytes) AS bytes,
    sum(f.allocated_bytes) AS allocated_bytes,
    sum(f.assets) AS assets,
    sum(f.unprotected_assets) AS unprotected_assets,
    sum(f.unprotected_bytes) AS unprotected_bytes,
    sum(f.unknown_assets) AS unknown_assets,
    max(f.last_active_at) AS last_active_at
FROM (
    SELECT
        e.volume,
        coalesce(e.owner, '') AS owner,
        coalesce(e.extension, '') AS extension,
        coalesce(e.media_type, '') AS media_type,
        CASE
            WHEN e.last_active_at IS NULL THEN ''
            WHEN e.last_active_at >= v.scanned_at - INTERVAL 30 DAY THEN '0'
            WHEN e.last_active_at >= v.scanned_at - INTERVAL 90 DAY THEN '30'
            WHEN e.last_active_at >= v.scanned_at - INTERVAL 180 DAY THEN '90'
            WHEN e.last_active_at >= v.scanned_at - INTERVAL 365 DAY THEN '180'
            WHEN e.last_active_at >= v.scanned_at - INTERVAL 730 DAY THEN '365'
            WHEN e.last_active_at >= v.scanned_at - INTERVAL 1825 DAY THEN '730'
            ELSE '1825'
        END AS age,
        count(*) AS files,
        sum(e.counted_bytes) AS bytes,
        sum(CASE WHEN e.counted_bytes > 0 OR e.size_bytes = 0 THEN e.allocated_bytes ELSE 0 END) AS allocated_bytes,
        sum(CASE WHEN e.is_asset THEN 1 ELSE 0 END) AS assets,
        sum(CASE WHEN e.is_asset AND e.status = 'unprotected' THEN 1 ELSE 0 END) AS unprotected_assets,
        sum(CASE WHEN e.is_asset AND e.status = 'unprotected' THEN e.counted_bytes ELSE 0 END) AS unprotected_bytes,
        sum(CASE WHEN e.is_asset AND e.status = 'unknown' THEN 1 ELSE 0 END) AS unknown_assets,
        max(e.last_active_at) AS last_active_at
    FROM files AS e
    INNER JOIN volume_facts AS v ON e.volume = v.volume
    GROUP BY 1, 2, 3, 4, 5
) AS f
CROSS JOIN groupings AS g
GROUP BY 1, 2, 3
