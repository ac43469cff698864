/*
Files of which the storage itself tells whether they are locked: 2 compliance, 1 governance, 0 not at all, null only that there is a legal hold. A lock without an end
tells nothing.
*/
SELECT
    v,
    entry_id,
    mode_no,
    CASE WHEN mode_no > 0 THEN retain_until END AS retain_until,
    held
FROM (
    SELECT
        v,
        entry_id,
        CASE
            WHEN lock_mode = 'none' THEN 0
            WHEN retain_until IS NOT NULL THEN CASE lock_mode WHEN 'compliance' THEN 2 WHEN 'governance' THEN 1 END
        END AS mode_no,
        retain_until,
        coalesce(legal_hold, FALSE) AS held
    FROM file_entries
) AS told
WHERE mode_no IS NOT NULL OR held
