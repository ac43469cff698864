-- When that was read which a budget of bytes leaves out: what was read longest ago goes first, and one file at least. NULL: it is enough for all.
-- A file with several names is counted once: they have the very same reading. What could not be read is tried whatever the budget, or was tried under its scan: it takes no part.
SELECT min(digested_before_at)
FROM (
    SELECT
        digested_before_at,
        sum(size_bytes) OVER (ORDER BY digested_before_at, volume, digest_before ROWS UNBOUNDED PRECEDING) - size_bytes AS bytes_before
    FROM (
        SELECT DISTINCT
            before.volume,
            before.size_bytes,
            before.digest_before,
            before.digested_before_at
        FROM before
        ANTI JOIN unread
            ON before.volume = unread.volume AND before.dir = unread.dir AND before.name = unread.name AND before.inode IS NOT DISTINCT FROM unread.inode
        ANTI JOIN failed
            ON
                before.volume = failed.volume
                AND before.dir || before.name = failed.path
                AND (failed.all_of_it OR list_contains(failed.inodes, before.inode))
    ) AS readings
) AS summed
WHERE bytes_before >= $budget
