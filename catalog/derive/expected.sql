/* Where each possible asset would lie on the volumes that may protect it and have a path_map: one row an asset, volume and mapped path. */
SELECT
    i.v AS a,
    i.entry_id,
    t.v,
    d.dir_no,
    t.target_dir,
    i.name
FROM items AS i
INNER JOIN dir_targets AS t ON i.v = t.a AND i.dir_no = t.dir_no
LEFT JOIN dirs AS d ON t.target_dir = d.dir
WHERE i.potential
