/*
Where each directory of an asset volume lies on a volume with a path_map: the longest prefix wins. Directories that no key reaches are missing;
those that no file lies in there have no number.
*/
WITH ranked AS MATERIALIZED (
    SELECT
        a,
        v,
        v_prefix,
        a_prefix,
        a_prefix_end,
        row_number() OVER (PARTITION BY a, v ORDER BY length(a_prefix) ASC, v_prefix DESC) AS place
    FROM mappings
),

chosen AS (
    SELECT
        m.a,
        m.v,
        d.dir_no,
        max(m.place) AS place
    FROM dirs AS d
    INNER JOIN ranked AS m ON d.dir >= m.a_prefix AND d.dir < m.a_prefix_end
    GROUP BY m.a, m.v, d.dir_no
)

SELECT
    reached.a,
    reached.v,
    reached.dir_no,
    reached.target_dir,
    t.dir_no AS target_no
FROM (
    SELECT
        c.a,
        c.v,
        c.dir_no,
        m.v_prefix || substr(d.dir, length(m.a_prefix) + 1) AS target_dir
    FROM chosen AS c
    INNER JOIN dirs AS d ON c.dir_no = d.dir_no
    INNER JOIN ranked AS m ON c.a = m.a AND c.v = m.v AND c.place = m.place
) AS reached
LEFT JOIN dirs AS t ON reached.target_dir = t.dir
