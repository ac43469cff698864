/* Files that the scan which holds has a problem with, as their content was to be read, and of which nothing was read since. */
SELECT
    f.v,
    f.entry_id,
    f.fs_id,
    f.inode
FROM file_entries AS f
INNER JOIN problem_rows AS t ON f.volume = t.volume AND f.path = t.path AND t.unread_at IS NOT NULL AND (t.inode IS NULL OR t.inode = f.inode)
LEFT JOIN file_systems AS s ON f.fs_id = s.fs_id
LEFT JOIN known AS k
    ON
        f.v = k.v
        AND f.inode = k.inode
        AND s.fs_no = k.fs_no
        AND f.size_bytes = k.size_bytes
        AND f.modified_at IS NOT DISTINCT FROM k.modified_at
        AND f.modified_ns IS NOT DISTINCT FROM k.modified_ns
        AND f.changed_at IS NOT DISTINCT FROM k.changed_at
        AND f.changed_ns IS NOT DISTINCT FROM k.changed_ns
        AND f.created_at IS NOT DISTINCT FROM k.created_at
LEFT JOIN known_paths AS p
    ON
        (f.inode IS NULL OR f.fs_id IS NULL)
        AND f.volume = p.volume
        AND f.dir = p.dir
        AND f.name = p.name
        AND f.size_bytes = p.size_bytes
        AND f.fs_id IS NOT DISTINCT FROM p.fs_id
        AND f.inode IS NOT DISTINCT FROM p.inode
        AND f.created_at IS NOT DISTINCT FROM p.created_at
        AND f.modified_at IS NOT DISTINCT FROM p.modified_at
        AND f.modified_ns IS NOT DISTINCT FROM p.modified_ns
        AND f.changed_at IS NOT DISTINCT FROM p.changed_at
        AND f.changed_ns IS NOT DISTINCT FROM p.changed_ns
WHERE coalesce(k.read_finished_at, p.read_finished_at) IS NULL OR coalesce(k.read_finished_at, p.read_finished_at) <= t.unread_at
