/* The file of each protecting volume that stands for a content, by asset volume, and how many files hold it there. */
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
        p.a,
        b.v,
        b.digest_no,
        b.entry_id,
        b.size_bytes,
        b.modified_at,
        b.carried OR u.v IS NOT NULL AS carried,
        b.digest_read,
        b.told_level,
        b.digested_at,
        count(*) OVER (PARTITION BY p.a, b.v, b.digest_no) AS files,
        row_number() OVER (PARTITION BY p.a, b.v, b.digest_no ORDER BY b.carried OR u.v IS NOT NULL ASC, b.digested_at DESC, b.dir_no ASC, b.name ASC) AS place
    FROM items AS b
    INNER JOIN pair_list AS p ON b.v = p.v
    LEFT JOIN own_copies AS o ON p.a = o.a AND b.v = o.v AND b.entry_id = o.entry_id
    LEFT JOIN unreadable AS u ON b.v = u.v AND b.entry_id = u.entry_id
    WHERE b.digest_no IS NOT NULL AND coalesce(b.size_bytes, 1) > 0 AND o.a IS NULL
) AS ranked
WHERE place = 1
