/*
title = "Ransomware signals"
question = "Where did files change since the earlier snapshot as they would if somebody encrypted or wiped them?"
table = ["level", "volume", "folder", "signal", "number", "baseline", "of_files", "share_pct", "detail"]

[params.by]
default = "folder"
choices = ["folder", "volume"]
help = "one line for each top folder of a volume, or for each volume"

[params.level]
default = "low"
choices = ["all", "low", "high"]
help = "all lines (with those of which nothing can be told), those of level low and high, or only high"

[columns]
level = "high, low, none, or unknown where nothing can be told: a hint where to look, and no verdict; an upgrade, a build or a move can do the same"
volume = "the volume"
folder = "its top folder; '' = files of the root, or the whole volume"
signal = "notes = new files named as ransom notes are, extended = new files named as one that is gone and more behind it, extension = new files of one extension that the volume did not have, rewritten = files with another size or time at the same path, gone = files that are gone and were not renamed, unrecognized = files of well-known kinds whose content is of no known kind now, kept_once = files at the same path with no known copy of their content"
number = { meaning = "how many files it is now", unit = "files" }
baseline = { meaning = "how many are usual: rewritten: the most that were last changed on one day of the 30 before the earlier snapshot, for each day since; unrecognized, kept_once: at the earlier snapshot; others: 0", unit = "files" }
of_files = { meaning = "files that it could have been", unit = "files" }
share_pct = { meaning = "the number, less the baseline, as a share of these, rounded down; 0 where it is not above", unit = "%" }
detail = "the extension, or the first name of a note; null = none"
*/
-- New files and such that are gone one by one, those that stayed only as how many are alike: the comparison is wide, and all else reads what is left of it.
WITH compared AS (
    SELECT
        volume,
        folder,
        is_there,
        was_there,
        differs,
        is_typed,
        was_typed,
        is_unrecognized,
        was_unrecognized,
        is_last_copy,
        was_last_copy,
        extension,
        dir,
        name,
        count(*) AS files
    FROM (
        SELECT
            volume,
            CASE WHEN $by = 'folder' THEN split_part(any_dir, '/', 1) ELSE '' END AS folder,
            is_there,
            was_there,
            differs,
            coalesce(well_known AND media_type IS NOT NULL, FALSE) AS is_typed,
            coalesce(well_known AND media_type_before IS NOT NULL, FALSE) AS was_typed,
            coalesce(well_known AND media_type = 'application/octet-stream', FALSE) AS is_unrecognized,
            coalesce(well_known AND media_type_before = 'application/octet-stream', FALSE) AS was_unrecognized,
            is_last_copy,
            was_last_copy,
            CASE WHEN NOT (is_there AND was_there) THEN any_extension END AS extension,
            CASE WHEN NOT (is_there AND was_there) THEN any_dir END AS dir,
            CASE WHEN NOT (is_there AND was_there) THEN any_name END AS name
        FROM (
            SELECT
                coalesce(now_seen.volume, once_seen.volume) AS volume,
                coalesce(now_seen.dir, once_seen.dir) AS any_dir,
                coalesce(now_seen.name, once_seen.name) AS any_name,
                coalesce(now_seen.extension, once_seen.extension) AS any_extension,
                now_seen.volume IS NOT NULL AS is_there,
                once_seen.volume IS NOT NULL AS was_there,
                coalesce(
                    NOT now_seen.carried
                    AND ((now_seen.size_bytes IS DISTINCT FROM once_seen.size_bytes) OR (now_seen.modified_at IS DISTINCT FROM once_seen.modified_at)),
                    FALSE
                ) AS differs,
                coalesce(now_seen.extension, once_seen.extension) IN (
                    'jpg', 'jpeg', 'png', 'gif', 'tif', 'tiff', 'pdf', 'doc', 'xls', 'ppt', 'docx', 'xlsx', 'pptx', 'odt', 'ods', 'odp', 'zip', '7z', 'gz',
                    'mp3', 'mp4', 'mov', 'wav', 'avi', 'psd', 'txt', 'csv', 'html', 'xml', 'json', 'py', 'c', 'h', 'md', 'svg', 'eml'
                ) AS well_known,
                now_seen.media_type,
                once_seen.media_type AS media_type_before,
                now_seen.is_last_copy,
                once_seen.is_last_copy AS was_last_copy
            FROM files AS now_seen
            FULL OUTER JOIN files_before AS once_seen
                ON
                    now_seen.volume = once_seen.volume
                    AND now_seen.dir = once_seen.dir
                    AND now_seen.name = once_seen.name
        ) AS pairs
    ) AS told
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
),

