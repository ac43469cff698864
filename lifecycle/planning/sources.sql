/*
Every intended act with what the newest scan saw at its source. The digest is the newest that we read under exactly the fingerprint
of the entry. `expected` is what the journal knows of a file that an earlier job put there; the scan is then not asked.
Where an act says what content it means, `read_sha256` is what was read of what is there.
*/
WITH seen AS (
    SELECT
        i.id,
        CASE e.type WHEN 'object' THEN 'file' ELSE e.type END AS type, -- to a job an object is a file
        e.size_bytes,
        try(epoch_us(e.modified_at) * 1000 + coalesce(e.modified_ns, 0)) AS modified_ns,
        try(epoch_us(e.changed_at) * 1000 + coalesce(e.changed_ns, 0)) AS changed_ns,
        try(epoch_us(e.created_at) * 1000) AS created_ns,
        e.fs_id,
        e.inode,
        e.link_count,
        e.owner,
        e.uid,
        coalesce(e.allocated_bytes, e.size_bytes) AS allocated_bytes,
        e.dir,
        e.name
    FROM intended AS i
    INNER JOIN entries AS e ON i.volume = e.volume AND i.path = e.path
    WHERE i.expected IS NULL AND e.is_latest IS DISTINCT FROM FALSE -- a job sees what a key shows
),

read_rows AS (
    SELECT
        s.id,
        arg_max(d.digest, d.digested_at) AS digest,
        max(d.digested_at) AS digested_at
    FROM seen AS s
    INNER JOIN intended AS i ON s.id = i.id
    INNER JOIN digests AS d
        ON
            i.volume = d.volume
            AND s.size_bytes = d.size_bytes
            AND s.modified_ns = try(epoch_us(d.modified_at) * 1000 + coalesce(d.modified_ns, 0))
            AND s.changed_ns IS NOT DISTINCT FROM try(epoch_us(d.changed_at) * 1000 + coalesce(d.changed_ns, 0))
            AND s.created_ns IS NOT DISTINCT FROM try(epoch_us(d.created_at) * 1000)
            AND s.fs_id IS NOT DISTINCT FROM d.fs_id
            AND s.inode IS NOT DISTINCT FROM d.inode
    WHERE d.digest IS NOT NULL AND (s.inode IS NOT NULL OR (s.dir = d.dir AND s.name = d.name))
    GROUP BY s.id
)

SELECT
    i.id,
    i.rank,
    i.choice,
    i.volume,
    i.path,
    i.key,
    i.target_volume,
    i.target_path,
    i.kept_path,
    i.of_job,
    i.of_step,
    i.reason,
    i.also,
    coalesce(i.expected.type, s.type) AS type,
    coalesce(i.expected.size_bytes, s.size_bytes) AS size_bytes,
    coalesce(i.expected.modified_ns, s.modified_ns) AS modified_ns,
    coalesce(i.expected.fs_id, s.fs_id) AS fs_id,
    coalesce(i.expected.inode, s.inode) AS inode,
    coalesce(i.expected.created_ns, s.created_ns) AS created_ns,
    coalesce(i.expected.changed_ns, s.changed_ns) AS changed_ns,
    coalesce(i.expected.link_count, s.link_count) AS link_count,
    coalesce(s.allocated_bytes, i.expected.size_bytes) AS allocated_bytes,
    s.owner,
    s.uid,
    coalesce(i.sha256, r.digest) AS sha256,
    r.digest AS read_sha256
FROM intended AS i
LEFT JOIN seen AS s ON i.id = s.id
LEFT JOIN read_rows AS r ON i.id = r.id
