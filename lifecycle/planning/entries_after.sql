/* The entries as a scan would find them once the plan is carried out: without what is taken away, with what is put somewhere. */
SELECT e.*
FROM entries_now AS e
LEFT JOIN gone AS g ON e.volume = g.volume AND e.dir = g.dir AND e.name = g.name
WHERE g.volume IS NULL
UNION ALL BY NAME
SELECT
    4611686018427387904 + p.step AS entry_id,
    p.target_dir AS dir,
    p.target_name AS name,
    CAST(0 AS BIGINT) AS path_hash,
    s.extension,
    p.type,
    p.size_bytes,
    coalesce(s.allocated_bytes, p.size_bytes) AS allocated_bytes,
    p.modified_at,
    s.accessed_at,
    p.modified_at AS changed_at, -- a scan of every volume follows: nothing is newer than the scans
    p.modified_at AS created_at,
    p.modified_ns,
    CAST(0 AS INTEGER) AS changed_ns,
    coalesce(s.time_flags & 3, 0) AS time_flags,
    s.owner,
    s."group",
    s.uid,
    s.gid,
    s.mode,
    'planned' AS fs_id,
    p.unit AS inode,
    p.link_count,
    s.media_type,
    p.target_volume AS volume
FROM planned AS p
LEFT JOIN entries_now AS s ON p.volume = s.volume AND p.dir = s.dir AND p.name = s.name
LEFT JOIN excluded AS x ON p.target_volume = x.volume
WHERE p.target_volume IS NOT NULL AND NOT coalesce(regexp_full_match(p.target_dir || p.target_name, x.expression), FALSE)
UNION ALL BY NAME
-- The derivation says what a stub is: a pointer, where its content is found.
SELECT
    s.* REPLACE (
        6917529027641081856 + p.step AS entry_id,
        u.size_bytes AS size_bytes,
        u.size_bytes AS allocated_bytes,
        s.modified_at AS changed_at,
        s.modified_at AS created_at,
        'stub' AS fs_id,
        p.step AS inode,
        1 AS link_count,
        'stub' AS storage_class,
        p.target_volume || ':' || p.target_dir || p.target_name AS link_target,
        '{"sha256": "' || lower(hex(p.digest)) || '", "size_bytes": ' || CAST(p.size_bytes AS VARCHAR) || '}' AS tags
    )
FROM planned AS p
INNER JOIN stubs_left AS u ON p.step = u.step
INNER JOIN entries_now AS s ON p.volume = s.volume AND p.dir = s.dir AND p.name = s.name
UNION ALL BY NAME
-- Where blocks cannot be shared, an equal file becomes one more name of the file that is kept.
SELECT
    k.* REPLACE (
        s.entry_id AS entry_id,
        s.dir AS dir,
        s.name AS name,
        s.path_hash AS path_hash,
        s.extension AS extension
    )
FROM planned AS p
INNER JOIN linking_volumes AS v ON p.volume = v.volume
INNER JOIN entries_now AS s ON p.volume = s.volume AND p.dir = s.dir AND p.name = s.name
INNER JOIN entries_now AS k ON p.volume = k.volume AND p.kept_dir = k.dir AND p.kept_name = k.name
