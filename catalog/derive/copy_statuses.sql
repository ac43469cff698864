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
        s.uncounted_copies + coalesce(c.files - 1, 0) AS other_copies
    FROM evidence AS e
    INNER JOIN asset_outcomes AS s ON e.a = s.a AND e.entry_id = s.entry_id
    INNER JOIN verdicts AS w ON s.signature_no = w.signature_no
    INNER JOIN status_badness AS b ON w.status = b.status
    LEFT JOIN contents AS c ON s.digest_no = c.digest_no
    WHERE e.found >= 3
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
