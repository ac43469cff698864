/* One row an asset: its signature and what else is known of its copies. */
SELECT
    w.a,
    w.entry_id,
    g.signature_no,
    w.level,
    w.verified_at,
    w.uncounted_copies,
    w.carried,
    w.digest_no
FROM asset_words AS w
INNER JOIN signatures AS g
    ON
        w.circumstances = g.circumstances
        AND w.word_0 = g.word_0
        AND w.word_1 = g.word_1
        AND w.word_2 = g.word_2
        AND w.word_3 = g.word_3
        AND w.may_hold = g.may_hold
        AND w.may_fail = g.may_fail
