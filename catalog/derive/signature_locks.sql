/* Whether locks hold a volume's copies in each signature, where its objects tell of them: 0 no, 1 unknown, 2 yes. */
SELECT
    s.signature_no,
    f.v,
    CASE WHEN (s.may_hold & f.volume_bit) = 0 THEN 0 WHEN (s.may_fail & f.volume_bit) = 0 THEN 2 ELSE 1 END AS locked
FROM signatures AS s
INNER JOIN pair_facts AS f ON s.a = f.a AND s.class_no = f.class_no AND NOT f.is_self
WHERE ((s.may_hold | s.may_fail) & f.volume_bit) <> 0
