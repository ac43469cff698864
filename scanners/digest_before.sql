-- The newest digest of each file of volumes in `again` whose whole content was read under its fingerprint: all of them are read again.
SELECT
    volume,
    dir,
    name,
    size_bytes,
    max_by(digest, digested_at) AS digest_before,
    max(digested_at) AS digested_before_at
FROM readings
WHERE has_digest AND attested IS NULL AND list_contains(getvariable('again'), volume)
GROUP BY volume, dir, name, size_bytes
