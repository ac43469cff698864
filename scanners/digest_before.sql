-- The files of volumes in `again` whose content is known: the newest digest that was read of each under its fingerprint, else the one that its storage tells and
-- nobody has read yet; and versions in backups that nobody has read. All of them are read again: first what nobody has read, content by content, as if that had been in 1970.
SELECT
    files.volume,
    files.dir,
    files.name,
    files.inode,
    files.size_bytes,
    coalesce(max_by(readings.digest, readings.digested_at), any_value(files.attested)) AS digest_before,
    coalesce(
        max(readings.digested_at),
        TIMESTAMP '1970-01-01' + to_microseconds(dense_rank() OVER (
            ORDER BY files.volume, any_value(files.attested), CASE WHEN any_value(files.attested) IS NULL THEN files.inode END
        ))
    ) AS digested_before_at
FROM files
LEFT JOIN readings
    ON
        readings.has_digest
        AND files.volume = readings.volume
        AND files.dir = readings.dir
        AND files.name = readings.name
        AND files.inode IS NOT DISTINCT FROM readings.inode
WHERE list_contains(getvariable('again'), files.volume) AND (readings.has_digest OR files.attested IS NOT NULL OR files.is_version)
GROUP BY files.volume, files.dir, files.name, files.inode, files.size_bytes
