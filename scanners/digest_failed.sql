-- Files whose reading had a problem under the scan that holds: they are not tried again before the next scan.
SELECT DISTINCT
    problems.volume,
    problems.path
FROM problems
INNER JOIN volumes ON problems.volume = volumes.volume AND problems.seen_at >= volumes.scanned_at -- older: an earlier scan's, told once more
WHERE problems.stage IN ('open', 'read', 'changed') AND NOT problems.hides_below
