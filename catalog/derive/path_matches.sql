/* What the file at the mapped path is to the asset: content, empty, metadata, conflict or older. */
SELECT
    a,
    entry_id,
    v,
    copy_entry_id,
    size_bytes,
    modified_at,
    carried,
    CASE WHEN digest_read AND asset_digest_read THEN 3 ELSE 1 END AS content_level,
    CASE WHEN digest IS NOT NULL AND digest_read THEN 2 ELSE 1 END AS own_level,
    digested_at,
    CASE
        WHEN asset_size_bytes = 0 AND size_bytes = 0 THEN 'empty'
        WHEN asset_digest = digest THEN 'content'
        WHEN asset_size_bytes <> size_bytes OR asset_modified_at IS NULL OR modified_at IS NULL OR asset_modified_at <> modified_at THEN 'older'
        WHEN asset_digest <> digest OR asset_sample <> sample THEN 'conflict'
        ELSE 'metadata'
    END AS found
FROM path_pairs
