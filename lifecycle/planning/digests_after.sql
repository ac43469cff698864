/* The digests that are known once the plan is carried out: what is copied is read, on both sides. */
SELECT d.*
FROM digests_now AS d
UNION ALL BY NAME
SELECT
    p.target_volume AS volume,
    p.target_dir AS dir,
    p.target_name AS name,
    'planned' AS fs_id,
    p.unit AS inode,
    p.modified_at AS created_at,
    p.size_bytes,
    p.modified_at,
    p.modified_ns,
    p.modified_at AS changed_at,
    CAST(0 AS INTEGER) AS changed_ns,
    p.digest,
    CAST($as_of AS TIMESTAMP) AS digested_at
FROM planned AS p
WHERE p.target_volume IS NOT NULL
UNION ALL BY NAME
SELECT
    s.volume,
    s.dir,
    s.name,
    s.fs_id,
    s.inode,
    s.created_at,
    s.size_bytes,
    s.modified_at,
    s.modified_ns,
    s.changed_at,
    s.changed_ns,
    p.digest,
    CAST($as_of AS TIMESTAMP) AS digested_at
FROM planned AS p
INNER JOIN entries_now AS s ON p.volume = s.volume AND p.dir = s.dir AND p.name = s.name
WHERE p.target_volume IS NOT NULL AND p.sha256 IS NULL
