/* The path matches of assets, without the files that are the asset volume's own. */
SELECT m.*
FROM path_matches AS m
INNER JOIN assets AS i ON m.a = i.a AND m.entry_id = i.entry_id
LEFT JOIN own_copies AS o ON m.a = o.a AND m.v = o.v AND m.copy_entry_id = o.entry_id
WHERE o.a IS NULL
