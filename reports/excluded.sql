/*
title = "Excluded"
question = "Which assets does a backup leave out by its own patterns, and by which?"
table = ["volume", "path", "size_bytes", "copy_volume", "pattern", "source", "data_class", "status"]

[params.backup]
default = "all"
names_a_volume = true
help = "a volume, to see what it alone leaves out"

[columns]
volume = "the volume that holds the asset"
path = "its path in the volume, escaped"
size_bytes = { meaning = "its size", unit = "bytes" }
counted_bytes = { meaning = "its size on the first name of a hard-linked file, else 0; sums use it", unit = "bytes" }
copy_volume = "the volume that leaves it out, and holds nothing of it"
pattern = "the pattern, as it was understood; the first by text, where several leave it out"
patterns = { meaning = "how many leave it out", unit = "count" }
source = "backup = a pattern of its newest recovery point, configuration = 'exclude' of the volume"
data_class = "the class whose requirement it must meet"
owner = "the owner that a label names, else that of the storage"
status = "protected, partly, unprotected, unknown or excepted, by all its copies"
other_copies = { meaning = "other files known to hold its content, on any volume", unit = "files" }
*/
WITH reached AS (
    SELECT
        assets.volume,
        assets.entry_id,
        assets.path,
        mappings.copy_volume,
        mappings.folder,
        mappings.copy_folder,
        omissions.pattern,
        omissions.source
    FROM assets
    INNER JOIN mappings ON assets.volume = mappings.volume AND starts_with(assets.dir, mappings.folder)
    INNER JOIN omissions ON mappings.volume = omissions.volume AND mappings.copy_volume = omissions.copy_volume
    WHERE
        (mappings.copy_volume = $backup OR $backup = 'all')
        AND CASE
            WHEN omissions.source = 'configuration'
                THEN regexp_matches(concat(mappings.copy_folder, substr(assets.path, length(mappings.folder) + 1)), omissions.text)
            WHEN omissions.at_begin THEN starts_with(concat('/', mappings.copy_folder, substr(assets.path, length(mappings.folder) + 1), '/'), omissions.text)
            ELSE contains(concat('/', mappings.copy_folder, substr(assets.path, length(mappings.folder) + 1), '/'), omissions.text)
        END
),

left_out AS (
    SELECT
        reached.volume,
        reached.entry_id,
        reached.copy_volume,
        min(reached.pattern) AS pattern,
        count(DISTINCT reached.pattern) AS patterns,
        min(reached.source) AS source
    FROM reached
    -- The longest folder of a path_map holds for a path.
    LEFT JOIN mappings AS nearer
        ON
            reached.volume = nearer.volume
            AND reached.copy_volume = nearer.copy_volume
            AND starts_with(reached.path, nearer.folder)
            AND (
                length(nearer.folder) > length(reached.folder)
                OR (nearer.folder = reached.folder AND nearer.copy_folder < reached.copy_folder)
            )
    LEFT JOIN copies
        ON reached.volume = copies.volume AND reached.entry_id = copies.entry_id AND reached.copy_volume = copies.copy_volume
    WHERE nearer.volume IS NULL AND copies.volume IS NULL
    GROUP BY 1, 2, 3
)

SELECT
    assets.volume,
    assets.path,
    assets.size_bytes,
    assets.counted_bytes,
    left_out.copy_volume,
    left_out.pattern,
    left_out.patterns,
    left_out.source,
    assets.data_class,
    assets.owner,
    assets.status,
    assets.other_copies
FROM left_out
INNER JOIN assets ON left_out.volume = assets.volume AND left_out.entry_id = assets.entry_id
ORDER BY
    copy_volume ASC,
    volume ASC,
    path ASC
