/* Files whose content could not be read at the last try, by every name, and those that a program's errors put in doubt. */
WITH named AS (
    SELECT *
    FROM tried
    UNION
    SELECT *
    FROM failed
)

SELECT
    v,
    entry_id
FROM named
UNION
SELECT
    e.v,
    e.entry_id
FROM file_entries AS e
INNER JOIN named AS n ON e.v = n.v AND e.inode = n.inode AND e.fs_id = n.fs_id
UNION
SELECT
    v,
    entry_id
FROM doubted
