/* Assets that a volume holds nothing of, whose path the patterns of its newest recovery point left out. */
SELECT DISTINCT
    w.a,
    w.entry_id,
    w.v
FROM (
    SELECT
        i.a,
        i.entry_id,
        p.v,
        '/' || d.dir || i.name || '/' AS path
    FROM assets AS i
    INNER JOIN pair_list AS p ON i.a = p.a AND NOT p.mapped
    INNER JOIN dirs AS d ON i.dir_no = d.dir_no
    LEFT JOIN evidence AS m ON i.a = m.a AND i.entry_id = m.entry_id AND p.v = m.v
    WHERE m.a IS NULL AND p.v IN (SELECT exclusions.v FROM exclusions)
    UNION ALL
    SELECT
        t.a,
        t.entry_id,
        t.v,
        '/' || t.target_dir || t.name || '/' AS path
    FROM expected_targets AS t
    LEFT JOIN evidence AS m ON t.a = m.a AND t.entry_id = m.entry_id AND t.v = m.v
    WHERE m.a IS NULL AND t.v IN (SELECT exclusions.v FROM exclusions)
) AS w
INNER JOIN exclusions AS x ON w.a = x.a AND w.v = x.v
WHERE CASE WHEN x.at_begin THEN starts_with(w.path, x.text) ELSE contains(w.path, x.text) END
