-- The large files to read whole: of equal size and sample with another file, or of equal size with one whose storage
-- attests a digest, so that no sample can part them. Those whose last reading failed, and those that are read again, were tried whole before.
WITH samples AS (
    SELECT DISTINCT
        files.*,
        known.sample
    FROM files
    INNER JOIN known
        ON
            files.volume = known.volume
            AND files.fs_id IS NOT DISTINCT FROM known.fs_id
            AND files.inode IS NOT DISTINCT FROM known.inode
            AND files.created_at IS NOT DISTINCT FROM known.created_at
            AND files.size_bytes = known.size_bytes
            AND files.modified_at IS NOT DISTINCT FROM known.modified_at
            AND files.modified_ns IS NOT DISTINCT FROM known.modified_ns
            AND files.changed_at IS NOT DISTINCT FROM known.changed_at
            AND files.changed_ns IS NOT DISTINCT FROM known.changed_ns
            AND (known.path IS NULL OR files.dir || files.name = known.path)
    WHERE known.sample IS NOT NULL AND files.attested IS NULL AND files.size_bytes > getvariable('small_bytes')
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
ANTI JOIN unread ON samples.volume = unread.volume AND samples.dir = unread.dir AND samples.name = unread.name
ANTI JOIN proven ON samples.volume = proven.volume AND samples.dir = proven.dir AND samples.name = proven.name
LEFT JOIN pairs ON samples.size_bytes = pairs.size_bytes AND samples.sample = pairs.sample
LEFT JOIN attested_sizes ON samples.size_bytes = attested_sizes.size_bytes
WHERE pairs.size_bytes IS NOT NULL OR attested_sizes.size_bytes IS NOT NULL
