/* Files of archive volumes whose content no primary volume holds that they may protect: their home is the archive. */
SELECT
    i.v,
    i.entry_id
FROM items AS i
INNER JOIN volume_facts AS f ON i.v = f.v AND f.role = 'archive'
WHERE
    NOT EXISTS (
        SELECT 1
        FROM path_matches AS m
        INNER JOIN volume_facts AS o ON m.a = o.v AND o.role = 'primary'
        WHERE m.v = i.v AND m.copy_entry_id = i.entry_id AND m.found >= 3
    )
    AND NOT EXISTS (
        SELECT 1
        FROM pair_list AS p
        INNER JOIN volume_facts AS o ON p.a = o.v AND o.role = 'primary'
        INNER JOIN items AS held ON p.a = held.v
        WHERE p.v = i.v AND held.digest_no = i.digest_no AND i.size_bytes > 0
    )
