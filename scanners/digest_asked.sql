-- The files that a mode asks for: with 'match' those whose size two different files have, those that a stub of that size stands for, and those of whose name a volume
-- that may protect them is told to have a digest, and no size, with 'all' every one;
-- and those whose last reading failed, of which another volume found other content, or that are to be read again. What is read `on_request` is only asked for by these.
-- `whole` says that the content is read at once; of the others a sample comes first.
WITH shared_sizes AS (
    SELECT size_bytes
    FROM files
    GROUP BY size_bytes
    HAVING min(inode) <> max(inode) OR min(fs_key) <> max(fs_key) OR (count(*) > 1 AND count(inode) < count(*))
),

promised AS (
    SELECT DISTINCT
        link_target,
        CAST(nullif(regexp_extract(tags, '"size_bytes": ([0-9]+)', 1), '') AS BIGINT) AS size_bytes
    FROM entries
    WHERE type = 'file' AND storage_class = 'stub'
),

told AS (
    SELECT DISTINCT
        protecting.volume,
        entries.name
    FROM entries
    INNER JOIN protecting ON entries.volume = protecting.protector
    WHERE entries.type = 'file' AND entries.size_bytes IS NULL AND entries.digest IS NOT NULL
)

SELECT
    files.*,  -- every column of files -- noqa: AM04
    files.size_bytes <= getvariable('small_bytes') OR volumes.mode = 'all' OR promised.link_target IS NOT NULL OR unread.failed_at IS NOT NULL
    OR before.volume IS NOT NULL OR (files.volume, files.name) IN (SELECT (told.volume, told.name) FROM told) AS whole
FROM files
INNER JOIN volumes ON files.volume = volumes.volume
LEFT JOIN promised ON files.size_bytes = promised.size_bytes AND files.volume || ':' || files.dir || files.name = promised.link_target
LEFT JOIN unread
    ON files.volume = unread.volume AND files.dir = unread.dir AND files.name = unread.name AND files.inode IS NOT DISTINCT FROM unread.inode
LEFT JOIN before
    ON files.volume = before.volume AND files.dir = before.dir AND files.name = before.name AND files.inode IS NOT DISTINCT FROM before.inode
WHERE
    unread.failed_at IS NOT NULL
    OR before.digested_before_at < getvariable('read_since')
    OR (files.attested IS NULL AND NOT list_contains(getvariable('on_request'), files.volume) AND (
        volumes.mode = 'all'
        OR promised.link_target IS NOT NULL
        OR files.size_bytes IN (SELECT shared_sizes.size_bytes FROM shared_sizes)
        OR (files.volume, files.name) IN (SELECT (told.volume, told.name) FROM told)
    ))
