/* Where each asset would lie on the volumes that may protect it and have a path_map: one row an asset, volume and mapped path. */
SELECT
    i.a,
    i.entry_id,
    t.v,
    t.target_dir,
    i.name
FROM assets AS i
INNER JOIN dir_targets AS t ON i.a = t.a AND i.dir_no = t.dir_no
