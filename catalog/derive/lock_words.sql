/* What the locks of objects say of an asset's copies, in two words of a bit a volume: they may hold it, they may not; neither, where no object tells. */
SELECT
    k.a,
    k.entry_id,
    bit_or(CASE WHEN k.outlasts > 0 THEN p.volume_bit ELSE 0 END) AS may_hold,
    bit_or(CASE WHEN k.outlasts < 2 THEN p.volume_bit ELSE 0 END) AS may_fail
FROM copy_locks AS k
INNER JOIN pair_list AS p ON k.a = p.a AND k.v = p.v
GROUP BY k.a, k.entry_id
