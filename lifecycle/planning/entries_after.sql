/* The entries as a scan would find them once the plan is carried out: without what is taken away, with what is put somewhere. */
SELECT e.*
FROM entries_now AS e
LEFT JOIN gone AS g ON e.volume = g.volume AND e.dir = g.dir AND e.name = g.name
WHERE g.volume IS NULL
UNION ALL BY NAME
SELECT
    4611686018427387904 + p.step AS entry_id,
    p.target_dir AS dir,
    p.target_name AS name,
    CAST(0 AS BIGINT) AS path_hash,
    s.extension,
    p.type,
    p.size_bytes,
    coalesce(s.allocated_bytes, p.size_bytes) AS allocated_bytes,
    p.modified_at,
    s.accessed_at,
    p.modified_at AS changed_at, -- a scan of every volume follows: nothing is newer than the scans
    p.modified_at AS created_at,
    p.modified_ns,
    CAST(0 AS INTEGER) AS changed_ns,
    coalesce(s.time_flags & 3, 0) AS time_flags,
    s.owner,
    s."group",
    s.uid,
    s.gid,
    s.mode,
    'planned' AS fs_id,
    p.unit AS inode,
    p.link_count,
    s.media_type,
    p.target_volume AS volume
FROM planned AS p
LEFT JOIN entries_now AS s ON p.volume = s.volume AND p.dir = s.dir AND p.name = s.name
WHERE p.target_volume IS NOT NULL
