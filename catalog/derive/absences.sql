/*
What volumes say of assets that they have no match of, where it is more than a plain absence, as a state:
10 not scanned since the asset changed · 11 scan incomplete there · 12 path not mapped · 13 excluded
*/
WITH said AS MATERIALIZED (
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
        n.v,
        12 AS state
    FROM assets AS i
    INNER JOIN (
        SELECT
            d.a,
            p.v,
            d.dir_no
        FROM (
            SELECT DISTINCT
                assets.a,
                assets.dir_no
            FROM assets
        ) AS d
        INNER JOIN pair_list AS p ON d.a = p.a AND p.mapped
        LEFT JOIN dir_targets AS t ON d.a = t.a AND p.v = t.v AND d.dir_no = t.dir_no
        WHERE t.a IS NULL
    ) AS n ON i.a = n.a AND i.dir_no = n.dir_no
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
),

matched AS MATERIALIZED (
    SELECT
        m.a,
        m.entry_id,
        m.v
    FROM evidence AS m
    INNER JOIN (
        SELECT DISTINCT
            said.a,
            said.entry_id,
            said.v
        FROM said
    ) AS s ON m.a = s.a AND m.entry_id = s.entry_id AND m.v = s.v
)

SELECT
    x.a,
    x.entry_id,
    x.v,
    min(x.state) AS state
FROM said AS x
LEFT JOIN matched AS m ON x.a = m.a AND x.entry_id = m.entry_id AND x.v = m.v
WHERE m.a IS NULL
GROUP BY x.a, x.entry_id, x.v
