/*
title = "Growth"
question = "How did the data and its protection change from snapshot to snapshot?"
table = ["name", "as_of", "files", "bytes", "growth_bytes", "since_first_bytes", "assets", "protected_assets", "unprotected_assets", "unknown_assets"]

[params.by]
default = "volume"
choices = ["volume", "class", "all"]
help = "one line a snapshot for each volume, each data class, or everything together"

[params.since]
default = ""
a_day = true
help = "only snapshots of this day (UTC) or later; '' = from the first that the catalog has"

[params.until]
default = ""
a_day = true
help = "only snapshots of this day or earlier; '' = up to the one that is asked"

[columns]
name = "the volume or data class; '' = all"
snapshot_id = "the snapshot"
as_of = { meaning = "the time of the snapshot", unit = "UTC" }
files = { meaning = "files, hard links once", unit = "files" }
bytes = { meaning = "their size", unit = "bytes" }
growth_bytes = { meaning = "bytes more than in the snapshot before; null for the first", unit = "bytes" }
assets = { meaning = "assets", unit = "files" }
asset_bytes = { meaning = "their size", unit = "bytes" }
protected_assets = { meaning = "assets that meet their requirement", unit = "files" }
unprotected_assets = { meaning = "assets that nothing protects", unit = "files" }
unknown_assets = { meaning = "assets whose protection is unknown", unit = "files" }
last_copies = { meaning = "files whose content nothing else is known to hold", unit = "files" }
dormant_year_bytes = { meaning = "bytes not used in the year before the scan", unit = "bytes" }
protected_pct = { meaning = "protected of all assets, rounded down; null without assets", unit = "%" }
since_first_bytes = { meaning = "bytes more than in the first snapshot of it that is shown", unit = "bytes" }
since_first_files = { meaning = "files more than in that", unit = "files" }
since_first_assets = { meaning = "assets more than in that", unit = "files" }
since_first_protected_assets = { meaning = "assets more that meet their requirement than in that", unit = "files" }
*/
WITH sums AS (
    SELECT
        CASE WHEN $by = 'volume' THEN volume WHEN $by = 'class' THEN data_class ELSE '' END AS name,
        snapshot_id,
        as_of,
        sum(files) AS files,
        sum(bytes) AS bytes,
        sum(assets) AS assets,
        sum(asset_bytes) AS asset_bytes,
        sum(protected_assets) AS protected_assets,
        sum(unprotected_assets) AS unprotected_assets,
        sum(unknown_assets) AS unknown_assets,
        sum(last_copies) AS last_copies,
        sum(dormant_year_bytes) AS dormant_year_bytes
    FROM history
    GROUP BY 1, 2, 3
),

steps AS (
    SELECT
        name,
        snapshot_id,
        as_of,
        files,
        bytes,
        bytes - lag(bytes) OVER (PARTITION BY name ORDER BY as_of, snapshot_id) AS growth_bytes,
        assets,
        asset_bytes,
        protected_assets,
        unprotected_assets,
        unknown_assets,
        last_copies,
        dormant_year_bytes
    FROM sums
)

SELECT
    name,
    snapshot_id,
    as_of,
    files,
    bytes,
    growth_bytes,
    assets,
    asset_bytes,
    protected_assets,
    unprotected_assets,
    unknown_assets,
    last_copies,
    dormant_year_bytes,
    CASE WHEN assets > 0 THEN (protected_assets * 1000 // assets) / 10.0 END AS protected_pct,
    bytes - first_value(bytes) OVER (PARTITION BY name ORDER BY as_of, snapshot_id) AS since_first_bytes,
    files - first_value(files) OVER (PARTITION BY name ORDER BY as_of, snapshot_id) AS since_first_files,
    assets - first_value(assets) OVER (PARTITION BY name ORDER BY as_of, snapshot_id) AS since_first_assets,
    protected_assets - first_value(protected_assets) OVER (PARTITION BY name ORDER BY as_of, snapshot_id) AS since_first_protected_assets
FROM steps
WHERE
    as_of >= CAST(CASE WHEN $since = '' THEN '0001-01-01' ELSE $since END AS TIMESTAMP)
    AND as_of < CAST(CASE WHEN $until = '' THEN '9999-01-01' ELSE $until END AS TIMESTAMP) + INTERVAL 1 DAY
ORDER BY
    name ASC,
    as_of ASC,
    snapshot_id ASC
