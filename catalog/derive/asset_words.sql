/* What an asset's verdict depends on: assets with the same row here have the same verdict. */
SELECT
    i.a,
    i.entry_id,
    i.class_no,
    i.excepted,
    i.carried,
    o.v IS NOT NULL AS same_volume,
    b.base_0 + coalesce(p.word_0, 0) AS word_0,
    b.base_1 + coalesce(p.word_1, 0) AS word_1,
    b.base_2 + coalesce(p.word_2, 0) AS word_2,
    b.base_3 + coalesce(p.word_3, 0) AS word_3,
    CASE
        WHEN i.carried THEN 'unknown'
        WHEN p.fresh = 3 THEN 'current'
        WHEN p.fresh = 2 THEN 'unknown'
        WHEN p.fresh = 1 THEN CASE WHEN i.changed_since >= c.fresh_since THEN 'stale_within_rpo' ELSE 'stale_overdue' END
        WHEN i.changed_since >= c.fresh_since THEN 'new_within_rpo'
        ELSE 'unprotected'
    END AS freshness,
    p.level,
    CASE p.level WHEN 3 THEN p.verified_3_at WHEN 2 THEN p.verified_2_at WHEN 1 THEN p.verified_1_at END AS verified_at,
    coalesce(p.uncounted_copies, 0) AS uncounted_copies
FROM assets AS i
INNER JOIN volume_facts AS b ON i.a = b.v
INNER JOIN class_facts AS c ON i.class_no = c.class_no
LEFT JOIN per_asset AS p ON i.a = p.a AND i.entry_id = p.entry_id
LEFT JOIN own_duplicates AS o ON i.a = o.v AND i.digest_no = o.digest_no AND i.size_bytes > 0
