/* Files whose digest at least two names of the estate have: the only ones that can be duplicates or copies by content. */
SELECT
    i.v,
    i.entry_id,
    i.dir_no,
    i.name,
    i.size_bytes,
    i.digest,
    i.fs_no,
    i.inode,
    i.modified_at,
    i.accessed_at,
    i.link_count,
    n.v IS NULL AS counted,
    coalesce(CAST(i.fs_no AS VARCHAR) || ':' || CAST(i.inode AS VARCHAR), CAST(i.v AS VARCHAR) || '/' || CAST(i.entry_id AS VARCHAR)) AS identity
FROM items AS i
INNER JOIN (
    SELECT digest
    FROM items
    WHERE digest IS NOT NULL AND size_bytes > 0
    GROUP BY digest
    HAVING count(*) > 1
) AS d ON i.digest = d.digest
LEFT JOIN later_names AS n ON i.v = n.v AND i.entry_id = n.entry_id
WHERE i.size_bytes > 0
