/* How many files that are seen, hard links once, hold each content that more than one holds. */
SELECT
    digest_no,
    count(DISTINCT identity) AS files
FROM repeated
WHERE seen
GROUP BY digest_no
HAVING count(DISTINCT identity) > 1
