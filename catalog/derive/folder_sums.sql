/* Sums over the files of each folder and all below it. */
SELECT
    d.volume,
    f.folder_no,
    sum(d.files) AS files,
    sum(d.bytes) AS bytes,
    sum(d.allocated_bytes) AS allocated_bytes,
    sum(d.assets) AS assets,
    sum(d.unprotected_assets) AS unprotected_assets,
    sum(d.unprotected_bytes) AS unprotected_bytes,
    sum(d.unknown_assets) AS unknown_assets,
    max(d.last_active_at) AS last_active_at
FROM dir_sums AS d
INNER JOIN folders AS f ON d.dir_no = f.dir_no
GROUP BY d.volume, f.folder_no
