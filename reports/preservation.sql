/*
title = "Levels of preservation"
question = "Which level of digital preservation (NDSA) does each asset have, and what is missing for the next?"
table = ["volume", "path", "size_bytes", "level", "storage_level", "integrity_level", "possible_level", "missing"]

[columns]
volume = "where it is"
path = "its path there, escaped"
size_bytes = { meaning = "its size", unit = "bytes" }
counted_bytes = { meaning = "its size on the first name of a file, 0 on the other hard links", unit = "bytes" }
data_class = "its class"
owner = "the owner that a label names, else that of the storage"
level = { meaning = "the highest of ndsa-1 to ndsa-4 all of whose lines it is known to have, by copies verified as that level asks; 0 = none", unit = "level" }
storage_level = { meaning = "likewise of the lines on copies and where they are, by whatever copies are known", unit = "level" }
integrity_level = { meaning = "likewise of the lines on verification: one copy that is verified so", unit = "level" }
possible_level = { meaning = "the level that it would have at most, if all that is not known were so", unit = "level" }
missing = { meaning = "lines of the next level that it is not known to have, joined by commas; '' = it has the highest", unit = "list" }
*/
SELECT
    assets.volume,
    assets.path,
    assets.size_bytes,
    assets.counted_bytes,
    assets.data_class,
    assets.owner,
    preservation.level,
    preservation.storage_level,
    preservation.integrity_level,
    preservation.possible_level,
    preservation.missing
FROM assets
INNER JOIN preservation ON assets.volume = preservation.volume AND assets.entry_id = preservation.entry_id
ORDER BY
    volume ASC,
    path ASC
