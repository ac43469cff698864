/* Files with a digest that another file may have, too. What is `seen` was seen by the newest scan, and could be read: what others were is not known now. */
SELECT
    i.v,
    i.entry_id,
    i.dir_no,
    i.name,
    i.size_bytes,
    i.digest_no,
    i.fs_no,
    i.inode,
    i.modified_at,
    i.accessed_at,
    i.link_count,
    n.v IS NULL AS counted,
    NOT i.carried AND u.v IS NULL AS seen,
    CASE -- two numbers of 64 bits in one; a backup stores a content once, whatever the versions that have it
        WHEN i.stored_once THEN CAST(i.v * 3 AS HUGEINT) * 18446744073709551616
        ELSE coalesce(CAST(i.fs_no * 3 + 1 AS HUGEINT) * 18446744073709551616 + i.inode, CAST(i.v * 3 + 2 AS HUGEINT) * 18446744073709551616 + i.entry_id)
    END AS identity
FROM items AS i
LEFT JOIN later_names AS n ON i.v = n.v AND i.entry_id = n.entry_id
LEFT JOIN unreadable AS u ON i.v = u.v AND i.entry_id = u.entry_id
WHERE i.digest_no IS NOT NULL AND coalesce(i.size_bytes, 1) > 0
