-- The files that a mode asks for: with 'match' those whose size two different files have, with 'all' every one.
-- `whole` says that the content is read at once; of the others a sample comes first.
WITH shared_sizes AS (
    SELECT size_bytes
    FROM files
    GROUP BY size_bytes
    HAVING min(inode) <> max(inode) OR min(fs_key) <> max(fs_key) OR (count(*) > 1 AND count(inode) < count(*))
)

SELECT
    files.*,  -- every column of files -- noqa: AM04
    files.size_bytes <= getvariable('small_bytes') OR volumes.mode = 'all' AS whole
FROM files
INNER JOIN volumes ON files.volume = volumes.volume
WHERE files.attested IS NULL AND (volumes.mode = 'all' OR files.size_bytes IN (SELECT shared_sizes.size_bytes FROM shared_sizes))
