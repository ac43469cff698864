/* As `expected`, for assets only. */
SELECT
    x.a,
    x.entry_id,
    x.v,
    x.target_dir,
    x.name
FROM expected AS x
INNER JOIN assets AS i ON x.a = i.a AND x.entry_id = i.entry_id
