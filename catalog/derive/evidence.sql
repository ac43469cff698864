/*
What each volume that has a match says of each asset, as a state:
1 usable · 2 current, carried over or unreadable · 3 current, metadata only below the level · 4 current, below the level · 5 current, verified too long ago or in the future
6 older, volume not scanned since · 7 older, scan incomplete there · 8 conflict · 9 changed since the copy
14 only at the path
Of what is known of a copy in a backup (that it was restored; our own reading, or what its match says; that a program read all, or looked at all) the highest level counts that the class
accepts at its age, else the highest.
*/
SELECT
    j.a,
    j.entry_id,
    j.v,
    j.copy_entry_id,
    j.copy_dir_no,
    j.size_bytes,
    j.modified_at,
    j.carried,
    CASE WHEN j.found <> 2 THEN j.level END AS level,
    CASE WHEN j.found <> 2 THEN j.verified_at END AS verified_at,
    CASE WHEN j.found <> 2 AND j.known_by <> 2 THEN j.own_level END AS own_level,
    CASE WHEN j.found <> 2 AND j.known_by <> 2 THEN j.own_verified_at END AS own_verified_at,
    CASE WHEN j.found <> 2 THEN j.restored_at END AS restored_at,
    CASE WHEN j.found <> 2 THEN j.read_at END AS read_at,
    CASE WHEN j.found <> 2 THEN j.looked_at END AS looked_at,
    j.found,
    j.files,
    j.seen_at,
    j.is_current,
    CASE
        WHEN j.is_current AND j.carried THEN 2
        WHEN j.is_current AND j.level < j.min_level THEN CASE WHEN j.found = 3 THEN 3 ELSE 4 END
        WHEN j.is_current AND (j.verified_at < j.verified_since OR j.verified_at > j.verified_until) THEN 5
        WHEN j.is_current THEN 1
        WHEN j.found = 2 THEN 8
        WHEN j.found = 0 THEN 14
        WHEN j.scanned_at < j.changed_for_absence AND NOT j.offline THEN 6
        WHEN j.blind THEN 7
        ELSE 9
    END AS state
FROM (
    SELECT
        m.a,
        m.entry_id,
        m.v,
        m.copy_entry_id,
        m.copy_dir_no,
        m.size_bytes,
        m.modified_at,
        m.carried OR (m.found = 5 AND n.v IS NOT NULL) AS carried,
        CASE m.known_by WHEN 1 THEN 4 WHEN 3 THEN 2 WHEN 4 THEN 1 ELSE m.level END AS level,
        CASE m.known_by WHEN 1 THEN m.restored_at WHEN 3 THEN m.read_at WHEN 4 THEN m.looked_at ELSE m.verified_at END AS verified_at,
        m.known_by,
        m.level AS own_level,
        m.verified_at AS own_verified_at,
        m.restored_at,
        m.read_at,
        m.looked_at,
        m.seen_at,
        m.files,
        f.scanned_at,
        f.offline,
        m.changed_for_absence,
        m.min_level,
        m.verified_since,
        m.verified_until,
        CASE WHEN m.found IN (0, 3) AND k.a IS NOT NULL THEN 2 ELSE m.found END AS found,
        m.found >= 4
        OR (m.found = 3 AND k.a IS NULL)
        OR (m.found = 1 AND m.is_version AND coalesce(greatest(m.modified_at, m.held_at) >= m.current_since, FALSE)) AS is_current,
        u.a IS NOT NULL AS blind
    FROM (
        SELECT
            b.*,
            CASE
                WHEN b.min_level <= 4 AND b.restored_at BETWEEN b.since AND b.until THEN 1
                WHEN b.level >= greatest(b.min_level, 2) AND b.verified_at BETWEEN b.since AND b.until THEN 2
                WHEN b.min_level <= 2 AND b.read_at BETWEEN b.since AND b.until THEN 3
                WHEN b.level >= greatest(b.min_level, 1) AND b.verified_at BETWEEN b.since AND b.until THEN 2
                WHEN b.min_level <= 1 AND b.looked_at BETWEEN b.since AND b.until THEN 4
                WHEN b.level >= b.min_level AND b.verified_at BETWEEN b.since AND b.until THEN 2
                WHEN b.restored_at IS NOT NULL THEN 1
                WHEN b.level < 2 AND b.read_at IS NOT NULL THEN 3
                WHEN b.level < 1 AND b.looked_at IS NOT NULL THEN 4
                ELSE 2
            END AS known_by
        FROM (
            SELECT
                e.*,
                i.changed_for_absence,
                c.min_level,
                c.verified_since,
                c.verified_until,
                c.current_since,
                coalesce(c.verified_since, TIMESTAMP '0001-01-01') AS since,
                coalesce(c.verified_until, TIMESTAMP '9999-12-31') AS until,
                CASE WHEN e.found = 5 THEN x.restored_at END AS restored_at,
                CASE WHEN e.found IN (1, 3, 5) THEN w.read_at END AS read_at,
                CASE WHEN e.found IN (1, 3, 5) THEN w.looked_at END AS looked_at
            FROM best_matches AS e
            INNER JOIN assets AS i ON e.a = i.a AND e.entry_id = i.entry_id
            INNER JOIN class_facts AS c ON i.class_no = c.class_no
            LEFT JOIN checked AS w ON e.v = w.v AND e.copy_entry_id = w.entry_id
            LEFT JOIN restored AS x ON e.v = x.v AND e.copy_entry_id = x.entry_id
        ) AS b
    ) AS m
    INNER JOIN volume_facts AS f ON m.v = f.v
    LEFT JOIN conflicts AS k ON m.a = k.a AND m.entry_id = k.entry_id
    LEFT JOIN unreadable AS n ON m.a = n.v AND m.entry_id = n.entry_id
    LEFT JOIN unseen AS u ON m.a = u.a AND m.entry_id = u.entry_id AND m.v = u.v
) AS j
