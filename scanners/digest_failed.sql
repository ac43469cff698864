-- Files whose reading had a problem under the scan that holds: they are not tried again before the next scan.
SELECT DISTINCT
    volume,
    path
FROM problems
WHERE stage IN ('open', 'read', 'changed') AND NOT hides_below
