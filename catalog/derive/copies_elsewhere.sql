/* Where copies lie that are not at the mapped path of their asset. */
SELECT
    i.v,
    i.entry_id,
    i.dir_no,
    i.name
FROM items AS i
INNER JOIN (
    SELECT DISTINCT
        evidence.v,
        evidence.copy_entry_id
    FROM evidence
    WHERE evidence.copy_dir_no IS NULL
) AS e ON i.v = e.v AND i.entry_id = e.copy_entry_id
