/* The one match of each asset with each volume, before conflicts elsewhere are looked at. */
SELECT
    m.a,
    m.entry_id,
    m.v,
    m.copy_entry_id,
    m.size_bytes,
    m.modified_at,
    m.carried,
    CASE m.found WHEN 'content' THEN m.content_level WHEN 'empty' THEN 2 WHEN 'metadata' THEN 1 WHEN 'older' THEN m.own_level END AS level,
    CASE WHEN m.found IN ('content', 'older') THEN coalesce(m.digested_at, f.scanned_at) ELSE f.scanned_at END AS verified_at,
    CASE m.found WHEN 'empty' THEN 'content' ELSE m.found END AS found,
    CASE WHEN m.found = 'content' THEN coalesce(h.files, 1) ELSE 1 END AS files
FROM own_matches AS m
INNER JOIN volume_facts AS f ON m.v = f.v
LEFT JOIN content_matches AS c ON m.a = c.a AND m.entry_id = c.entry_id AND m.v = c.v
LEFT JOIN assets AS i ON m.found = 'content' AND m.a = i.a AND m.entry_id = i.entry_id
LEFT JOIN holders AS h ON m.found = 'content' AND m.a = h.a AND m.v = h.v AND i.digest = h.digest
WHERE c.a IS NULL
UNION ALL
SELECT
    c.a,
    c.entry_id,
    c.v,
    c.copy_entry_id,
    c.size_bytes,
    c.modified_at,
    c.carried,
    c.content_level AS level,
    c.digested_at AS verified_at,
    'content' AS found,
    c.files
FROM content_matches AS c
