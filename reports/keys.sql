/*
title = "Keys"
question = "Where is kept what opens each encrypted volume, and how much could nobody read without it?"
table = ["volume", "encrypted", "state", "key_on", "systems", "sites", "assets", "sole_assets", "sole_bytes"]

[columns]
volume = "a volume that needs a key or a password to be read, or may need one"
encrypted = "yes = it does; unknown = the configuration does not say"
state = "unknown = nobody says where its key is kept, single = on one volume, one_place = on several that share one system or one site, or may, several = apart"
key_on = { meaning = "the volumes that each hold its key, joined by commas; '' = nobody says, or none that you may see", unit = "list" }
systems = { meaning = "the storage systems of these, joined by commas; '' = unknown", unit = "list" }
sites = { meaning = "their sites, joined by commas; '' = unknown", unit = "list" }
assets = { meaning = "assets of which it has a copy that counts", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
sole_assets = { meaning = "assets among them that have no other copy which counts", unit = "files" }
sole_bytes = { meaning = "their size", unit = "bytes" }
*/
WITH places AS (
    SELECT
        locked.volume,
        kept.volume AS place,
        kept.position,
        kept.systems,
        kept.sites
    FROM volumes AS locked
    INNER JOIN volumes AS kept ON list_contains(locked.key_on, kept.volume)
),

kept_on AS (
    SELECT
        volume,
        count(*) AS places,
        string_agg(place, ',' ORDER BY position) AS key_on
    FROM places
    GROUP BY volume
),

domains AS (
    SELECT
        volume,
        place,
        'system' AS axis,
        unnest(systems) AS name
    FROM places
    UNION
    SELECT
        volume,
        place,
        'site' AS axis,
        unnest(sites) AS name
    FROM places
),

shares AS (
    SELECT
        volume,
        axis,
        name,
        count(*) AS places
    FROM domains
    GROUP BY volume, axis, name
),

known AS (
    SELECT
        volume,
        axis,
        count(DISTINCT place) AS places
    FROM domains
    GROUP BY volume, axis
),

-- A place of which nobody says where it is may be with any other: it sets nothing apart.
spread AS (
    SELECT
        shares.volume,
        string_agg(shares.name, ',' ORDER BY shares.name) FILTER (WHERE shares.axis = 'system') AS systems,
        string_agg(shares.name, ',' ORDER BY shares.name) FILTER (WHERE shares.axis = 'site') AS sites,
        bool_or(shares.places = known.places) FILTER (WHERE shares.axis = 'system') AS is_one_system,
        bool_or(shares.places = known.places) FILTER (WHERE shares.axis = 'site') AS is_one_site
    FROM shares
    INNER JOIN known ON shares.volume = known.volume AND shares.axis = known.axis
    GROUP BY shares.volume
),

held AS (
    SELECT
        volume,
        entry_id,
        copy_volume,
        count(*) OVER (PARTITION BY volume, entry_id) AS copies
    FROM copies
    WHERE usable = 'yes'
),

sums AS (
    SELECT
        held.copy_volume,
        count(*) AS assets,
        sum(assets.counted_bytes) AS bytes,
        sum(CASE WHEN held.copies = 1 THEN 1 ELSE 0 END) AS sole_assets,
        sum(CASE WHEN held.copies = 1 THEN assets.counted_bytes ELSE 0 END) AS sole_bytes
    FROM held
    INNER JOIN volumes ON held.copy_volume = volumes.volume AND volumes.encrypted <> 'no'
    INNER JOIN assets ON held.volume = assets.volume AND held.entry_id = assets.entry_id
    GROUP BY 1
)

SELECT
    volumes.volume,
    volumes.encrypted,
    CASE
        WHEN kept_on.places IS NULL THEN 'unknown'
        WHEN kept_on.places = 1 THEN 'single'
        WHEN coalesce(spread.is_one_system, TRUE) OR coalesce(spread.is_one_site, TRUE) THEN 'one_place'
        ELSE 'several'
    END AS state,
    coalesce(kept_on.key_on, '') AS key_on,
    coalesce(spread.systems, '') AS systems,
    coalesce(spread.sites, '') AS sites,
    coalesce(sums.assets, 0) AS assets,
    coalesce(sums.bytes, 0) AS bytes,
    coalesce(sums.sole_assets, 0) AS sole_assets,
    coalesce(sums.sole_bytes, 0) AS sole_bytes
FROM volumes
LEFT JOIN kept_on ON volumes.volume = kept_on.volume
LEFT JOIN spread ON volumes.volume = spread.volume
LEFT JOIN sums ON volumes.volume = sums.copy_volume
WHERE volumes.encrypted <> 'no'
ORDER BY volume ASC
