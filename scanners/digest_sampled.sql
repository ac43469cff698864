-- The large files to read whole: of equal size and sample with another file, or of equal size with one whose storage
-- attests a digest, so that no sample can part them. Those whose last reading failed, and those that are read again, were tried whole before.
WITH samples AS (
    SELECT DISTINCT * EXCLUDE (has_digest, digest, digested_at)  -- every column of files, and the sample -- noqa: AM04
    FROM readings
    WHERE sample IS NOT NULL AND attested IS NULL AND size_bytes > getvariable('small_bytes')
),

pairs AS (
    SELECT
        size_bytes,
        sample
    FROM samples
    GROUP BY size_bytes, sample
    HAVING min(inode) <> max(inode) OR min(fs_key) <> max(fs_key) OR (count(*) > 1 AND count(inode) < count(*))
),

attested_sizes AS (
    SELECT DISTINCT size_bytes
    FROM files
    WHERE attested IS NOT NULL
)

SELECT
    samples.* EXCLUDE (sample),  -- every column of files -- noqa: AM04
    TRUE AS whole
FROM samples
INNER JOIN volumes ON samples.volume = volumes.volume
ANTI JOIN unread
    ON samples.volume = unread.volume AND samples.dir = unread.dir AND samples.name = unread.name AND samples.inode IS NOT DISTINCT FROM unread.inode
ANTI JOIN before
    ON samples.volume = before.volume AND samples.dir = before.dir AND samples.name = before.name AND samples.inode IS NOT DISTINCT FROM before.inode
LEFT JOIN pairs ON samples.size_bytes = pairs.size_bytes AND samples.sample = pairs.sample
LEFT JOIN attested_sizes ON samples.size_bytes = attested_sizes.size_bytes
WHERE pairs.size_bytes IS NOT NULL OR attested_sizes.size_bytes IS NOT NULL
