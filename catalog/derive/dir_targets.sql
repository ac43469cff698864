/*
Where each directory of an asset volume lies on a volume with a path_map: the longest prefix wins. Directories that no key reaches are missing;
those that no file lies in there have no number.
*/
SELECT
    reached.a,
    reached.v,
    reached.dir_no,
    reached.target_dir,
    t.dir_no AS target_no
FROM (
    SELECT
        m.a,
        m.v,
        d.dir_no,
        m.v_prefix || substr(d.dir, length(m.a_prefix) + 1) AS target_dir,
        row_number() OVER (PARTITION BY m.a, m.v, d.dir_no ORDER BY length(m.a_prefix) DESC, m.v_prefix) AS place
    FROM dirs AS d
    INNER JOIN mappings AS m ON d.dir >= m.a_prefix AND d.dir < m.a_prefix_end
) AS reached
LEFT JOIN dirs AS t ON reached.target_dir = t.dir
WHERE reached.place = 1
