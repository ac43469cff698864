/*
title = "Conflicts"
question = "Which assets have a copy of the same size and time that holds something else, and where?"
table = ["volume", "path", "size_bytes", "copy_volume", "copy_path", "differs", "status", "other_copies", "seen_at"]

[columns]
volume = "the volume that holds the asset"
path = "its path in the volume, escaped"
size_bytes = { meaning = "the size of both", unit = "bytes" }
modified_at = { meaning = "the modified time of both", unit = "UTC" }
copy_volume = "the volume that holds the other file"
copy_path = "its path there, escaped"
differs = "yes = both were read, and are not equal; unknown = they were not compared, and another copy of the asset differs, so that equal size and time prove nothing"
data_class = "the class whose requirement it must meet"
owner = "the owner that a label names, else that of the storage"
status = "protected, partly, unprotected, unknown or excepted, by all its copies"
other_copies = { meaning = "other files known to hold the asset's content: with none nobody can tell which of the two is right", unit = "files" }
digested_at = { meaning = "when the asset was read; null = it was not, or its storage attests its digest", unit = "UTC" }
copy_digested_at = { meaning = "when the other file was read, likewise", unit = "UTC" }
seen_at = { meaning = "start of the scan that saw the other file", unit = "UTC" }
*/
WITH conflicting AS (
    SELECT
        volume,
        entry_id,
        path,
        copy_volume,
        copy_entry_id,
        copy_dir,
        copy_name,
        modified_at,
        seen_at
    FROM copies
    WHERE match = 'conflict'
),

sides AS (
    SELECT
        volume,
        entry_id
    FROM conflicting
    UNION
    SELECT
        copy_volume AS volume,
        copy_entry_id AS entry_id
    FROM conflicting
),

readings AS (
    SELECT
        entries.volume,
        entries.entry_id,
        entries.digest AS attested,
        digests.digest,
        digests.sample,
        digests.digested_at,
        max(CASE WHEN digests.digest IS NOT NULL THEN digests.digested_at END) OVER (PARTITION BY entries.volume, entries.entry_id) AS digest_at,
        max(CASE WHEN digests.sample IS NOT NULL THEN digests.digested_at END) OVER (PARTITION BY entries.volume, entries.entry_id) AS sample_at
    FROM sides
    INNER JOIN entries ON sides.volume = entries.volume AND sides.entry_id = entries.entry_id
    LEFT JOIN digests
        ON
            entries.volume = digests.volume
            AND entries.size_bytes = digests.size_bytes
            AND entries.fs_id IS NOT DISTINCT FROM digests.fs_id
            AND entries.inode IS NOT DISTINCT FROM digests.inode
            AND entries.created_at IS NOT DISTINCT FROM digests.created_at
            AND entries.modified_at IS NOT DISTINCT FROM digests.modified_at
            AND entries.modified_ns IS NOT DISTINCT FROM digests.modified_ns
            AND entries.changed_at IS NOT DISTINCT FROM digests.changed_at
            AND entries.changed_ns IS NOT DISTINCT FROM digests.changed_ns
            AND (entries.inode IS NOT NULL OR entries.path = digests.path)
),

contents AS (
    SELECT
        volume,
        entry_id,
        coalesce(max(CASE WHEN digested_at = digest_at THEN digest END), max(attested)) AS digest,
        max(CASE WHEN digested_at = sample_at THEN sample END) AS sample,
        max(digest_at) AS digested_at
    FROM readings
    GROUP BY 1, 2
)

SELECT
    conflicting.volume,
    conflicting.path,
    assets.size_bytes,
    conflicting.modified_at,
    conflicting.copy_volume,
    concat(conflicting.copy_dir, conflicting.copy_name) AS copy_path,
    CASE
        WHEN mine.digest <> theirs.digest THEN 'yes'
        WHEN mine.sample <> theirs.sample THEN 'yes'
        ELSE 'unknown'
    END AS differs,
    assets.data_class,
    assets.owner,
    assets.status,
    assets.other_copies,
    mine.digested_at,
    theirs.digested_at AS copy_digested_at,
    conflicting.seen_at
FROM conflicting
INNER JOIN assets ON conflicting.volume = assets.volume AND conflicting.entry_id = assets.entry_id
LEFT JOIN contents AS mine ON conflicting.volume = mine.volume AND conflicting.entry_id = mine.entry_id
LEFT JOIN contents AS theirs ON conflicting.copy_volume = theirs.volume AND conflicting.copy_entry_id = theirs.entry_id
ORDER BY
    volume ASC,
    path ASC,
    copy_volume ASC,
    copy_path ASC,
    differs ASC,
    copy_digested_at DESC NULLS LAST,
    seen_at DESC
