/* Versions in backups of which a program found errors, and nobody can tell in which files: those that we did not read since. */
SELECT
    i.v,
    i.entry_id
FROM items AS i
LEFT JOIN file_systems AS s ON i.fs_no = s.fs_no
INNER JOIN doubts AS d ON i.v = d.v AND (i.fs_no IS NULL OR d.fs_id IS NULL OR s.fs_id = d.fs_id)
WHERE i.listed AND NOT (i.digest_read AND i.digested_at > d.checked_at)
