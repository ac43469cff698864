/*
The states of all volumes of an asset in four words of fifteen hexadecimal digits, and the best that is known of its copies.
Digits are put together by OR: where a listing gave one name twice, its volume has two rows, and a sum would carry into the digit of the next volume.
*/
SELECT
    a,
    entry_id,
    bit_or(CASE WHEN word = 0 THEN CAST(state * power AS BIGINT) ELSE 0 END) AS word_0,
    bit_or(CASE WHEN word = 1 THEN CAST(state * power AS BIGINT) ELSE 0 END) AS word_1,
    bit_or(CASE WHEN word = 2 THEN CAST(state * power AS BIGINT) ELSE 0 END) AS word_2,
    bit_or(CASE WHEN word = 3 THEN CAST(state * power AS BIGINT) ELSE 0 END) AS word_3,
    max(fresh) AS fresh,
    max(level) AS level,
    max(CASE WHEN level = 0 THEN verified_at END) AS verified_0_at,
    max(CASE WHEN level = 1 THEN verified_at END) AS verified_1_at,
    max(CASE WHEN level = 2 THEN verified_at END) AS verified_2_at,
    max(CASE WHEN level = 3 THEN verified_at END) AS verified_3_at,
    max(CASE WHEN level = 4 THEN verified_at END) AS verified_4_at,
    sum(uncounted_copies) AS uncounted_copies
FROM (
    SELECT
        e.a,
        e.entry_id,
        p.word,
        p.power,
        e.state,
        CASE WHEN e.found >= 3 AND NOT e.carried THEN 3 WHEN e.found >= 3 OR e.found = 0 THEN 2 ELSE 1 END AS fresh,
        CASE WHEN e.is_current AND NOT e.carried THEN e.level END AS level,
        e.verified_at,
        CASE WHEN e.found IN (3, 4) AND NOT e.carried THEN 1 ELSE 0 END AS uncounted_copies
    FROM evidence AS e
    INNER JOIN pair_list AS p ON e.a = p.a AND e.v = p.v
    UNION ALL
    SELECT
        x.a,
        x.entry_id,
        p.word,
        p.power,
        x.state,
        0 AS fresh,
        NULL AS level,
        NULL AS verified_at,
        0 AS uncounted_copies
    FROM absences AS x
    INNER JOIN pair_list AS p ON x.a = p.a AND x.v = p.v
) AS states
GROUP BY a, entry_id
