/*
title = "Clean copies"
question = "Of each file that changed or went since the earlier snapshot, where is the newest copy from before?"
table = ["volume", "path", "change", "equals_before", "copy_volume", "copy_path", "copy_modified_at", "held_at", "size_bytes_before"]

[params.volume]
default = "all"
names_a_volume = true
help = "a volume, to see its files alone"

[params.folder]
default = ""
help = "the begin of paths, as in 'plans/'"

[columns]
volume = "where the file lies or lay"
path = "its path there at the earlier snapshot, escaped"
change = "rewritten = another size or time now, gone = not there any more"
size_bytes_before = { meaning = "its size at the earlier snapshot", unit = "bytes" }
modified_before_at = { meaning = "its last change at the earlier snapshot", unit = "UTC" }
copy_volume = "the volume with the newest copy that was written no later; null = none is known, or none that you may see"
copy_path = "its path there, escaped"
copy_size_bytes = { meaning = "the size of that copy", unit = "bytes" }
copy_modified_at = { meaning = "its last change", unit = "UTC" }
held_at = { meaning = "begin of the newest recovery point that holds it; null = it is no version in a backup", unit = "UTC" }
equals_before = "yes = size and time are those of the earlier snapshot, no = it is an older version; null = there is none. Nobody compared the contents"
copies = { meaning = "copies from before that are known", unit = "files" }
data_class = "the class whose requirement it had to meet"
owner = "the owner that a label names, else that of the storage"
*/
WITH hit AS (
    SELECT
        once_seen.volume,
        once_seen.dir,
        once_seen.name,
        once_seen.path,
        once_seen.size_bytes,
        once_seen.modified_at,
        once_seen.data_class,
        once_seen.owner,
        CASE WHEN now_seen.volume IS NULL THEN 'gone' ELSE 'rewritten' END AS change
    FROM files_before AS once_seen
    LEFT JOIN files AS now_seen
        ON
            once_seen.volume = now_seen.volume
            AND once_seen.dir = now_seen.dir
            AND once_seen.name = now_seen.name
    WHERE
        (once_seen.volume = $volume OR $volume = 'all')
        AND starts_with(once_seen.path, $folder)
        AND once_seen.is_asset
        AND (
            now_seen.volume IS NULL
            OR (
                NOT now_seen.carried
                AND ((now_seen.size_bytes IS DISTINCT FROM once_seen.size_bytes) OR (now_seen.modified_at IS DISTINCT FROM once_seen.modified_at))
            )
        )
),

-- What lies on other volumes where copies of these files would lie.
there AS (
    SELECT
        hit.volume,
        hit.path,
        files.volume AS copy_volume,
        files.path AS copy_path,
        files.size_bytes,
        files.modified_at,
        files.entry_id,
        coalesce(files.size_bytes = hit.size_bytes AND files.modified_at = hit.modified_at, FALSE) AS is_equal
    FROM hit
    INNER JOIN mappings ON hit.volume = mappings.volume AND starts_with(hit.dir, mappings.folder)
    INNER JOIN files
        ON
            mappings.copy_volume = files.volume
            AND files.dir = concat(mappings.copy_folder, substr(hit.dir, length(mappings.folder) + 1))
            AND hit.name = files.name
    WHERE files.modified_at <= hit.modified_at AND NOT files.carried
),

held AS (
    SELECT
        entries.volume,
        entries.entry_id,
        recovery_points.started_at
    FROM entries
    INNER JOIN recovery_points ON entries.volume = recovery_points.volume AND entries.last_recovery_point = recovery_points.recovery_point
),

ranked AS (
    SELECT
        there.volume,
        there.path,
        there.copy_volume,
        there.copy_path,
        there.size_bytes,
        there.modified_at,
        there.is_equal,
        held.started_at AS held_at,
        count(*) OVER (PARTITION BY there.volume, there.path) AS copies,
        row_number() OVER (
            PARTITION BY there.volume, there.path
            ORDER BY there.is_equal DESC, there.modified_at DESC, there.copy_volume ASC, held.started_at DESC, there.copy_path ASC, there.size_bytes ASC
        ) AS place
    FROM there
    LEFT JOIN held ON there.copy_volume = held.volume AND there.entry_id = held.entry_id
)

SELECT
    hit.volume,
    hit.path,
    hit.change,
    hit.size_bytes AS size_bytes_before,
    hit.modified_at AS modified_before_at,
    ranked.copy_volume,
    ranked.copy_path,
    ranked.size_bytes AS copy_size_bytes,
    ranked.modified_at AS copy_modified_at,
    ranked.held_at,
    CASE WHEN ranked.is_equal THEN 'yes' WHEN ranked.volume IS NOT NULL THEN 'no' END AS equals_before,
    coalesce(ranked.copies, 0) AS copies,
    hit.data_class,
    hit.owner
FROM hit
LEFT JOIN ranked ON hit.volume = ranked.volume AND hit.path = ranked.path AND ranked.place = 1
ORDER BY
    volume ASC,
    path ASC
