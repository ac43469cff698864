/* The path matches of assets, of a backup the chosen ones, without the files that are the asset volume's own. What could not be read is known no better than what was carried over. */
SELECT
    m.a,
    m.entry_id,
    m.v,
    m.copy_entry_id,
    m.copy_dir_no,
    m.size_bytes,
    m.modified_at,
    m.carried OR u.v IS NOT NULL AS carried,
    m.content_level,
    m.own_level,
    m.told_level,
    m.held_at,
    m.digest_no,
    m.digested_at,
    m.told_at,
    m.is_version,
    m.found
FROM path_matches AS m
INNER JOIN assets AS i ON m.a = i.a AND m.entry_id = i.entry_id
LEFT JOIN own_copies AS o ON m.a = o.a AND m.v = o.v AND m.copy_entry_id = o.entry_id
LEFT JOIN unreadable AS u ON m.v = u.v AND m.copy_entry_id = u.entry_id
LEFT JOIN chosen_versions AS c ON m.a = c.a AND m.entry_id = c.entry_id AND m.v = c.v AND m.copy_entry_id = c.copy_entry_id
WHERE o.a IS NULL AND (NOT m.listed OR c.a IS NOT NULL)
