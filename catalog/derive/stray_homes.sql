/* Strays at whose home an asset lies: `alike` where it is the same by its size and time, and nobody compared the two. */
SELECT
    s.v,
    s.entry_id,
    min(s.a) AS a,
    bool_or(
        i.size_bytes = s.size_bytes
        AND i.time_trusted
        AND s.time_trusted
        AND coalesce(same_time(i.modified_at, s.modified_at, i.time_coarse OR s.time_coarse, i.time_rounded OR s.time_rounded), FALSE)
        AND NOT (i.has_digest AND s.has_digest)
        AND NOT (i.has_sample AND s.has_sample AND NOT coalesce(i.sample_no = s.sample_no, FALSE))
    ) AS alike
FROM items AS i
INNER JOIN (
    SELECT
        strays.*,
        p.a,
        strays.dir_no AS home_dir_no
    FROM strays
    INNER JOIN pair_places AS p ON strays.v = p.v AND NOT p.mapped
    UNION ALL
    SELECT
        strays.*,
        t.a,
        t.dir_no AS home_dir_no
    FROM strays
    INNER JOIN dir_targets AS t ON strays.v = t.v AND strays.dir_no = t.target_no
) AS s ON i.v = s.a AND i.dir_no = s.home_dir_no AND i.name = s.name
INNER JOIN volume_facts AS f ON i.v = f.v
LEFT JOIN homes AS h ON i.v = h.v AND i.entry_id = h.entry_id
WHERE NOT i.aside AND (f.role = 'primary' OR h.v IS NOT NULL)
GROUP BY 1, 2
