/* Assets whose mapped path on a volume equals, or lies below, a path that the volume's scan had a problem with. */
SELECT
    i.a,
    i.entry_id,
    p.v
FROM assets AS i
INNER JOIN pair_list AS p ON i.a = p.a AND NOT p.mapped
INNER JOIN blind_dirs AS b ON p.v = b.v AND i.dir_no = b.dir_no
UNION
SELECT
    i.a,
    i.entry_id,
    x.v
FROM assets AS i
INNER JOIN (
    SELECT
        t.a,
        t.dir_no,
        t.v
    FROM dir_targets AS t
    INNER JOIN problem_paths AS b ON t.v = b.v AND t.target_dir >= b.prefix AND t.target_dir < b.prefix_end
) AS x ON i.a = x.a AND i.dir_no = x.dir_no
UNION
SELECT
    i.a,
    i.entry_id,
    p.v
FROM assets AS i
INNER JOIN pair_list AS p ON i.a = p.a AND NOT p.mapped
INNER JOIN (
    SELECT
        b.v,
        d.dir_no,
        b.name
    FROM problem_paths AS b
    INNER JOIN dirs AS d ON b.dir = d.dir
) AS x ON p.v = x.v AND i.dir_no = x.dir_no AND i.name = x.name
UNION
SELECT
    i.a,
    i.entry_id,
    x.v
FROM assets AS i
INNER JOIN (
    SELECT
        t.a,
        t.dir_no,
        t.v,
        b.name
    FROM dir_targets AS t
    INNER JOIN problem_paths AS b ON t.v = b.v AND t.target_dir = b.dir
) AS x ON i.a = x.a AND i.dir_no = x.dir_no AND i.name = x.name
