/*
title = "Folder types"
question = "Which kind of file takes the most in each folder at one place?"

[params.volume]
default = ""
help = "the volume; '' = the kind that takes the most in each whole volume"

[params.folder]
default = ""
help = "the folder of it whose folders are asked for, escaped, with its trailing slash; '' is the root"

[columns]
volume = "where the folder lies"
folder = "its path in the volume, escaped, with its trailing slash; the place itself stands for the files that lie in it"
type = "the extension that takes the most; '' = none"
files = { meaning = "files of this type below the folder", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
bytes_pct = { meaning = "their share of the folder's bytes, rounded down; null without bytes", unit = "%" }
*/
WITH sums AS (
    SELECT
        volume,
        '' AS folder,
        "key" AS type,
        files,
        bytes
    FROM rollup
    WHERE "by" = 'extension' AND $volume = ''
    UNION ALL
    SELECT
        volume,
        CASE WHEN dir = $folder THEN dir ELSE concat($folder, split_part(substring(dir, length($folder) + 1), '/', 1), '/') END AS folder,
        coalesce(extension, '') AS type,
        count(*) AS files,
        sum(counted_bytes) AS bytes
    FROM files
    WHERE volume = $volume AND starts_with(dir, $folder)
    GROUP BY 1, 2, 3
),

ranked AS (
    SELECT
        volume,
        folder,
        type,
        files,
        bytes,
        sum(bytes) OVER (PARTITION BY volume, folder) AS folder_bytes,
        row_number() OVER (PARTITION BY volume, folder ORDER BY bytes DESC, type ASC) AS place
    FROM sums
)

SELECT
    volume,
    folder,
    type,
    files,
    bytes,
    CASE WHEN folder_bytes > 0 THEN (bytes * 1000 // folder_bytes) / 10.0 END AS bytes_pct
FROM ranked
WHERE place = 1
ORDER BY
    bytes DESC,
    volume ASC,
    folder ASC
