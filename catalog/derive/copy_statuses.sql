/* The worst status of the assets that each file of another volume is a copy of, and how many other files hold that content. */
SELECT
    v,
    entry_id,
    max(badness) AS badness,
    max(other_copies) AS other_copies
FROM (
    SELECT
        e.v,
        e.copy_entry_id AS entry_id,
        b.badness,
        CASE
            WHEN e.found IN (3, 4) AND NOT e.carried AND NOT s.carried THEN s.uncounted_copies + coalesce(CASE WHEN u.v IS NULL THEN c.files - 1 END, 0)
            ELSE 0
        END AS other_copies
    FROM evidence AS e
    INNER JOIN asset_outcomes AS s ON e.a = s.a AND e.entry_id = s.entry_id
    INNER JOIN verdicts AS w ON s.signature_no = w.signature_no
    INNER JOIN status_badness AS b ON w.status = b.status
    LEFT JOIN unreadable AS u ON s.a = u.v AND s.entry_id = u.entry_id
    LEFT JOIN contents AS c ON s.digest_no = c.digest_no
    -- Of equal content that is not empty, the second query says no less.
    WHERE e.found IN (3, 4) OR (e.found = 5 AND (s.digest_no IS NULL OR e.size_bytes = 0))
    UNION ALL
    SELECT
        r.v,
        r.entry_id,
        d.badness,
        0 AS other_copies
    FROM repeated AS r
    INNER JOIN (
        SELECT
            s.digest_no,
            max(b.badness) AS badness
        FROM asset_outcomes AS s
        INNER JOIN verdicts AS w ON s.signature_no = w.signature_no
        INNER JOIN status_badness AS b ON w.status = b.status
        WHERE s.digest_no IS NOT NULL
        GROUP BY s.digest_no
    ) AS d ON r.digest_no = d.digest_no
) AS found
GROUP BY v, entry_id
