/* Digests that at least two files may have, with a number: one that is known once is nobody's copy. */
SELECT
    digest,
    CAST(row_number() OVER () AS INTEGER) AS digest_no
FROM (
    SELECT digest
    FROM (
        SELECT digest FROM readings
        UNION ALL
        SELECT digest FROM known_paths
        UNION ALL
        SELECT digest FROM file_entries
    ) AS all_digests
    WHERE digest IS NOT NULL
    GROUP BY digest
    HAVING count(*) > 1
) AS repeated_digests
