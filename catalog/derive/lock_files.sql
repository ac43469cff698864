/*
Files of which the storage itself tells whether they are locked: 2 compliance, 1 governance, 0 not at all, null only that there is a legal hold. A lock without an end
tells nothing.
*/
SELECT
    v,
    entry_id,
    CASE lock_mode WHEN 'compliance' THEN 2 WHEN 'governance' THEN 1 WHEN 'none' THEN 0 END AS mode_no,
    CASE WHEN lock_mode <> 'none' THEN retain_until END AS retain_until,
    coalesce(legal_hold, FALSE) AS held
FROM file_entries
WHERE lock_mode = 'none' OR (lock_mode IN ('compliance', 'governance') AND retain_until IS NOT NULL) OR legal_hold
