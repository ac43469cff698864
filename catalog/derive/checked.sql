/*
Versions in backups that a program looked at with all of the repository: when it last read all that is stored, and when it last looked at all. A run says nothing of what may have been stored
while it ran, or of a repository at another place.
*/
SELECT
    f.v,
    f.entry_id,
    max(c.checked_at) FILTER (WHERE c.level >= 2) AS read_at,
    max(c.checked_at) AS looked_at
FROM file_entries AS f
INNER JOIN recovery_points AS r ON f.volume = r.volume AND f.first_recovery_point = r.recovery_point
INNER JOIN checks AS c ON f.v = c.v AND coalesce(r.ended_at, r.started_at) <= c.checked_at AND (f.fs_id IS NULL OR f.fs_id IS NOT DISTINCT FROM c.fs_id)
WHERE f.inode IS NULL OR f.restore_state = 'whole'
GROUP BY f.v, f.entry_id
