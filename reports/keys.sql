/*
title = "Keys"
question = "Where is kept what opens each encrypted volume, and how much could nobody read without it?"
table = ["volume", "encrypted", "state", "key_on", "systems", "sites", "assets", "sole_assets", "sole_bytes"]

[columns]
volume = "a volume that needs a key or a password to be read, or may need one"
encrypted = "yes = it does; unknown = the configuration does not say"
state = "unknown = nobody says where its key is kept, single = on one volume, one_place = on several of one system or one site, several = apart"
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
        count(*) AS places,
        string_agg(kept.volume, ',' ORDER BY kept.position) AS key_on,
        string_agg(DISTINCT nullif(array_to_string(kept.systems, ','), ''), ',' ORDER BY nullif(array_to_string(kept.systems, ','), '')) AS systems,
        string_agg(DISTINCT nullif(array_to_string(kept.sites, ','), ''), ',' ORDER BY nullif(array_to_string(kept.sites, ','), '')) AS sites,
        count(DISTINCT nullif(array_to_string(kept.systems, ','), '')) AS different_systems,
        count(DISTINCT nullif(array_to_string(kept.sites, ','), '')) AS different_sites
    FROM volumes AS locked
    INNER JOIN volumes AS kept ON list_contains(locked.key_on, kept.volume)
    GROUP BY locked.volume
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
        WHEN places.places IS NULL THEN 'unknown'
        WHEN places.places = 1 THEN 'single'
        WHEN places.different_systems < 2 OR places.different_sites < 2 THEN 'one_place'
        ELSE 'several'
    END AS state,
    coalesce(places.key_on, '') AS key_on,
    coalesce(places.systems, '') AS systems,
    coalesce(places.sites, '') AS sites,
    coalesce(sums.assets, 0) AS assets,
    coalesce(sums.bytes, 0) AS bytes,
    coalesce(sums.sole_assets, 0) AS sole_assets,
    coalesce(sums.sole_bytes, 0) AS sole_bytes
FROM volumes
LEFT JOIN places ON volumes.volume = places.volume
LEFT JOIN sums ON volumes.volume = sums.copy_volume
WHERE volumes.encrypted <> 'no'
ORDER BY volume ASC
