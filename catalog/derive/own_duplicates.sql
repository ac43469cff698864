/* Contents that one volume holds in more than one file. */
SELECT
    v,
    digest
FROM repeated
WHERE counted
GROUP BY v, digest
HAVING count(*) > 1
