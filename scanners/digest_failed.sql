-- Files whose reading had a problem under the scan that holds, by path: `inodes` are those at the path that it was about, `all_of_it` says that it was about
-- whatever is there. They are not tried again before the next scan.
SELECT
    problems.volume,
    problems.path,
    list(problems.inode) FILTER (WHERE problems.inode IS NOT NULL) AS inodes,
    bool_or(problems.inode IS NULL) AS all_of_it
FROM problems
INNER JOIN volumes ON problems.volume = volumes.volume AND problems.seen_at >= volumes.scanned_at -- older: an earlier scan's, told once more
WHERE problems.stage IN ('open', 'read', 'changed') AND NOT problems.hides_below
GROUP BY problems.volume, problems.path
