/* When each path of the previous snapshot was first seen, one row a path though a listing gave it twice: not after the scan that holds now. */
SELECT
    v.v,
    d.dir_no,
    b.name,
    least(min(b.first_seen_at), min(v.scanned_at)) AS first_seen_at
FROM files_before AS b
INNER JOIN volume_facts AS v ON b.volume = v.volume
INNER JOIN dirs AS d ON b.dir = d.dir
GROUP BY 1, 2, 3
