/* The assets: files of primary volumes, and homes in archives, at their current version. */
SELECT
    i.v AS a,
    i.entry_id,
    i.dir_no,
    i.name,
    i.size_bytes,
    i.class_no,
    i.excepted,
    i.carried,
    i.digest_no,
    i.digest_read,
    i.changed_for_absence,
    i.changed_since
FROM items AS i
INNER JOIN volume_facts AS f ON i.v = f.v
LEFT JOIN homes AS h ON i.v = h.v AND i.entry_id = h.entry_id
WHERE i.potential AND (f.role = 'primary' OR h.v IS NOT NULL)
