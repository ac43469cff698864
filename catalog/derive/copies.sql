/* One row an asset and volume that has a match with it. */
SELECT
    fa.volume,
    e.entry_id,
    da.dir,
    i.name,
    fv.volume AS copy_volume,
    dv.dir AS copy_dir,
    b.name AS copy_name,
    e.copy_entry_id,
    CASE WHEN e.found >= 4 THEN 'content' WHEN e.found = 3 THEN 'metadata' WHEN e.found = 2 THEN 'conflict' ELSE 'older' END AS match,
    e.is_current,
    e.files,
    e.size_bytes,
    e.modified_at,
    e.level AS verification_level,
    e.verified_at,
    CASE t.usable WHEN 2 THEN 'yes' WHEN 1 THEN 'unknown' ELSE 'no' END AS usable,
    CASE WHEN t.usable < 2 THEN r.reason END AS usable_reason,
    e.scanned_at AS seen_at
FROM evidence AS e
INNER JOIN assets AS i ON e.a = i.a AND e.entry_id = i.entry_id
INNER JOIN items AS b ON e.v = b.v AND e.copy_entry_id = b.entry_id
INNER JOIN dirs AS da ON i.dir_no = da.dir_no
INNER JOIN dirs AS dv ON b.dir_no = dv.dir_no
INNER JOIN volume_facts AS fa ON e.a = fa.v
INNER JOIN volume_facts AS fv ON e.v = fv.v
INNER JOIN states AS t ON e.state = t.state
LEFT JOIN reasons AS r ON t.reason_order = r.reason_order
