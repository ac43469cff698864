/* One row an asset and volume that has a match with it. A copy at the mapped path has the name of its asset. */
SELECT
    fa.volume,
    e.entry_id,
    da.dir,
    i.name,
    fv.volume AS copy_volume,
    dv.dir AS copy_dir,
    coalesce(b.name, i.name) AS copy_name,
    e.copy_entry_id,
    CASE e.found WHEN 3 THEN 'metadata' WHEN 2 THEN 'conflict' WHEN 1 THEN 'older' WHEN 0 THEN 'path_only' ELSE 'content' END AS match,
    e.is_current,
    e.files,
    e.size_bytes,
    e.modified_at,
    e.level AS verification_level,
    e.verified_at,
    e.own_level,
    e.own_verified_at,
    e.restored_at,
    e.read_at,
    e.looked_at,
    CASE t.usable WHEN 2 THEN 'yes' WHEN 1 THEN 'unknown' ELSE 'no' END AS usable,
    CASE WHEN t.usable < 2 THEN r.reason END AS usable_reason,
    CASE
        WHEN k.mode_no = 2 THEN 'compliance'
        WHEN k.held THEN 'hold'
        WHEN k.mode_no = 1 THEN 'governance'
        WHEN k.mode_no = 0 THEN 'none'
    END AS lock_mode,
    CASE WHEN k.mode_no = 2 OR NOT k.held THEN k.retain_until END AS locked_until,
    CASE k.outlasts WHEN 2 THEN 'yes' WHEN 1 THEN 'unknown' WHEN 0 THEN 'no' END AS lock_outlasts,
    CASE k.binds WHEN 2 THEN 'yes' WHEN 1 THEN 'unknown' WHEN 0 THEN 'no' END AS lock_binds,
    e.seen_at
FROM evidence AS e
INNER JOIN (
    SELECT
        items.v,
        items.entry_id,
        items.dir_no,
        items.name
    FROM items
    WHERE items.potential
) AS i ON e.a = i.v AND e.entry_id = i.entry_id
LEFT JOIN copies_elsewhere AS b ON e.v = b.v AND e.copy_entry_id = b.entry_id AND e.copy_dir_no IS NULL
INNER JOIN dirs AS da ON i.dir_no = da.dir_no
INNER JOIN dirs AS dv ON coalesce(e.copy_dir_no, b.dir_no) = dv.dir_no
INNER JOIN volume_facts AS fa ON e.a = fa.v
INNER JOIN volume_facts AS fv ON e.v = fv.v
INNER JOIN states AS t ON e.state = t.state
LEFT JOIN copy_locks AS k ON e.a = k.a AND e.entry_id = k.entry_id AND e.v = k.v
LEFT JOIN reasons AS r ON t.reason_order = r.reason_order
