/* What was not refused: the live fingerprint, and the unit that it is taken in (all names of one file). */
SELECT
    s.id,
    s.rank,
    s.volume,
    s.path,
    s.key,
    s.target_volume,
    s.target_path,
    s.kept_path,
    s.of_job,
    s.of_step,
    s.reason,
    s.sha256,
    s.owner,
    s.allocated_bytes,
    s.also,
    l.type,
    l.size_bytes,
    l.modified_ns,
    l.fs_id,
    l.inode,
    l.created_ns,
    l.changed_ns,
    l.link_count,
    l.target_name,
    l.adopts,
    min(s.id) OVER same_file AS unit,
    count(*) OVER same_file AS names
FROM sources AS s
INNER JOIN looked AS l ON s.id = l.id
WHERE s.id NOT IN (SELECT refused.id FROM refused)
WINDOW
    same_file AS (
        PARTITION BY
            s.volume,
            CASE WHEN l.link_count > 1 AND l.inode IS NOT NULL THEN l.fs_id END,
            CASE WHEN l.link_count > 1 AND l.inode IS NOT NULL THEN l.inode ELSE -s.id END
    )
