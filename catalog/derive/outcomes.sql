/* One narrow row a file: everything about it that its own entry does not say. */
SELECT
    i.v,
    i.entry_id,
    n.v IS NULL AS counted,
    i.accessed_at,
    i.first_seen_at,
    o.signature_no,
    o.level,
    o.verified_at,
    CASE
        WHEN i.carried OR (u.v IS NOT NULL AND o.a IS NULL) THEN 0
        ELSE
            coalesce(CASE WHEN u.v IS NULL THEN c.files - 1 END, 0)
            + coalesce(o.uncounted_copies, CASE WHEN c.files IS NULL THEN s.other_copies END, 0)
    END AS other_copies,
    b.status AS copy_status
FROM items AS i
LEFT JOIN later_names AS n ON i.v = n.v AND i.entry_id = n.entry_id
LEFT JOIN asset_outcomes AS o ON i.v = o.a AND i.entry_id = o.entry_id
LEFT JOIN unreadable AS u ON i.v = u.v AND i.entry_id = u.entry_id
LEFT JOIN contents AS c ON i.digest_no = c.digest_no AND coalesce(i.size_bytes, 1) > 0
LEFT JOIN copy_statuses AS s ON i.v = s.v AND i.entry_id = s.entry_id
LEFT JOIN content_statuses AS d ON i.digest_no = d.digest_no AND coalesce(i.size_bytes, 1) > 0
LEFT JOIN status_badness AS b ON greatest(s.badness, d.badness) = b.badness
