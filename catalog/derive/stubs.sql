/* The files that say that they are stubs: where the content is that they stand for, and what it is. */
SELECT
    s.v,
    s.entry_id,
    s.target_volume,
    regexp_extract(s.target_path, '^.*/', 0) AS target_dir,
    regexp_extract(s.target_path, '[^/]*$', 0) AS target_name,
    CAST(nullif(regexp_extract(s.tags, '"size_bytes": ([0-9]+)', 1), '') AS BIGINT) AS size_bytes,
    unhex(regexp_extract(s.tags, '"sha256": "([0-9a-f]*)"', 1)) AS digest
FROM (
    SELECT
        v.v,
        e.entry_id,
        split_part(e.link_target, ':', 1) AS target_volume,
        substr(e.link_target, length(split_part(e.link_target, ':', 1)) + 2) AS target_path,
        e.tags
    FROM entries AS e
    INNER JOIN volume_facts AS v ON e.volume = v.volume
    WHERE e.type = 'file' AND e.storage_class = 'stub'
) AS s