-- Notes that are known from public reports of cases; words that only such names put together.
notes AS (
    SELECT
        volume,
        folder,
        sum(files) AS files,
        count(DISTINCT dir) AS dirs,
        min(name) AS example
    FROM (
        SELECT
            volume,
            folder,
            dir,
            name,
            files,
            translate(lower(name), ' .-', '___') AS words
        FROM compared
        WHERE
            is_there
            AND NOT was_there
            AND coalesce(extension, 'txt') IN ('txt', 'html', 'htm', 'hta', 'rtf', 'url', 'png', 'bmp', 'jpg')
    ) AS fresh
    WHERE
        contains(words, 'how_to_decrypt')
        OR contains(words, 'how_to_recover')
        OR contains(words, 'how_to_restore')
        OR contains(words, 'how_to_back_files')
        OR contains(words, 'help_decrypt')
        OR contains(words, 'help_recover')
        OR contains(words, 'help_your_files')
        OR contains(words, 'decrypt_instruction')
        OR contains(words, 'decryption_instruction')
        OR contains(words, 'decrypt_my_file')
        OR contains(words, 'decrypt_your_file')
        OR contains(words, 'recover_my_file')
        OR contains(words, 'recover_your_file')
        OR contains(words, 'recovery_instruction')
        OR contains(words, 'restore_my_file')
        OR contains(words, 'restore_your_file')
        OR contains(words, 'files_are_encrypted')
        OR contains(words, 'files_encrypted')
        OR contains(words, 'readme_for_decrypt')
        OR contains(words, 'readme_to_decrypt')
        OR contains(words, 'read_me_to_decrypt')
        OR contains(words, 'please_read_me@')
        OR contains(words, 'wanadecryptor')
        OR contains(words, 'ryukreadme')
        OR contains(words, 'clopreadme')
        OR contains(words, 'conti_readme')
        OR contains(words, 'akira_readme')
        OR contains(words, 'read_me_medusa')
        OR words = '_readme_txt'
        OR (starts_with(words, 'recover_') AND ends_with(words, '_files_txt'))
    GROUP BY 1, 2
),

renamed AS (
    SELECT
        fresh.volume,
        fresh.dir,
        lost.name
    FROM compared AS fresh
    INNER JOIN compared AS lost
        ON
            fresh.volume = lost.volume
            AND fresh.dir = lost.dir
            AND substr(fresh.name, 1, length(fresh.name) - length(fresh.extension) - 1) = lost.name
    WHERE fresh.is_there AND NOT fresh.was_there AND lost.was_there AND NOT lost.is_there AND fresh.extension IS NOT NULL
),

-- Each file that is gone counts once, whatever stands for it now.
extended AS (
    SELECT
        volume,
        folder,
        count(*) AS files
    FROM (
        SELECT DISTINCT
            volume,
            CASE WHEN $by = 'folder' THEN split_part(dir, '/', 1) ELSE '' END AS folder,
            dir,
            name
        FROM renamed
    ) AS names
    GROUP BY 1, 2
),

strange AS (
    SELECT
        fresh.volume,
        fresh.folder,
        fresh.extension,
        sum(fresh.files) AS files
    FROM compared AS fresh
    LEFT JOIN (
        SELECT DISTINCT
            volume,
            extension
        FROM files_before
    ) AS known ON fresh.volume = known.volume AND fresh.extension = known.extension
    WHERE fresh.is_there AND NOT fresh.was_there AND fresh.extension IS NOT NULL AND known.volume IS NULL
    GROUP BY 1, 2, 3
),

