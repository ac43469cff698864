/* Where the home of what lies in each directory with strays would be, by each volume that it may be of; `hidden` where the scan there did not see that place. */
SELECT
    r.v,
    r.dir_no,
    r.a,
    r.home_dir,
    bool_or(b.v IS NOT NULL) AS hidden
FROM (
    SELECT
        s.v,
        s.dir_no,
        p.a,
        CASE WHEN p.mapped THEN m.a_prefix || substr(d.dir, length(m.v_prefix) + 1) ELSE d.dir END AS home_dir
    FROM (
        SELECT DISTINCT
            strays.v,
            strays.dir_no
        FROM strays
    ) AS s
    INNER JOIN dirs AS d ON s.dir_no = d.dir_no
    INNER JOIN pair_places AS p ON s.v = p.v
    LEFT JOIN mappings AS m ON p.a = m.a AND p.v = m.v AND starts_with(d.dir, m.v_prefix)
    WHERE NOT p.mapped OR m.a IS NOT NULL
) AS r
LEFT JOIN problem_paths AS b ON r.a = b.v AND r.home_dir >= b.prefix AND r.home_dir < b.prefix_end
GROUP BY 1, 2, 3, 4
