/* Files of volumes for copies that are no assets and no copies of any, in numbers. What is empty, a stub or in quarantine is left out: nothing would be lost with it. */
SELECT
    i.v,
    i.entry_id,
    i.dir_no,
    i.name,
    i.size_bytes,
    i.modified_at,
    i.time_trusted,
    i.time_coarse,
    i.time_rounded,
    i.has_digest,
    i.has_sample,
    i.sample_no,
    i.held_at,
    i.carried OR u.v IS NOT NULL AS blind
FROM items AS i
INNER JOIN (
    SELECT
        f.v,
        s.entry_id
    FROM stored_files AS s
    INNER JOIN volume_facts AS f ON s.volume = f.volume AND f.role <> 'primary' AND NOT f.doubled
    WHERE s.signature_no IS NULL AND s.copy_status IS NULL AND coalesce(s.size_bytes, 1) > 0
) AS c ON i.v = c.v AND i.entry_id = c.entry_id
LEFT JOIN unreadable AS u ON i.v = u.v AND i.entry_id = u.entry_id
WHERE NOT i.aside
