/*
Who else is known to hold the contents of the plan: one row a content, with the list of its holders. A holder was read by us, and its
newest reading under the fingerprint that it has now gave this content, none failed since, and is no quarantine of ours in a volume inside another.
Jobs can look at it again: `workable` lists the volumes of such kinds. At most eight of a volume, those read last.
*/
WITH wanted AS (
    SELECT DISTINCT sha256
    FROM sources
    WHERE sha256 IS NOT NULL AND size_bytes > 0
),

identities AS (
    SELECT DISTINCT
        d.volume,
        d.fs_id,
        d.inode,
        CASE WHEN d.inode IS NULL THEN d.dir END AS dir,
        CASE WHEN d.inode IS NULL THEN d.name END AS name
    FROM digests AS d
    INNER JOIN wanted AS w ON d.digest = w.sha256
),

readings AS (
    SELECT
        d.volume,
        d.fs_id,
        d.inode,
        i.dir,
        i.name,
        d.created_at,
        d.size_bytes,
        d.modified_at,
        d.modified_ns,
        d.changed_at,
        d.changed_ns,
        arg_max(d.digest, d.digested_at) AS digest,
        max(d.digested_at) AS digested_at
    FROM digests AS d
    INNER JOIN identities AS i
        ON
            d.volume = i.volume
            AND d.fs_id IS NOT DISTINCT FROM i.fs_id
            AND d.inode IS NOT DISTINCT FROM i.inode
            AND (d.inode IS NOT NULL OR (d.dir = i.dir AND d.name = i.name))
    WHERE d.digest IS NOT NULL
    GROUP BY ALL
),

-- Readings that failed or found something else, also by another volume that shows the very file.
contradictions AS (
    SELECT
        volume,
        fs_id,
        inode,
        CASE WHEN inode IS NULL THEN dir END AS dir,
        CASE WHEN inode IS NULL THEN name END AS name,
        created_at,
        size_bytes,
        modified_at,
        modified_ns,
        digest,
        max(digested_at) AS failed_at
    FROM digests AS d
    SEMI JOIN identities AS i ON d.fs_id IS NOT DISTINCT FROM i.fs_id AND d.inode IS NOT DISTINCT FROM i.inode
    WHERE digest IS NOT NULL OR sample IS NULL
    GROUP BY ALL
),

readable AS (
    SELECT r.*
    FROM readings AS r
    ANTI JOIN contradictions AS f
        ON
            (r.volume = f.volume OR (r.fs_id IS NOT NULL AND r.inode IS NOT NULL))
            AND r.digest IS DISTINCT FROM f.digest
            AND r.fs_id IS NOT DISTINCT FROM f.fs_id
            AND r.inode IS NOT DISTINCT FROM f.inode
            AND r.created_at IS NOT DISTINCT FROM f.created_at
            AND r.size_bytes = f.size_bytes
            AND r.modified_at = f.modified_at
            AND r.modified_ns IS NOT DISTINCT FROM f.modified_ns
            AND (r.inode IS NOT NULL OR (r.dir = f.dir AND r.name = f.name))
            AND r.digested_at <= f.failed_at
),

held AS (
    SELECT
        r.digest AS sha256,
        e.volume,
        e.path,
        e.size_bytes,
        try(epoch_us(e.modified_at) * 1000 + coalesce(e.modified_ns, 0)) AS modified_ns,
        e.fs_id,
        e.inode,
        try(epoch_us(e.created_at) * 1000) AS created_ns,
        try(epoch_us(e.changed_at) * 1000 + coalesce(e.changed_ns, 0)) AS changed_ns,
        e.link_count,
        r.digested_at AS verified_at,
        row_number() OVER (PARTITION BY r.digest, e.volume ORDER BY r.digested_at DESC, e.path ASC) AS place
    FROM readable AS r
    INNER JOIN wanted AS w ON r.digest = w.sha256
    INNER JOIN entries AS e
        ON
            r.volume = e.volume
            AND r.size_bytes = e.size_bytes
            AND r.modified_at = e.modified_at
            AND r.modified_ns IS NOT DISTINCT FROM e.modified_ns
            AND r.changed_at IS NOT DISTINCT FROM e.changed_at
            AND r.changed_ns IS NOT DISTINCT FROM e.changed_ns
            AND r.created_at IS NOT DISTINCT FROM e.created_at
            AND r.fs_id IS NOT DISTINCT FROM e.fs_id
            AND r.inode IS NOT DISTINCT FROM e.inode
            AND (r.inode IS NOT NULL OR (r.dir = e.dir AND r.name = e.name))
    WHERE
        list_contains(CAST($workable AS VARCHAR[]), e.volume)
        AND e.type IN ('file', 'object')
        AND e.is_latest IS DISTINCT FROM FALSE -- a job sees what a key shows
        AND e.carried_from IS NULL
        AND NOT starts_with(e.dir, '.lastcopy/')
        AND NOT contains(e.dir, '/.lastcopy/')
)

SELECT
    sha256,
    list(
        struct_pack(
            volume := volume,
            path := path,
            type := 'file',
            size_bytes := size_bytes,
            modified_ns := modified_ns,
            fs_id := fs_id,
            inode := inode,
            created_ns := created_ns,
            changed_ns := changed_ns,
            link_count := coalesce(link_count, 1),
            verified_at := verified_at
        )
        ORDER BY volume ASC, verified_at DESC, path ASC
    ) AS holders
FROM held
WHERE place <= 8 AND modified_ns IS NOT NULL -- what 64 bits cannot hold is no fingerprint
GROUP BY sha256
