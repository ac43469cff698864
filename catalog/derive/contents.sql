/* How many files, hard links once, hold each content that more than one holds. */
SELECT
    digest,
    count(DISTINCT identity) AS files
FROM repeated
GROUP BY digest
HAVING count(DISTINCT identity) > 1
