/*
What the file at the mapped path is to the asset: 5 content, 4 empty on both sides, 3 metadata, 2 conflict, 1 older, 0 only the path: equal size, and a time that is equal
and proves nothing, or a size or time that one of them does not have, or when its storage got the copy; so is what a stub stands for, wherever it is, while nobody knows its content. `is_version`: by its time, which proves something, it is not younger than the asset, and it is not empty.
*/
SELECT
    a,
    entry_id,
    v,
    copy_entry_id,
    copy_dir_no,
    size_bytes,
    modified_at,
    carried,
    CASE WHEN digest_read AND asset_digest_read THEN 3 ELSE greatest(told_level, 1) END AS content_level,
    CASE WHEN has_digest AND digest_read THEN 2 ELSE told_level END AS own_level,
    listed,
    told_level,
    held_at,
    digest_no,
    digested_at,
    CASE WHEN NOT digest_read THEN digested_at END AS told_at,
    coalesce(times_trusted AND modified_at <= asset_modified_at AND size_bytes > 0, FALSE) AS is_version,
    CASE
        WHEN asset_size_bytes = 0 AND size_bytes = 0 THEN 4
        WHEN same_digest THEN 5
        WHEN asset_size_bytes <> size_bytes OR NOT same_time THEN 1
        WHEN digests_known OR (samples_known AND NOT coalesce(same_sample, FALSE)) THEN CASE WHEN same_time AND asset_size_bytes = size_bytes THEN 2 ELSE 1 END
        WHEN same_time IS NULL OR asset_size_bytes = size_bytes IS NULL OR NOT times_trusted THEN 0
        ELSE 3
    END AS found
FROM path_pairs
UNION ALL
SELECT
    s.v AS a,
    s.entry_id,
    s.target_v AS v,
    s.target_entry_id AS copy_entry_id,
    CAST(NULL AS INTEGER) AS copy_dir_no,
    s.size_bytes,
    s.modified_at,
    s.carried,
    1 AS content_level,
    1 AS own_level,
    FALSE AS listed,
    1 AS told_level,
    CAST(NULL AS TIMESTAMP) AS held_at,
    CAST(NULL AS INTEGER) AS digest_no,
    CAST(NULL AS TIMESTAMP) AS digested_at,
    CAST(NULL AS TIMESTAMP) AS told_at,
    FALSE AS is_version,
    0 AS found
FROM stub_targets AS s
INNER JOIN pair_list AS p ON s.v = p.a AND s.target_v = p.v
WHERE s.proven IS NULL
