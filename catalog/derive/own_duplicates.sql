/* Contents that one volume holds in more than one file. */
SELECT
    v,
    digest_no
FROM repeated
WHERE counted
GROUP BY v, digest_no
HAVING count(*) > 1
