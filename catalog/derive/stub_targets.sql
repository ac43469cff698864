/*
What lies where stubs say that their content is, as an asset would, of that size. `proven`: its digest is the one that the stub names; null = nobody knows it.
A stub of proven content is a pointer, and no file.
*/
WITH targets AS MATERIALIZED (
    SELECT
        s.v,
        s.entry_id,
        s.digest,
        v.v AS target_v,
        e.entry_id AS target_entry_id,
        e.carried_from,
        e.volume,
        e.dir,
        e.name,
        e.fs_id,
        e.inode,
        e.created_at,
        e.size_bytes,
        e.modified_at,
        e.modified_ns,
        e.changed_at,
        e.changed_ns,
        e.digest AS attested
    FROM entries AS e
    INNER JOIN stubs AS s
        ON
            e.volume = s.target_volume
            AND e.dir = s.target_dir
            AND e.name = s.target_name
            AND e.size_bytes = s.size_bytes
    INNER JOIN volume_facts AS v ON e.volume = v.volume AND v.role IN ('archive', 'primary')
    WHERE e.type IN ('file', 'object') AND e.storage_class IS DISTINCT FROM 'stub'
)

SELECT
    t.v,
    t.entry_id,
    t.target_v,
    t.target_entry_id,
    t.size_bytes,
    t.modified_at,
    t.carried_from IS NOT NULL AS carried,
    coalesce(k.digest, t.attested) = t.digest AS proven
FROM targets AS t
LEFT JOIN (
    SELECT
        w.v,
        w.entry_id,
        arg_max(g.digest, g.digested_at) AS digest
    FROM digests AS g
    INNER JOIN targets AS w
        ON
            g.volume = w.volume
            AND g.size_bytes = w.size_bytes
            AND g.fs_id IS NOT DISTINCT FROM w.fs_id
            AND g.inode IS NOT DISTINCT FROM w.inode
            AND g.created_at IS NOT DISTINCT FROM w.created_at
            AND g.modified_at IS NOT DISTINCT FROM w.modified_at
            AND g.modified_ns IS NOT DISTINCT FROM w.modified_ns
            AND g.changed_at IS NOT DISTINCT FROM w.changed_at
            AND g.changed_ns IS NOT DISTINCT FROM w.changed_ns
    WHERE g.digest IS NOT NULL AND ((w.fs_id IS NOT NULL AND w.inode IS NOT NULL) OR (g.dir = w.dir AND g.name = w.name))
    GROUP BY w.v, w.entry_id
) AS k ON t.v = k.v AND t.entry_id = k.entry_id
