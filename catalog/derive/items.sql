/*
One narrow row a regular file: what matching needs, in numbers. What is `aside`, a stub or what is in quarantine, is nobody's copy, and has none.
What is `listed` is one of the versions that a path may have there; a backup has the same content `stored_once`; `told_level` is the verification level of what nobody has read, 0 where nothing tells that its content is stored;
`held_at` is when the newest recovery point that holds it was begun; `digested_at` is also the time that what others tell of a file is of.
*/
SELECT
    e.v,
    e.entry_id,
    d.dir_no,
    e.name,
    e.size_bytes,
    e.modified_at,
    e.trusted_modified_at IS NOT NULL AS time_trusted,
    coalesce(e.time_flags & 64, 0) <> 0 AS time_coarse,
    coalesce(e.time_flags & 128, 0) <> 0 AS time_rounded,
    coalesce(e.time_flags & 256, 0) <> 0 AS time_stored,
    s.fs_no,
    e.inode,
    e.link_count,
    e.class_no,
    e.excepted,
    e.potential,
    coalesce(e.storage_class = 'stub', FALSE) OR e.dir = '.lastcopy/quarantine/' OR ends_with(e.dir, '/.lastcopy/quarantine/') AS aside,
    e.carried_from IS NOT NULL AS carried,
    e.last_recovery_point IS NOT NULL AS stored_once,
    e.last_recovery_point IS NOT NULL OR e.version_id IS NOT NULL AS listed,
    CAST(
        coalesce(
            e.attested_level, CASE WHEN e.last_recovery_point IS NOT NULL AND e.digest IS NULL AND coalesce(e.restore_state, '') <> 'whole' THEN 0 ELSE 1 END
        ) AS TINYINT
    ) AS told_level,
    r.started_at AS held_at,
    coalesce(k.has_digest, FALSE) OR coalesce(p.digest, e.digest) IS NOT NULL AS has_digest,
    CASE WHEN NOT aside THEN CASE WHEN k.has_digest THEN k.digest_no ELSE n.digest_no END END AS digest_no,
    coalesce(k.has_digest, FALSE) OR p.digest IS NOT NULL AS digest_read,
    coalesce(k.digested_at, p.digested_at, e.attested_at, CASE WHEN k.has_digest OR coalesce(p.digest, e.digest) IS NOT NULL THEN e.scanned_at END)
        AS digested_at,
    coalesce(k.has_sample, FALSE) OR p.sample IS NOT NULL AS has_sample,
    coalesce(k.sample_no, m.sample_no) AS sample_no,
    coalesce(b.first_seen_at, e.scanned_at) AS first_seen_at,
    coalesce(greatest(e.trusted_modified_at, e.trusted_changed_at), b.first_seen_at, e.scanned_at) AS changed_for_absence,
    greatest(
        coalesce(greatest(e.trusted_modified_at, e.trusted_changed_at), b.first_seen_at, e.scanned_at),
        CASE WHEN coalesce(b.first_seen_at, e.scanned_at) > e.first_scanned_at THEN coalesce(b.first_seen_at, e.scanned_at) END
    ) AS changed_since,
    CASE
        WHEN e.accessed_at BETWEEN k.read_started_at - INTERVAL 1 SECOND AND k.read_finished_at + INTERVAL 1 SECOND THEN k.accessed_before_at
        ELSE e.trusted_accessed_at
    END AS accessed_at
FROM labelled AS e
INNER JOIN dirs AS d ON e.dir = d.dir
LEFT JOIN file_systems AS s ON e.fs_id = s.fs_id
LEFT JOIN recovery_points AS r ON e.volume = r.volume AND e.last_recovery_point = r.recovery_point
LEFT JOIN known AS k
    ON
        e.v = k.v
        AND e.inode = k.inode
        AND s.fs_no = k.fs_no
        AND e.size_bytes = k.size_bytes
        AND e.modified_at IS NOT DISTINCT FROM k.modified_at
        AND e.modified_ns IS NOT DISTINCT FROM k.modified_ns
        AND e.changed_at IS NOT DISTINCT FROM k.changed_at
        AND e.changed_ns IS NOT DISTINCT FROM k.changed_ns
        AND e.created_at IS NOT DISTINCT FROM k.created_at
LEFT JOIN known_paths AS p
    ON
        (e.inode IS NULL OR e.fs_id IS NULL)
        AND e.volume = p.volume
        AND e.dir = p.dir
        AND e.name = p.name
        AND e.size_bytes = p.size_bytes
        AND e.fs_id IS NOT DISTINCT FROM p.fs_id
        AND e.inode IS NOT DISTINCT FROM p.inode
        AND e.created_at IS NOT DISTINCT FROM p.created_at
        AND e.modified_at IS NOT DISTINCT FROM p.modified_at
        AND e.modified_ns IS NOT DISTINCT FROM p.modified_ns
        AND e.changed_at IS NOT DISTINCT FROM p.changed_at
        AND e.changed_ns IS NOT DISTINCT FROM p.changed_ns
LEFT JOIN digest_numbers AS n ON coalesce(p.digest, e.digest) = n.digest
LEFT JOIN sample_numbers AS m ON p.sample = m.sample
LEFT JOIN seen_before AS b ON e.v = b.v AND d.dir_no = b.dir_no AND e.name = b.name
