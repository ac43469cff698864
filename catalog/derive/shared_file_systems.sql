/* Pairs of volumes that lie on one file system, at least in part. */
SELECT
    p.a,
    p.v
FROM pair_list AS p
INNER JOIN (
    SELECT DISTINCT
        v,
        fs_no
    FROM items
) AS one ON p.a = one.v
INNER JOIN (
    SELECT DISTINCT
        v,
        fs_no
    FROM items
) AS two ON p.v = two.v AND one.fs_no = two.fs_no
GROUP BY p.a, p.v
