/*
Of the versions that a backup holds at the path of an asset the best: content, else a conflict, else metadata, else only the path, else an older one;
of several one that was seen, that is no younger than the asset, that is held by the newest recovery point, that is the youngest.
*/
SELECT
    a,
    entry_id,
    v,
    copy_entry_id
FROM (
    SELECT
        a,
        entry_id,
        v,
        copy_entry_id,
        row_number() OVER (
            PARTITION BY a, entry_id, v
            ORDER BY
                CASE found WHEN 5 THEN 0 WHEN 4 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 WHEN 0 THEN 4 ELSE 5 END ASC, carried ASC, is_version DESC,
                held_at DESC NULLS LAST, modified_at DESC NULLS LAST, copy_entry_id ASC
        ) AS place
    FROM path_matches
    WHERE listed
) AS ranked
WHERE place = 1
