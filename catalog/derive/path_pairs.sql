/*
Every possible asset beside the file at its mapped path on each volume that may protect it. The time when a storage got a copy is no other than the asset's, nor
the same: that it is by a second the earlier one says that what it got then is older.
*/
SELECT
    i.v AS a,
    i.entry_id,
    i.size_bytes AS asset_size_bytes,
    i.modified_at AS asset_modified_at,
    i.time_trusted AND b.time_trusted AS times_trusted,
    CASE
        WHEN b.time_stored THEN CASE WHEN i.time_trusted AND b.modified_at <= i.modified_at - INTERVAL 1 SECOND THEN FALSE END
        ELSE same_time(i.modified_at, b.modified_at, i.time_coarse OR b.time_coarse, i.time_rounded OR b.time_rounded)
    END AS same_time,
    i.digest_read AS asset_digest_read,
    i.has_digest AND b.has_digest AS digests_known,
    i.digest_no,
    i.digest_no = b.digest_no AS same_digest,
    i.has_sample AND b.has_sample AS samples_known,
    i.sample_no = b.sample_no AS same_sample,
    b.v,
    b.entry_id AS copy_entry_id,
    b.dir_no AS copy_dir_no,
    b.size_bytes,
    b.modified_at,
    b.carried,
    b.listed,
    b.told_level,
    b.held_at,
    b.has_digest,
    b.digest_read,
    b.digested_at
FROM items AS i
INNER JOIN pair_list AS p ON i.v = p.a
INNER JOIN (
    SELECT *
    FROM items
    WHERE v IN (
        SELECT pair_list.v
        FROM pair_list
        WHERE NOT pair_list.mapped
    )
) AS b ON p.v = b.v AND i.dir_no = b.dir_no AND i.name = b.name
WHERE i.potential AND NOT p.mapped AND NOT i.aside AND NOT b.aside
UNION ALL
SELECT
    i.v AS a,
    i.entry_id,
    i.size_bytes AS asset_size_bytes,
    i.modified_at AS asset_modified_at,
    i.time_trusted AND b.time_trusted AS times_trusted,
    CASE
        WHEN b.time_stored THEN CASE WHEN i.time_trusted AND b.modified_at <= i.modified_at - INTERVAL 1 SECOND THEN FALSE END
        ELSE same_time(i.modified_at, b.modified_at, i.time_coarse OR b.time_coarse, i.time_rounded OR b.time_rounded)
    END AS same_time,
    i.digest_read AS asset_digest_read,
    i.has_digest AND b.has_digest AS digests_known,
    i.digest_no,
    i.digest_no = b.digest_no AS same_digest,
    i.has_sample AND b.has_sample AS samples_known,
    i.sample_no = b.sample_no AS same_sample,
    b.v,
    b.entry_id AS copy_entry_id,
    b.dir_no AS copy_dir_no,
    b.size_bytes,
    b.modified_at,
    b.carried,
    b.listed,
    b.told_level,
    b.held_at,
    b.has_digest,
    b.digest_read,
    b.digested_at
FROM items AS i
INNER JOIN dir_targets AS t ON i.v = t.a AND i.dir_no = t.dir_no
INNER JOIN (
    SELECT *
    FROM items
    WHERE v IN (SELECT mappings.v FROM mappings)
) AS b ON t.v = b.v AND t.target_no = b.dir_no AND i.name = b.name
WHERE i.potential AND NOT i.aside AND NOT b.aside
