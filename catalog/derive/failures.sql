/* Until when readings of a file prove nothing, by identity, size and modified time. They failed, of `volume`, or, where that is null, of every volume but the
`reader` that shows the file: from the first reading of his that failed since he read it whole. Or (`is_other`) another volume, the `reader`, found other content later. */
WITH tries AS (
    SELECT
        volume,
        fs_id,
        inode,
        CASE WHEN inode IS NULL OR fs_id IS NULL THEN dir || name END AS path,
        created_at,
        size_bytes,
        modified_at,
        modified_ns,
        digested_at AS failed_at
    FROM digests
    WHERE digest IS NULL AND sample IS NULL
),

numbered AS (
    SELECT DISTINCT
        fs_id,
        inode
    FROM tries
    WHERE path IS NULL
),

read_last AS (
    SELECT
        g.volume,
        g.fs_id,
        g.inode,
        g.created_at,
        g.size_bytes,
        g.modified_at,
        g.modified_ns,
        max(g.digested_at) AS read_at
    FROM digests AS g
    INNER JOIN numbered AS n ON g.fs_id = n.fs_id AND g.inode = n.inode
    WHERE g.digest IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7
),

read_by_several AS (
    SELECT fs_id
    FROM digests
    WHERE digest IS NOT NULL AND inode IS NOT NULL AND fs_id IS NOT NULL
    GROUP BY fs_id
    HAVING min(volume) <> max(volume)
),

found AS (
    SELECT
        g.volume,
        g.fs_id,
        g.inode,
        g.created_at,
        g.size_bytes,
        g.modified_at,
        g.modified_ns,
        arg_max(g.digest, g.digested_at) AS digest,
        max(g.digested_at) AS found_at
    FROM digests AS g
    INNER JOIN read_by_several AS s ON g.fs_id = s.fs_id
    WHERE g.digest IS NOT NULL AND g.inode IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7
),

newest AS (
    SELECT
        fs_id,
        inode,
        created_at,
        size_bytes,
        modified_at,
        modified_ns,
        arg_max(volume, found_at) AS reader,
        arg_max(digest, found_at) AS digest,
        max(found_at) AS found_at
    FROM found
    GROUP BY 1, 2, 3, 4, 5, 6
)

SELECT
    volume,
    volume AS reader,
    FALSE AS is_other,
    fs_id,
    inode,
    path,
    created_at,
    size_bytes,
    modified_at,
    modified_ns,
    max(failed_at) AS failed_at
FROM tries
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
UNION ALL
SELECT
    CAST(NULL AS VARCHAR) AS volume,
    t.volume AS reader,
    FALSE AS is_other,
    t.fs_id,
    t.inode,
    t.path,
    t.created_at,
    t.size_bytes,
    t.modified_at,
    t.modified_ns,
    min(t.failed_at) AS failed_at
FROM tries AS t
LEFT JOIN read_last AS r
    ON
        t.volume = r.volume
        AND t.fs_id = r.fs_id
        AND t.inode = r.inode
        AND t.size_bytes = r.size_bytes
        AND t.created_at IS NOT DISTINCT FROM r.created_at
        AND t.modified_at IS NOT DISTINCT FROM r.modified_at
        AND t.modified_ns IS NOT DISTINCT FROM r.modified_ns
WHERE t.path IS NULL AND (r.read_at IS NULL OR t.failed_at > r.read_at)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
UNION ALL
SELECT
    f.volume,
    n.reader,
    TRUE AS is_other,
    f.fs_id,
    f.inode,
    CAST(NULL AS VARCHAR) AS path,
    f.created_at,
    f.size_bytes,
    f.modified_at,
    f.modified_ns,
    n.found_at AS failed_at
FROM found AS f
INNER JOIN newest AS n
    ON
        f.fs_id = n.fs_id
        AND f.inode = n.inode
        AND f.size_bytes = n.size_bytes
        AND f.created_at IS NOT DISTINCT FROM n.created_at
        AND f.modified_at IS NOT DISTINCT FROM n.modified_at
        AND f.modified_ns IS NOT DISTINCT FROM n.modified_ns
WHERE f.digest <> n.digest
