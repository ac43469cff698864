/*
The worst status of the assets that each file of another volume is a copy of, and how many other files hold that content: where that is not known by equal content that is not
empty, of which `content_statuses` says no less.
*/
SELECT
    e.v,
    e.copy_entry_id AS entry_id,
    max(b.badness) AS badness,
    max(
        CASE
            WHEN e.found IN (3, 4) AND NOT e.carried AND NOT s.carried THEN s.uncounted_copies + coalesce(CASE WHEN u.v IS NULL THEN c.files - 1 END, 0)
            ELSE 0
        END
    ) AS other_copies
FROM evidence AS e
INNER JOIN asset_outcomes AS s ON e.a = s.a AND e.entry_id = s.entry_id
INNER JOIN verdicts AS w ON s.signature_no = w.signature_no
INNER JOIN status_badness AS b ON w.status = b.status
LEFT JOIN unreadable AS u ON s.a = u.v AND s.entry_id = u.entry_id
LEFT JOIN contents AS c ON s.digest_no = c.digest_no
WHERE e.found IN (3, 4) OR (e.found = 5 AND (s.digest_no IS NULL OR e.size_bytes = 0))
GROUP BY e.v, e.copy_entry_id
