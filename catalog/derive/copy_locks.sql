/*
Of each asset and volume whose objects tell of locks: whether one of the files that hold the asset there outlasts ransomware for the retention of the class, and whether
one is bound now, even against its admin; 0 no, 1 unknown, 2 yes. The lock of the file that is matched counts with how well that is known, elsewhere; another one proves with
its lock no more than it is known to hold the content itself: a lock on one file and the verification of another are not put together. The best of them is told.
*/
WITH told AS (
    SELECT DISTINCT v
    FROM lock_files
),

-- Contents that assets are matched by, with all that it depends on how well a file is known to hold them.
wanted AS (
    SELECT DISTINCT
        e.a,
        e.v,
        i.digest_no,
        i.class_no,
        i.digest_read AS asset_read
    FROM evidence AS e
    INNER JOIN told AS t ON e.v = t.v
    INNER JOIN assets AS i ON e.a = i.a AND e.entry_id = i.entry_id
    WHERE e.found = 5
),

-- Files that hold such a content, each as well as it is known.
holding AS (
    SELECT
        w.a,
        w.v,
        w.digest_no,
        w.class_no,
        w.asset_read,
        b.entry_id,
        CASE
            WHEN b.carried OR u.v IS NOT NULL THEN 1
            WHEN CASE WHEN b.digest_read AND w.asset_read THEN 3 ELSE greatest(b.told_level, 1) END < c.min_level THEN 1
            WHEN b.digested_at < c.verified_since OR b.digested_at > c.verified_until THEN 1
            ELSE 2
        END AS usable
    FROM items AS b
    INNER JOIN wanted AS w ON b.v = w.v AND b.digest_no = w.digest_no
    INNER JOIN class_facts AS c ON w.class_no = c.class_no
    LEFT JOIN own_copies AS o ON w.a = o.a AND b.v = o.v AND b.entry_id = o.entry_id
    LEFT JOIN unreadable AS u ON b.v = u.v AND b.entry_id = u.entry_id
    WHERE coalesce(b.size_bytes, 1) > 0 AND o.a IS NULL
),

-- The one file that is matched otherwise, where it is current or only at the path.
named AS (
    SELECT
        e.a,
        e.entry_id AS asset_id,
        e.v,
        i.class_no,
        e.copy_entry_id AS entry_id,
        s.usable
    FROM evidence AS e
    INNER JOIN told AS t ON e.v = t.v
    INNER JOIN assets AS i ON e.a = i.a AND e.entry_id = i.entry_id
    INNER JOIN states AS s ON e.state = s.state
    WHERE e.found < 5 AND e.state IN (1, 2, 3, 4, 5, 14)
),

judged AS (
    SELECT
        f.*,
        k.v IS NOT NULL AS is_told,
        k.mode_no,
        k.retain_until,
        k.held,
        greatest(
            CASE WHEN k.held THEN p.other_admin ELSE 0 END,
            CASE
                WHEN k.mode_no IS NULL THEN p.locked
                WHEN k.retain_until >= c.locked_least THEN CASE k.mode_no WHEN 2 THEN 2 ELSE greatest(p.other_admin, p.append_only) END
                ELSE p.append_only
            END
        ) AS outlasts,
        CASE WHEN k.mode_no IS NULL THEN p.binds WHEN k.mode_no = 2 AND k.retain_until >= c.locked_now THEN 2 ELSE 0 END AS binds
    FROM (
        SELECT
            a,
            v,
            class_no,
            digest_no,
            asset_read,
            CAST(NULL AS BIGINT) AS asset_id,
            entry_id,
            usable
        FROM holding
        UNION ALL
        SELECT
            a,
            v,
            class_no,
            NULL AS digest_no,
            NULL AS asset_read,
            asset_id,
            entry_id,
            usable
        FROM named
    ) AS f
    INNER JOIN pair_facts AS p ON f.a = p.a AND f.v = p.v AND f.class_no = p.class_no
    INNER JOIN class_facts AS c ON f.class_no = c.class_no
    LEFT JOIN lock_files AS k ON f.v = k.v AND f.entry_id = k.entry_id
),

best AS (
    SELECT *
    FROM (
        SELECT
            a,
            v,
            class_no,
            digest_no,
            asset_read,
            asset_id,
            mode_no,
            retain_until,
            held,
            least(usable, outlasts) AS outlasts,
            bool_or(is_told) OVER (PARTITION BY a, v, class_no, digest_no, asset_read, asset_id) AS is_told,
            max(least(usable, binds)) OVER (PARTITION BY a, v, class_no, digest_no, asset_read, asset_id) AS binds,
            row_number() OVER (
                PARTITION BY a, v, class_no, digest_no, asset_read, asset_id
                ORDER BY
                    least(usable, outlasts) DESC, least(usable, binds) DESC, held DESC NULLS LAST, mode_no DESC NULLS LAST, retain_until DESC NULLS LAST,
                    entry_id ASC
            ) AS place
        FROM judged
    ) AS ranked
    WHERE place = 1 AND is_told
)

SELECT
    e.a,
    e.entry_id,
    e.v,
    b.mode_no,
    b.retain_until,
    b.held,
    greatest(m.outlasts, least(b.outlasts, CASE WHEN e.state = 2 THEN 1 ELSE 2 END)) AS outlasts,
    greatest(m.binds, least(b.binds, CASE WHEN e.state = 2 THEN 1 ELSE 2 END)) AS binds
FROM evidence AS e
INNER JOIN assets AS i ON e.a = i.a AND e.entry_id = i.entry_id
INNER JOIN best AS b ON e.a = b.a AND e.v = b.v AND i.class_no = b.class_no AND i.digest_no = b.digest_no AND i.digest_read = b.asset_read
INNER JOIN judged AS m
    ON b.a = m.a AND b.v = m.v AND b.class_no = m.class_no AND b.digest_no = m.digest_no AND b.asset_read = m.asset_read AND e.copy_entry_id = m.entry_id
WHERE e.found = 5
UNION ALL
SELECT
    n.a,
    n.asset_id AS entry_id,
    n.v,
    b.mode_no,
    b.retain_until,
    b.held,
    b.outlasts,
    b.binds
FROM named AS n
INNER JOIN judged AS b ON n.a = b.a AND n.v = b.v AND n.asset_id = b.asset_id AND b.is_told