strangest AS (
    SELECT
        volume,
        folder,
        extension,
        files
    FROM (
        SELECT
            volume,
            folder,
            extension,
            files,
            row_number() OVER (PARTITION BY volume, folder ORDER BY files DESC, extension ASC) AS place
        FROM strange
    ) AS ranked
    WHERE place = 1
),

days AS (
    SELECT
        files_before.volume,
        CASE WHEN $by = 'folder' THEN split_part(files_before.dir, '/', 1) ELSE '' END AS folder,
        date_trunc('day', files_before.modified_at) AS day,
        count(*) AS files
    FROM files_before
    CROSS JOIN snapshot_before
    WHERE files_before.modified_at > snapshot_before.as_of - INTERVAL 30 DAY AND files_before.modified_at <= snapshot_before.as_of
    GROUP BY 1, 2, 3
),

usual AS (
    SELECT
        days.volume,
        days.folder,
        max(days.files) * max(greatest(1, date_diff('day', snapshot_before.as_of, snapshot.as_of))) AS files
    FROM days
    CROSS JOIN snapshot_before
    CROSS JOIN snapshot
    GROUP BY 1, 2
),

sums AS (
    SELECT
        volume,
        folder,
        sum(CASE WHEN is_there THEN files ELSE 0 END) AS files,
        sum(CASE WHEN was_there THEN files ELSE 0 END) AS files_before,
        sum(CASE WHEN is_there AND NOT was_there THEN files ELSE 0 END) AS fresh,
        sum(CASE WHEN is_there AND was_there THEN files ELSE 0 END) AS stayed,
        sum(CASE WHEN is_there AND was_there AND differs THEN files ELSE 0 END) AS rewritten,
        sum(CASE WHEN was_there AND NOT is_there THEN files ELSE 0 END) AS gone,
        sum(CASE WHEN is_there AND was_there AND is_last_copy THEN files ELSE 0 END) AS kept_once,
        sum(CASE WHEN is_there AND was_there AND was_last_copy THEN files ELSE 0 END) AS kept_once_before,
        sum(CASE WHEN is_typed THEN files ELSE 0 END) AS typed,
        sum(CASE WHEN is_unrecognized THEN files ELSE 0 END) AS unrecognized,
        sum(CASE WHEN was_typed THEN files ELSE 0 END) AS typed_before,
        sum(CASE WHEN was_unrecognized THEN files ELSE 0 END) AS unrecognized_before
    FROM compared
    GROUP BY 1, 2
),

