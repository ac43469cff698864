-- Files whose last reading failed, or of which another volume found other content, and that the scan which holds has no problem with.
SELECT
    unread.volume,
    unread.dir || unread.name AS path,
    unread.inode,
    unread.failed_at,
    nullif(unread.reader, unread.volume) AS reader,
    unread.is_other
FROM unread
ANTI JOIN problems
    ON
        unread.volume = problems.volume
        AND unread.dir || unread.name = problems.path
        AND (problems.inode IS NULL OR problems.inode IS NOT DISTINCT FROM unread.inode)
WHERE list_contains(CAST($volumes AS VARCHAR[]), unread.volume)
ORDER BY unread.volume, path, unread.inode
