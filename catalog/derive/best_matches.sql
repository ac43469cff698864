/* The one match of each asset with each volume, before conflicts elsewhere are looked at. */
SELECT
    m.a,
    m.entry_id,
    m.v,
    m.copy_entry_id,
    m.copy_dir_no,
    m.size_bytes,
    m.modified_at,
    m.carried,
    CASE
        WHEN m.found = 5 THEN m.content_level
        WHEN m.found = 4 THEN 2
        WHEN m.found = 3 THEN m.told_level
        WHEN m.found = 1 THEN m.own_level
        WHEN m.found = 0 THEN 0
    END AS level,
    coalesce(CASE WHEN m.found IN (5, 1) THEN m.digested_at ELSE m.told_at END, f.scanned_at) AS verified_at,
    coalesce(m.told_at, f.scanned_at) AS seen_at,
    m.found,
    m.is_version,
    m.held_at,
    CASE WHEN m.found = 5 THEN coalesce(h.files, 1) ELSE 1 END AS files
FROM own_matches AS m
INNER JOIN volume_facts AS f ON m.v = f.v
LEFT JOIN content_matches AS c ON m.a = c.a AND m.entry_id = c.entry_id AND m.v = c.v
LEFT JOIN (
    SELECT *
    FROM holders
    WHERE files > 1
) AS h ON m.found = 5 AND m.a = h.a AND m.v = h.v AND m.digest_no = h.digest_no
WHERE c.a IS NULL
UNION ALL
SELECT
    c.a,
    c.entry_id,
    c.v,
    c.copy_entry_id,
    CAST(NULL AS INTEGER) AS copy_dir_no,
    c.size_bytes,
    c.modified_at,
    c.carried,
    c.content_level AS level,
    c.digested_at AS verified_at,
    coalesce(c.told_at, s.scanned_at) AS seen_at,
    5 AS found,
    FALSE AS is_version,
    CAST(NULL AS TIMESTAMP) AS held_at,
    c.files
FROM content_matches AS c
INNER JOIN volume_facts AS s ON c.v = s.v
