/* One row an asset: its signature and what else is known of its copies. */
SELECT
    w.a,
    w.entry_id,
    g.signature_no,
    w.level,
    w.verified_at,
    w.uncounted_copies,
    i.digest_no,
    i.size_bytes
FROM asset_words AS w
INNER JOIN assets AS i ON w.a = i.a AND w.entry_id = i.entry_id
INNER JOIN signatures AS g
    ON
        w.a = g.a
        AND w.class_no = g.class_no
        AND w.excepted = g.excepted
        AND w.carried = g.carried
        AND w.same_volume = g.same_volume
        AND w.freshness = g.freshness
        AND w.word_0 = g.word_0
        AND w.word_1 = g.word_1
        AND w.word_2 = g.word_2
        AND w.word_3 = g.word_3
