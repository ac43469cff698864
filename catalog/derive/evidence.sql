/*
What each volume that has a match says of each asset, as a state:
1 usable · 2 current, carried over or unreadable · 3 current, metadata only below the level · 4 current, below the level · 5 current, verified too long ago or in the future
6 older, volume not scanned since · 7 older, scan incomplete there · 8 conflict · 9 changed since the copy
14 only at the path
*/
SELECT
    j.a,
    j.entry_id,
    j.v,
    j.copy_entry_id,
    j.size_bytes,
    j.modified_at,
    j.carried,
    CASE WHEN j.found <> 2 THEN j.level END AS level,
    CASE WHEN j.found <> 2 THEN j.verified_at END AS verified_at,
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
        m.size_bytes,
        m.modified_at,
        m.carried OR (m.found = 5 AND n.v IS NOT NULL) AS carried,
        m.level,
        m.verified_at,
        m.seen_at,
        m.files,
        f.scanned_at,
        f.offline,
        i.changed_for_absence,
        c.min_level,
        c.verified_since,
        c.verified_until,
        CASE WHEN m.found IN (0, 3) AND k.a IS NOT NULL THEN 2 ELSE m.found END AS found,
        m.found >= 4
        OR (m.found = 3 AND k.a IS NULL)
        OR (m.found = 1 AND m.is_version AND coalesce(greatest(m.modified_at, m.held_at) >= c.current_since, FALSE)) AS is_current,
        u.a IS NOT NULL AS blind
    FROM assets AS i
    INNER JOIN best_matches AS m ON i.a = m.a AND i.entry_id = m.entry_id
    INNER JOIN class_facts AS c ON i.class_no = c.class_no
    INNER JOIN volume_facts AS f ON m.v = f.v
    LEFT JOIN conflicts AS k ON m.a = k.a AND m.entry_id = k.entry_id
    LEFT JOIN unreadable AS n ON i.a = n.v AND i.entry_id = n.entry_id
    LEFT JOIN unseen AS u ON m.a = u.a AND m.entry_id = u.entry_id AND m.v = u.v
) AS j
