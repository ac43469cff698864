/* Equal content in more than one file that is seen: of all primary volumes together, and of each other volume by itself. */
WITH members AS (
    SELECT
        f.scope_no,
        r.digest_no,
        r.identity
    FROM repeated AS r
    INNER JOIN volume_facts AS f ON r.v = f.v
    WHERE r.counted AND r.seen AND r.size_bytes IS NOT NULL
),

-- Most contents are there once: only of the others it is counted how many files they are.
several AS MATERIALIZED (
    SELECT
        scope_no,
        digest_no
    FROM members
    GROUP BY scope_no, digest_no
    HAVING count(*) > 1
),

counted AS MATERIALIZED (
    SELECT
        m.scope_no,
        m.digest_no,
        count(DISTINCT m.identity) AS members
    FROM members AS m
    INNER JOIN several AS s ON m.scope_no = s.scope_no AND m.digest_no = s.digest_no
    GROUP BY m.scope_no, m.digest_no
    HAVING count(DISTINCT m.identity) > 1
)

SELECT
    f.scope,
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
INNER JOIN counted AS g ON f.scope_no = g.scope_no AND r.digest_no = g.digest_no
INNER JOIN digest_numbers AS n ON r.digest_no = n.digest_no
INNER JOIN dirs AS d ON r.dir_no = d.dir_no
WHERE r.counted AND r.seen AND r.size_bytes IS NOT NULL
