/* Versions in backups that the program of the backup gave back, and when that was last; not those of which it last failed. */
SELECT
    f.v,
    f.entry_id,
    max(t.ended_at) AS restored_at
FROM file_entries AS f
INNER JOIN verifications AS t
    ON
        f.volume = t.volume
        AND f.dir = t.dir
        AND f.name = t.name
        AND f.size_bytes = t.size_bytes
        AND f.fs_id IS NOT DISTINCT FROM t.fs_id
        AND f.inode IS NOT DISTINCT FROM t.inode
        AND f.modified_at IS NOT DISTINCT FROM t.modified_at
WHERE t.level = 4
GROUP BY f.v, f.entry_id
HAVING arg_max(t.ok, t.ended_at)
