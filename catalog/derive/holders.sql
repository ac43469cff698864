/* The file of each protecting volume that stands for a content of an asset volume, and how many files hold it there. */
WITH wanted AS (
    SELECT DISTINCT
        a,
        digest_no
    FROM assets
    WHERE digest_no IS NOT NULL
),

holding AS MATERIALIZED (
    SELECT
        p.a,
        b.v,
        b.digest_no,
        b.entry_id,
        b.dir_no,
        b.name,
        b.size_bytes,
        b.modified_at,
        b.carried OR u.v IS NOT NULL AS carried,
        b.digest_read,
        b.told_level,
        b.digested_at
    FROM items AS b
    INNER JOIN pair_list AS p ON b.v = p.v
    INNER JOIN wanted AS w ON p.a = w.a AND b.digest_no = w.digest_no
    LEFT JOIN own_copies AS o ON p.a = o.a AND b.v = o.v AND b.entry_id = o.entry_id
    LEFT JOIN unreadable AS u ON b.v = u.v AND b.entry_id = u.entry_id
    WHERE coalesce(b.size_bytes, 1) > 0 AND o.a IS NULL
),

-- Most contents are held once: only the others are ranked.
several AS MATERIALIZED (
    SELECT
        a,
        v,
        digest_no,
        count(*) AS files
    FROM holding
    GROUP BY a, v, digest_no
    HAVING count(*) > 1
)

SELECT
    h.a,
    h.v,
    h.digest_no,
    h.entry_id,
    h.size_bytes,
    h.modified_at,
    h.carried,
    h.digest_read,
    h.told_level,
    h.digested_at,
    1 AS files
FROM holding AS h
LEFT JOIN several AS s ON h.a = s.a AND h.v = s.v AND h.digest_no = s.digest_no
WHERE s.a IS NULL
UNION ALL
SELECT
    a,
    v,
    digest_no,
    entry_id,
    size_bytes,
    modified_at,
    carried,
    digest_read,
    told_level,
    digested_at,
    files
FROM (
    SELECT
        h.*,
        s.files,
        row_number() OVER (PARTITION BY h.a, h.v, h.digest_no ORDER BY h.carried ASC, h.digested_at DESC, h.dir_no ASC, h.name ASC) AS place
    FROM holding AS h
    INNER JOIN several AS s ON h.a = s.a AND h.v = s.v AND h.digest_no = s.digest_no
) AS ranked
WHERE place = 1
