/*
Files of archive volumes whose home is the archive: no primary volume that they may protect holds their content, or a stub leads to them.
What a stub leads to is what its owner had where the stub is, whoever else has the same.
*/
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
        WHERE p.v = i.v AND held.digest_no = i.digest_no AND coalesce(i.size_bytes, 1) > 0
    )
UNION
SELECT
    t.target_v AS v,
    t.target_entry_id AS entry_id
FROM stub_targets AS t
INNER JOIN volume_facts AS f ON t.target_v = f.v AND f.role = 'archive'
WHERE t.proven
