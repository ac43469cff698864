/* What we read ourselves, by identity and fingerprint: the newest digest and the newest sample, by their numbers. */
SELECT
    r.v,
    r.fs_no,
    r.inode,
    r.created_at,
    r.size_bytes,
    r.modified_at,
    r.modified_ns,
    r.changed_at,
    r.changed_ns,
    r.digest IS NOT NULL AS has_digest,
    n.digest_no,
    r.digested_at,
    r.sample IS NOT NULL AS has_sample,
    m.sample_no,
    r.accessed_before_at,
    r.read_started_at,
    r.read_finished_at
FROM readings AS r
LEFT JOIN digest_numbers AS n ON r.digest = n.digest
LEFT JOIN sample_numbers AS m ON r.sample = m.sample
