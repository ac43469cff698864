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
    x.a,
    x.entry_id,
    x.v
FROM expected_targets AS x
INNER JOIN problem_paths AS b ON x.v = b.v AND x.target_dir >= b.prefix AND x.target_dir < b.prefix_end
UNION
SELECT
    i.a,
    i.entry_id,
    p.v
FROM assets AS i
INNER JOIN pair_list AS p ON i.a = p.a AND NOT p.mapped
INNER JOIN dirs AS d ON i.dir_no = d.dir_no
INNER JOIN problem_paths AS b ON p.v = b.v AND d.dir || i.name = b.path
UNION
SELECT
    x.a,
    x.entry_id,
    x.v
FROM expected_targets AS x
INNER JOIN problem_paths AS b ON x.v = b.v AND x.target_dir || x.name = b.path
