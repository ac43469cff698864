/*
Sums over files that are alike in all that `history` and the sums by key tell apart; `age` is the lower bound in days since the last use, against the scan, '' where that is unknown;
`asset_status` is null of what is no asset.
*/
SELECT
    f.volume,
    f.data_class,
    coalesce(f.owner, '') AS owner,
    coalesce(f.extension, '') AS extension,
    coalesce(f.media_type, '') AS media_type,
    CASE
        WHEN f.last_active_at IS NULL THEN ''
        WHEN f.last_active_at >= v.scanned_at - INTERVAL 30 DAY THEN '0'
        WHEN f.last_active_at >= v.scanned_at - INTERVAL 90 DAY THEN '30'
        WHEN f.last_active_at >= v.scanned_at - INTERVAL 180 DAY THEN '90'
        WHEN f.last_active_at >= v.scanned_at - INTERVAL 365 DAY THEN '180'
        WHEN f.last_active_at >= v.scanned_at - INTERVAL 730 DAY THEN '365'
        WHEN f.last_active_at >= v.scanned_at - INTERVAL 1825 DAY THEN '730'
        ELSE '1825'
    END AS age,
    CASE WHEN f.is_asset THEN f.status END AS asset_status,
    count(*) AS files,
    sum(f.counted_bytes) AS bytes,
    sum(CASE WHEN f.counted_bytes > 0 OR f.size_bytes = 0 THEN f.allocated_bytes ELSE 0 END) AS allocated_bytes,
    sum(CASE WHEN f.is_last_copy THEN 1 ELSE 0 END) AS last_copies,
    max(f.last_active_at) AS last_active_at
FROM files AS f
INNER JOIN volume_facts AS v ON f.volume = v.volume
GROUP BY 1, 2, 3, 4, 5, 6, 7
