/* What copies hold and no home does any more, as far as is known: see docs/protection.md. */
SELECT
    f.volume,
    s.entry_id,
    d.dir,
    s.name,
    s.size_bytes,
    s.modified_at,
    s.held_at,
    CASE WHEN p.v IS NULL THEN 'unmapped' WHEN h.v IS NULL THEN 'gone' ELSE 'changed' END AS kind,
    CASE
        WHEN s.blind OR s.size_bytes IS NULL OR p.v IS NULL OR p.hidden OR x.v IS NOT NULL OR w.v IS NOT NULL THEN 'unknown'
        WHEN contains('/' || coalesce(k.home_dir, p.home_dir), '/.lastcopy/') THEN 'unknown' -- scans leave out there what jobs made
        WHEN z.unread OR (z.size_bytes IS NOT NULL AND NOT s.has_digest) THEN 'unknown'
        ELSE 'yes'
    END AS certain,
    o.volume AS home_volume,
    coalesce(k.home_dir, p.home_dir) AS home_dir
FROM strays AS s
INNER JOIN dirs AS d ON s.dir_no = d.dir_no
INNER JOIN volume_facts AS f ON s.v = f.v
LEFT JOIN stray_homes AS h ON s.v = h.v AND s.entry_id = h.entry_id
LEFT JOIN (
    SELECT
        stray_dirs.v,
        stray_dirs.dir_no,
        min(stray_dirs.a) AS a,
        arg_min(stray_dirs.home_dir, stray_dirs.a) AS home_dir,
        bool_or(stray_dirs.hidden) AS hidden
    FROM stray_dirs
    GROUP BY 1, 2
) AS p ON s.v = p.v AND s.dir_no = p.dir_no
LEFT JOIN (
    SELECT
        stray_dirs.v,
        stray_dirs.dir_no,
        stray_dirs.a,
        min(stray_dirs.home_dir) AS home_dir
    FROM stray_dirs
    GROUP BY 1, 2, 3
) AS k ON s.v = k.v AND s.dir_no = k.dir_no AND h.a = k.a
LEFT JOIN (
    SELECT DISTINCT
        y.v,
        y.entry_id
    FROM strays AS y
    INNER JOIN stray_dirs AS r ON y.v = r.v AND y.dir_no = r.dir_no
    INNER JOIN problem_paths AS b ON r.a = b.v AND r.home_dir || y.name = b.path
) AS x ON s.v = x.v AND s.entry_id = x.entry_id
LEFT JOIN volume_facts AS o ON coalesce(h.a, p.a) = o.v
LEFT JOIN stray_sizes AS z ON s.size_bytes = z.size_bytes
LEFT JOIN (
    SELECT DISTINCT q.v
    FROM pair_places AS q
    INNER JOIN volume_facts AS g ON q.a = g.v
    WHERE g.scan_id IS NULL
) AS w ON s.v = w.v
WHERE NOT coalesce(h.alike, FALSE)
