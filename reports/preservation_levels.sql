/*
title = "Preservation, summed up"
question = "How much of each class and volume has which level of digital preservation (NDSA), and what is missing for the next?"
table = ["data_class", "volume", "level", "assets", "bytes", "storage_level", "integrity_level", "possible_level", "missing"]

[columns]
data_class = "the class of the assets"
volume = "where they are"
level = { meaning = "the highest of ndsa-1 to ndsa-4 that they are known to have, by copies verified as that level asks; 0 = none", unit = "level" }
assets = { meaning = "assets of which all this is so", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
storage_level = { meaning = "their level by copies and where these are, however these are verified", unit = "level" }
integrity_level = { meaning = "their level by how well a copy is verified", unit = "level" }
possible_level = { meaning = "the level that they would have at most, if all that is not known were so", unit = "level" }
missing = { meaning = "lines of the next level that they are not known to have, joined by commas; '' = they have the highest", unit = "list" }
*/
SELECT
    assets.data_class,
    assets.volume,
    preservation.level,
    count(*) AS assets,
    sum(assets.counted_bytes) AS bytes,
    preservation.storage_level,
    preservation.integrity_level,
    preservation.possible_level,
    preservation.missing
FROM assets
INNER JOIN preservation ON assets.volume = preservation.volume AND assets.entry_id = preservation.entry_id
GROUP BY
    assets.data_class,
    assets.volume,
    preservation.level,
    preservation.storage_level,
    preservation.integrity_level,
    preservation.possible_level,
    preservation.missing
ORDER BY
    data_class ASC,
    volume ASC,
    level ASC,
    possible_level ASC,
    storage_level ASC,
    integrity_level ASC,
    missing ASC
