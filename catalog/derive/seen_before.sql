/* When each path of the previous snapshot was first seen: not after the scan that holds now, though a clock was ahead. */
SELECT
    v.v,
    d.dir_no,
    b.name,
    least(b.first_seen_at, v.scanned_at) AS first_seen_at
FROM files_before AS b
INNER JOIN volume_facts AS v ON b.volume = v.volume
INNER JOIN dirs AS d ON b.dir = d.dir
