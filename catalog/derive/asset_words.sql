/*
What an asset's verdict depends on: assets with the same circumstances and words have the same verdict.
Circumstances are one number of volume, class, freshness (0 unknown, 1 current, 2 stale within the age, 3 stale, 4 new within it, 5 none),
carried over, content twice on the volume, and excepted controls.
*/
SELECT
    w.a,
    w.entry_id,
    w.digest_no,
    w.class_no,
    w.excepted,
    w.carried,
    w.same_volume,
    w.freshness_no,
    w.word_0,
    w.word_1,
    w.word_2,
    w.word_3,
    w.may_hold,
    w.may_fail,
    w.level,
    w.verified_at,
    w.uncounted_copies,
    (
        (((CAST(w.a AS BIGINT) * 4096 + w.class_no) * 8 + w.freshness_no) * 2 + CASE WHEN w.carried THEN 1 ELSE 0 END) * 2
        + CASE WHEN w.same_volume THEN 1 ELSE 0 END
    )
    * 32768
    + w.excepted AS circumstances
FROM (
    SELECT
        i.a,
        i.entry_id,
        CASE WHEN coalesce(i.size_bytes, 1) > 0 THEN i.digest_no END AS digest_no,
        i.class_no,
        i.excepted,
        i.carried,
        o.v IS NOT NULL AS same_volume,
        b.base_0 + coalesce(p.word_0, 0) AS word_0,
        b.base_1 + coalesce(p.word_1, 0) AS word_1,
        b.base_2 + coalesce(p.word_2, 0) AS word_2,
        b.base_3 + coalesce(p.word_3, 0) AS word_3,
        CASE
            WHEN i.carried OR p.fresh = 2 THEN 0
            WHEN p.fresh = 3 THEN 1
            WHEN p.fresh = 1 THEN CASE WHEN i.changed_since >= c.fresh_since THEN 2 ELSE 3 END
            WHEN i.changed_since >= c.fresh_since THEN 4
            ELSE 5
        END AS freshness_no,
        p.level,
        CASE p.level
            WHEN 4 THEN p.verified_4_at
            WHEN 3 THEN p.verified_3_at
            WHEN 2 THEN p.verified_2_at
            WHEN 1 THEN p.verified_1_at
            WHEN 0 THEN p.verified_0_at
        END AS verified_at,
        coalesce(p.uncounted_copies, 0) AS uncounted_copies,
        coalesce(k.may_hold, 0) AS may_hold,
        coalesce(k.may_fail, 0) AS may_fail
    FROM assets AS i
    INNER JOIN volume_facts AS b ON i.a = b.v
    INNER JOIN class_facts AS c ON i.class_no = c.class_no
    LEFT JOIN per_asset AS p ON i.a = p.a AND i.entry_id = p.entry_id
    LEFT JOIN lock_words AS k ON i.a = k.a AND i.entry_id = k.entry_id
    LEFT JOIN own_duplicates AS o ON i.a = o.v AND i.digest_no = o.digest_no AND coalesce(i.size_bytes, 1) > 0
) AS w
