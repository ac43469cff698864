/* Equal content in more than one file that is seen: of all primary volumes together, and of each other volume by itself. */
SELECT
    g.scope,
    n.digest,
    r.size_bytes,
    g.members,
    CAST(g.members - 1 AS HUGEINT) * r.size_bytes AS reclaimable_bytes,
    f.volume,
    r.entry_id,
    d.dir,
    r.name,
    r.link_count,
    r.modified_at,
    r.accessed_at
FROM repeated AS r
INNER JOIN volume_facts AS f ON r.v = f.v
INNER JOIN (
    SELECT
        one.scope,
        m.digest_no,
        count(DISTINCT m.identity) AS members
    FROM repeated AS m
    INNER JOIN volume_facts AS one ON m.v = one.v
    WHERE m.counted AND m.seen AND m.size_bytes IS NOT NULL
    GROUP BY one.scope, m.digest_no
    HAVING count(DISTINCT m.identity) > 1
) AS g ON f.scope = g.scope AND r.digest_no = g.digest_no
INNER JOIN digest_numbers AS n ON r.digest_no = n.digest_no
INNER JOIN dirs AS d ON r.dir_no = d.dir_no
WHERE r.counted AND r.seen AND r.size_bytes IS NOT NULL
