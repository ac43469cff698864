/*
What volumes say of assets that they have no match of, where it is more than a plain absence, as a state:
10 not scanned since the asset changed · 11 scan incomplete there · 12 path not mapped · 13 excluded
*/
SELECT
    x.a,
    x.entry_id,
    x.v,
    min(x.state) AS state
FROM (
    SELECT
        i.a,
        i.entry_id,
        p.v,
        10 AS state
    FROM assets AS i
    INNER JOIN pair_list AS p ON i.a = p.a
    INNER JOIN volume_facts AS f ON p.v = f.v AND NOT f.offline AND f.scanned_at < i.changed_for_absence
    UNION ALL
    SELECT
        u.a,
        u.entry_id,
        u.v,
        11 AS state
    FROM unseen AS u
    UNION ALL
    SELECT
        i.a,
        i.entry_id,
        p.v,
        12 AS state
    FROM assets AS i
    INNER JOIN pair_list AS p ON i.a = p.a AND p.mapped
    LEFT JOIN dir_targets AS t ON i.a = t.a AND p.v = t.v AND i.dir_no = t.dir_no
    WHERE t.a IS NULL
    UNION ALL
    SELECT
        i.a,
        i.entry_id,
        p.v,
        13 AS state
    FROM assets AS i
    INNER JOIN pair_list AS p ON i.a = p.a AND NOT p.mapped
    INNER JOIN volume_facts AS f ON p.v = f.v AND f.exclude_regex IS NOT NULL
    INNER JOIN dirs AS d ON i.dir_no = d.dir_no
    WHERE regexp_matches(d.dir || i.name, f.exclude_regex)
    UNION ALL
    SELECT
        t.a,
        t.entry_id,
        t.v,
        13 AS state
    FROM expected_targets AS t
    INNER JOIN volume_facts AS f ON t.v = f.v AND f.exclude_regex IS NOT NULL
    WHERE regexp_matches(t.target_dir || t.name, f.exclude_regex)
    UNION ALL
    SELECT
        o.a,
        o.entry_id,
        o.v,
        13 AS state
    FROM left_out AS o
) AS x
LEFT JOIN evidence AS m ON x.a = m.a AND x.entry_id = m.entry_id AND x.v = m.v
WHERE m.a IS NULL
GROUP BY x.a, x.entry_id, x.v
