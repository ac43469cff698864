/* The worst status of the assets that hold each content. */
SELECT
    s.digest_no,
    max(b.badness) AS badness
FROM asset_outcomes AS s
INNER JOIN verdicts AS w ON s.signature_no = w.signature_no
INNER JOIN status_badness AS b ON w.status = b.status
WHERE s.digest_no IS NOT NULL
GROUP BY s.digest_no
