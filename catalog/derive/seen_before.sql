/* When each path of the previous snapshot was first seen. */
SELECT
    v.v,
    d.dir_no,
    b.name,
    b.first_seen_at
FROM files_before AS b
INNER JOIN volume_facts AS v ON b.volume = v.volume
INNER JOIN dirs AS d ON b.dir = d.dir
