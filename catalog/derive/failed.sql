/* Files whose last reading failed, whatever scan asked for it, or of which another volume found other content: their whole content was not read since by their own volume
under the fingerprint that they have now. */
WITH hits AS (
    SELECT
        f.v,
        f.entry_id,
        f.volume,
        f.dir,
        f.name,
        f.fs_id,
        s.fs_no,
        f.inode,
        f.created_at,
        f.size_bytes,
        f.modified_at,
        f.modified_ns,
        f.changed_at,
        f.changed_ns,
        t.failed_at
    FROM file_entries AS f
    INNER JOIN failures AS t
        ON
            f.size_bytes = t.size_bytes
            AND f.fs_id IS NOT DISTINCT FROM t.fs_id
            AND f.inode IS NOT DISTINCT FROM t.inode
            AND f.created_at IS NOT DISTINCT FROM t.created_at
            AND f.modified_at IS NOT DISTINCT FROM t.modified_at
            AND f.modified_ns IS NOT DISTINCT FROM t.modified_ns
            AND (t.path IS NULL OR f.path = t.path)
            AND (f.volume = t.volume OR (t.volume IS NULL AND f.volume <> t.reader))
    LEFT JOIN file_systems AS s ON f.fs_id = s.fs_id
),

read_since AS (
    SELECT
        h.v,
        h.entry_id,
        h.failed_at
    FROM known AS k
    INNER JOIN hits AS h
        ON
            k.v = h.v
            AND k.fs_no = h.fs_no
            AND k.inode = h.inode
            AND k.size_bytes = h.size_bytes
            AND k.created_at IS NOT DISTINCT FROM h.created_at
            AND k.modified_at IS NOT DISTINCT FROM h.modified_at
            AND k.modified_ns IS NOT DISTINCT FROM h.modified_ns
            AND k.changed_at IS NOT DISTINCT FROM h.changed_at
            AND k.changed_ns IS NOT DISTINCT FROM h.changed_ns
    WHERE k.digested_at > h.failed_at
    UNION
    SELECT
        h.v,
        h.entry_id,
        h.failed_at
    FROM known_paths AS p
    INNER JOIN hits AS h
        ON
            p.volume = h.volume
            AND p.dir = h.dir
            AND p.name = h.name
            AND p.size_bytes = h.size_bytes
            AND p.fs_id IS NOT DISTINCT FROM h.fs_id
            AND p.inode IS NOT DISTINCT FROM h.inode
            AND p.created_at IS NOT DISTINCT FROM h.created_at
            AND p.modified_at IS NOT DISTINCT FROM h.modified_at
            AND p.modified_ns IS NOT DISTINCT FROM h.modified_ns
            AND p.changed_at IS NOT DISTINCT FROM h.changed_at
            AND p.changed_ns IS NOT DISTINCT FROM h.changed_ns
    WHERE p.digested_at > h.failed_at
)

SELECT DISTINCT
    h.v,
    h.entry_id,
    h.fs_id,
    h.inode
FROM hits AS h
LEFT JOIN read_since AS r ON h.v = r.v AND h.entry_id = r.entry_id AND h.failed_at = r.failed_at
WHERE r.v IS NULL
