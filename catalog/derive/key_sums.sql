/* Sums over the files of each owner, extension, media type and age of last use (lower bound in days, against the scan; '' = unknown). */
SELECT
    f.by,
    f.volume,
    f.key,
    count(*) AS files,
    sum(f.counted_bytes) AS bytes,
    sum(CASE WHEN f.counted_bytes > 0 OR f.size_bytes = 0 THEN f.allocated_bytes ELSE 0 END) AS allocated_bytes,
    sum(CASE WHEN f.is_asset THEN 1 ELSE 0 END) AS assets,
    sum(CASE WHEN f.is_asset AND f.status = 'unprotected' THEN 1 ELSE 0 END) AS unprotected_assets,
    sum(CASE WHEN f.is_asset AND f.status = 'unprotected' THEN f.counted_bytes ELSE 0 END) AS unprotected_bytes,
    sum(CASE WHEN f.is_asset AND f.status = 'unknown' THEN 1 ELSE 0 END) AS unknown_assets,
    max(f.last_active_at) AS last_active_at
FROM (
    SELECT
        g.by,
        e.volume,
        CASE g.by
            WHEN 'owner' THEN coalesce(e.owner, '')
            WHEN 'extension' THEN coalesce(e.extension, '')
            WHEN 'media_type' THEN coalesce(e.media_type, '')
            WHEN 'age'
                THEN
                    CASE
                        WHEN e.last_active_at IS NULL THEN ''
                        WHEN e.last_active_at >= v.scanned_at - INTERVAL 30 DAY THEN '0'
                        WHEN e.last_active_at >= v.scanned_at - INTERVAL 90 DAY THEN '30'
                        WHEN e.last_active_at >= v.scanned_at - INTERVAL 180 DAY THEN '90'
                        WHEN e.last_active_at >= v.scanned_at - INTERVAL 365 DAY THEN '180'
                        WHEN e.last_active_at >= v.scanned_at - INTERVAL 730 DAY THEN '365'
                        WHEN e.last_active_at >= v.scanned_at - INTERVAL 1825 DAY THEN '730'
                        ELSE '1825'
                    END
        END AS key,
        e.counted_bytes,
        e.size_bytes,
        e.allocated_bytes,
        e.is_asset,
        e.status,
        e.last_active_at
    FROM files AS e
    INNER JOIN volume_facts AS v ON e.volume = v.volume
    CROSS JOIN groupings AS g
) AS f
GROUP BY f.by, f.volume, f.key
