/* Directories of each volume that lie at or below a path that its scan had a problem with. */
SELECT DISTINCT
    p.v,
    d.dir_no
FROM problem_paths AS p
INNER JOIN dirs AS d ON d.dir >= p.prefix AND d.dir < p.prefix_end
