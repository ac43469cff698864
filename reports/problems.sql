/*
title = "Problems"
question = "What could the scans not read or understand, and which stubs lead nowhere?"
table = ["volume", "path", "stage", "error", "hides_below", "seen_at"]

[columns]
volume = "the volume that was scanned"
scan_id = "the scan that met it"
path = "where, escaped; '' is the root"
stage = "what it was doing: list, stat, open, read, changed, name, or damaged (content that is another under the same size and times); stub = what a stub stands for is not where it says"
error = "what the storage said, or what was found in the place of what a stub stands for, if you may see that place"
errno = "its number; null = none"
hides_below = "whether what lies below the path was not seen"
seen_at = { meaning = "when", unit = "UTC" }
*/
WITH targets AS (
    SELECT
        volume || ':' || path AS place,
        volume,
        path,
        storage_class,
        size_bytes,
        modified_at,
        changed_at,
        fs_id,
        inode,
        digest
    FROM entries
    WHERE type IN ('file', 'object') AND volume || ':' || path IN (
        SELECT p.link_target FROM entries AS p
        WHERE p.storage_class = 'stub'
    )
),

known AS (
    SELECT t.place
    FROM digests AS g
    INNER JOIN targets AS t
        ON
            g.volume = t.volume
            AND g.size_bytes = t.size_bytes
            AND g.modified_at IS NOT DISTINCT FROM t.modified_at
            AND g.changed_at IS NOT DISTINCT FROM t.changed_at
    WHERE g.digest IS NOT NULL AND ((g.fs_id = t.fs_id AND g.inode = t.inode) OR g.path = t.path)
    UNION
    SELECT place
    FROM targets
    WHERE digest IS NOT NULL
)

SELECT
    volume,
    scan_id,
    path,
    stage,
    error,
    errno,
    hides_below,
    seen_at
FROM (
    SELECT
        volume,
        scan_id,
        path,
        stage,
        error,
        errno,
        hides_below,
        seen_at
    FROM problems
    UNION ALL
    SELECT
        s.volume,
        s.scan_id,
        s.path,
        'stub' AS stage,
        CASE
            WHEN s.link_target IS NULL THEN 'stands for what lies outside of what you may see'
            ELSE 'stands for ' || s.link_target || CASE
                WHEN v.volume IS NULL THEN ', a volume that is not in the configuration'
                WHEN v.role NOT IN ('primary', 'archive') THEN ', whose volume is neither primary nor archive'
                WHEN v.scanned_at IS NULL THEN ', whose volume was never scanned'
                WHEN t.place IS NULL AND v.scanned_at < s.changed_at THEN ', whose volume was last scanned before the stub was made'
                WHEN t.place IS NULL THEN ', which is not there'
                WHEN t.storage_class = 'stub' THEN ', which is a stub itself'
                WHEN s.tags NOT LIKE '%"size_bytes": ' || CAST(t.size_bytes AS VARCHAR) || '}' THEN ', which has another size now'
                WHEN k.place IS NULL THEN ', which nobody has read yet'
                ELSE ', which has another content now'
            END
        END AS error,
        NULL AS errno,
        FALSE AS hides_below,
        w.scanned_at AS seen_at
    FROM entries AS s
    INNER JOIN files AS f ON s.volume = f.volume AND s.entry_id = f.entry_id -- a stub that leads to its content is no file
    INNER JOIN volumes AS w ON s.volume = w.volume
    LEFT JOIN volumes AS v ON split_part(s.link_target, ':', 1) = v.volume
    LEFT JOIN targets AS t ON s.link_target = t.place
    LEFT JOIN known AS k ON s.link_target = k.place
    WHERE s.storage_class = 'stub'
) AS found
ORDER BY
    volume ASC,
    path ASC,
    stage ASC,
    seen_at ASC,
    error ASC
