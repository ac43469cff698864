/* Assets whose content a volume holds, though not at the mapped path, or there only in a file that was carried over while another was seen. */
SELECT
    i.a,
    i.entry_id,
    h.v,
    h.entry_id AS copy_entry_id,
    h.size_bytes,
    h.modified_at,
    h.carried,
    CASE WHEN h.digest_read AND i.digest_read THEN 3 ELSE greatest(h.told_level, 1) END AS content_level,
    h.digested_at,
    CASE WHEN NOT h.digest_read THEN h.digested_at END AS told_at,
    h.files
FROM assets AS i
INNER JOIN holders AS h ON i.a = h.a AND i.digest_no = h.digest_no
LEFT JOIN own_matches AS m ON i.a = m.a AND i.entry_id = m.entry_id AND h.v = m.v AND m.found >= 4 AND NOT (m.found = 5 AND m.carried AND NOT h.carried)
WHERE coalesce(i.size_bytes, 1) > 0 AND m.a IS NULL