signals AS (
    SELECT
        sums.volume,
        sums.folder,
        'notes' AS signal,
        coalesce(notes.files, 0) AS number,
        0 AS baseline,
        sums.fresh AS of_files,
        notes.example AS detail,
        sums.files_before > 0 AS is_known,
        coalesce(notes.dirs, 0) >= 3 AS is_high,
        coalesce(notes.files, 0) >= 1 AS is_low
    FROM sums
    LEFT JOIN notes ON sums.volume = notes.volume AND sums.folder = notes.folder
    UNION ALL
    SELECT
        sums.volume,
        sums.folder,
        'extended' AS signal,
        coalesce(extended.files, 0) AS number,
        0 AS baseline,
        sums.files_before AS of_files,
        CAST(NULL AS VARCHAR) AS detail,
        sums.files_before > 0 AS is_known,
        coalesce(extended.files, 0) >= 10 AND extended.files * 10 >= sums.files_before AS is_high,
        coalesce(extended.files, 0) >= 5 AS is_low
    FROM sums
    LEFT JOIN extended ON sums.volume = extended.volume AND sums.folder = extended.folder
    UNION ALL
    SELECT
        sums.volume,
        sums.folder,
        'extension' AS signal,
        coalesce(strangest.files, 0) AS number,
        0 AS baseline,
        sums.files AS of_files,
        strangest.extension AS detail,
        sums.files_before > 0 AS is_known,
        coalesce(strangest.files, 0) >= 10 AND strangest.files * 5 >= sums.files AS is_high,
        coalesce(strangest.files, 0) >= 10 AND strangest.files * 20 >= sums.files AS is_low
    FROM sums
    LEFT JOIN strangest ON sums.volume = strangest.volume AND sums.folder = strangest.folder
    UNION ALL
    SELECT
        sums.volume,
        sums.folder,
        'rewritten' AS signal,
        sums.rewritten AS number,
        coalesce(usual.files, 0) AS baseline,
        sums.stayed AS of_files,
        CAST(NULL AS VARCHAR) AS detail,
        sums.stayed > 0 AS is_known,
        -- An upgrade rewrites as much: high only where the content is of no known kind any more.
        sums.rewritten >= 10
        AND sums.rewritten * 2 >= sums.stayed
        AND sums.rewritten > 5 * coalesce(usual.files, 0)
        AND sums.unrecognized - sums.unrecognized_before >= 10 AS is_high,
        sums.rewritten >= 10 AND sums.rewritten * 10 >= sums.stayed AND sums.rewritten > 2 * coalesce(usual.files, 0) AS is_low
    FROM sums
    LEFT JOIN usual ON sums.volume = usual.volume AND sums.folder = usual.folder
    UNION ALL
    SELECT
        sums.volume,
        sums.folder,
        'gone' AS signal,
        sums.gone - coalesce(extended.files, 0) AS number,
        0 AS baseline,
        sums.files_before AS of_files,
        CAST(NULL AS VARCHAR) AS detail,
        sums.files_before > 0 AS is_known,
        sums.gone - coalesce(extended.files, 0) >= 10 AND (sums.gone - coalesce(extended.files, 0)) * 2 >= sums.files_before AS is_high,
        sums.gone - coalesce(extended.files, 0) >= 10 AND (sums.gone - coalesce(extended.files, 0)) * 10 >= sums.files_before AS is_low
    FROM sums
    LEFT JOIN extended ON sums.volume = extended.volume AND sums.folder = extended.folder
    UNION ALL
    SELECT
        sums.volume,
        sums.folder,
        'unrecognized' AS signal,
        sums.unrecognized AS number,
        sums.unrecognized_before AS baseline,
        sums.typed AS of_files,
        CAST(NULL AS VARCHAR) AS detail,
        sums.typed > 0 AND sums.typed_before > 0 AS is_known,
        sums.unrecognized - sums.unrecognized_before >= 10 AND (sums.unrecognized - sums.unrecognized_before) * 10 >= sums.typed AS is_high,
        sums.unrecognized - sums.unrecognized_before >= 5 AS is_low
    FROM sums
    UNION ALL
    SELECT
        sums.volume,
        sums.folder,
        'kept_once' AS signal,
        sums.kept_once AS number,
        sums.kept_once_before AS baseline,
        sums.stayed AS of_files,
        CAST(NULL AS VARCHAR) AS detail,
        sums.stayed > 0 AS is_known,
        sums.kept_once - sums.kept_once_before >= 10 AND (sums.kept_once - sums.kept_once_before) * 2 >= sums.stayed AS is_high,
        sums.kept_once - sums.kept_once_before >= 10 AND (sums.kept_once - sums.kept_once_before) * 5 >= sums.stayed AS is_low
    FROM sums
),

leveled AS (
    SELECT
        volume,
        folder,
        signal,
        CAST(number AS BIGINT) AS number,
        CAST(baseline AS BIGINT) AS baseline,
        CAST(of_files AS BIGINT) AS of_files,
        detail,
        CASE WHEN NOT is_known THEN 'unknown' WHEN is_high THEN 'high' WHEN is_low THEN 'low' ELSE 'none' END AS level
    FROM signals
)

SELECT
    level,
    volume,
    folder,
    signal,
    number,
    baseline,
    of_files,
    CASE WHEN of_files > 0 THEN (greatest(0, number - baseline) * 1000 // of_files) / 10.0 END AS share_pct,
    detail
FROM leveled
WHERE $level = 'all' OR level = 'high' OR ($level = 'low' AND level = 'low')
ORDER BY
    CASE WHEN level = 'high' THEN 1 WHEN level = 'low' THEN 2 WHEN level = 'unknown' THEN 3 ELSE 4 END ASC,
    volume ASC,
    folder ASC,
    signal ASC
