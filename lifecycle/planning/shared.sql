/* Of the chosen files of one content, volume and file system all but the one that is kept: the oldest, of equally old ones the first by path. */
WITH members AS (
    SELECT
        c.rank,
        c.volume,
        c.path,
        c.reason,
        e.type,
        e.size_bytes,
        e.modified_at,
        try(epoch_us(e.modified_at) * 1000 + coalesce(e.modified_ns, 0)) AS modified_ns,
        e.fs_id,
        e.inode,
        try(epoch_us(e.created_at) * 1000) AS created_ns,
        try(epoch_us(e.changed_at) * 1000 + coalesce(e.changed_ns, 0)) AS changed_ns,
        coalesce(e.link_count, 1) AS link_count,
        g.digest
    FROM chosen AS c
    INNER JOIN (
        SELECT DISTINCT
            duplicate_groups.digest,
            duplicate_groups.volume,
            duplicate_groups.path
        FROM duplicate_groups
    ) AS g ON c.volume = g.volume AND c.path = g.path
    INNER JOIN entries AS e ON c.volume = e.volume AND c.path = e.path
),

ordered AS (
    SELECT
        *,
        row_number() OVER same_content AS place,
        first_value(path) OVER same_content AS kept_path
    FROM members
    WINDOW same_content AS (PARTITION BY volume, fs_id, digest ORDER BY modified_ns, path)
)

SELECT
    o.rank,
    o.volume,
    o.path,
    o.kept_path,
    o.reason,
    [
        struct_pack(
            volume := k.volume,
            path := k.path,
            type := k.type,
            size_bytes := k.size_bytes,
            modified_ns := k.modified_ns,
            fs_id := k.fs_id,
            inode := k.inode,
            created_ns := k.created_ns,
            changed_ns := k.changed_ns,
            link_count := k.link_count,
            verified_at := CAST(NULL AS TIMESTAMP)
        )
    ] AS also
FROM ordered AS o
INNER JOIN members AS k ON o.volume = k.volume AND o.kept_path = k.path
WHERE o.place > 1
