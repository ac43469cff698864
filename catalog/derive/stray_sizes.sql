/* Sizes of strays that assets have, too; `unread` where it is not known what all of these assets hold. */
SELECT
    i.size_bytes,
    bool_or(NOT i.has_digest OR i.carried OR u.v IS NOT NULL) AS unread
FROM items AS i
INNER JOIN (
    SELECT DISTINCT strays.size_bytes
    FROM strays
) AS s ON i.size_bytes = s.size_bytes
INNER JOIN volume_facts AS f ON i.v = f.v
LEFT JOIN homes AS h ON i.v = h.v AND i.entry_id = h.entry_id
LEFT JOIN unreadable AS u ON i.v = u.v AND i.entry_id = u.entry_id
WHERE NOT i.aside AND (f.role = 'primary' OR h.v IS NOT NULL)
GROUP BY 1
