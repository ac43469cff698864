/*
title = "Duplicate groups"
question = "Which contents are kept more than once, and how much space would one of each give back?"
table = ["digest", "size_bytes", "members", "volumes", "reclaimable_bytes", "volume", "path"]

[params.scope]
default = "primary"
help = "'primary' for all primary volumes together, or the name of one volume"
names_a_volume = true

[columns]
digest = { meaning = "SHA-256 of the content, lower-case hexadecimal", unit = "SHA-256" }
size_bytes = { meaning = "size of the content", unit = "bytes" }
members = { meaning = "files with this content, hard links counted once", unit = "count" }
volumes = { meaning = "volumes that they lie on", unit = "count" }
reclaimable_bytes = { meaning = "what all but one of them take", unit = "bytes" }
volume = "where the first of them lies"
path = "its path in the volume, escaped"
*/
WITH ranked AS (
    SELECT
        digest,
        size_bytes,
        members,
        reclaimable_bytes,
        volume,
        path,
        row_number() OVER (PARTITION BY digest ORDER BY volume, path) AS place
    FROM duplicates_by_scope
    WHERE "scope" = $scope
),

spread AS (
    SELECT
        digest,
        count(DISTINCT volume) AS volumes
    FROM ranked
    GROUP BY digest
)

SELECT
    lower(hex(ranked.digest)) AS digest,
    ranked.size_bytes,
    ranked.members,
    spread.volumes,
    ranked.reclaimable_bytes,
    ranked.volume,
    ranked.path
FROM ranked
INNER JOIN spread ON ranked.digest = spread.digest
WHERE ranked.place = 1
ORDER BY
    reclaimable_bytes DESC,
    digest ASC,
    path ASC
