/*
title = "Duplicates"
question = "Which files hold the same content, and how much space would one of each give back?"
table = ["digest", "size_bytes", "members", "reclaimable_bytes", "volume", "path"]

[params.scope]
default = "primary"
help = "'primary' for all primary volumes together, or the name of one volume"
names_a_volume = true

[columns]
digest = { meaning = "SHA-256 of the content, lower-case hexadecimal", unit = "SHA-256" }
size_bytes = { meaning = "size of the content", unit = "bytes" }
members = { meaning = "files with this content, hard links counted once", unit = "count" }
reclaimable_bytes = { meaning = "what all but one of them take", unit = "bytes" }
volume = "where this member lies"
path = "its path in the volume, escaped"
link_count = { meaning = "names that this member has", unit = "count" }
modified_at = { meaning = "its last change", unit = "UTC" }
accessed_at = { meaning = "its last reading", unit = "UTC" }
role = "what its volume is for: primary, replica, backup, archive"
sites = { meaning = "where its volume is, joined by commas; '' = unknown", unit = "list" }
*/
SELECT
    lower(hex(scoped.digest)) AS digest,
    scoped.size_bytes,
    scoped.members,
    scoped.reclaimable_bytes,
    scoped.volume,
    scoped.path,
    scoped.link_count,
    scoped.modified_at,
    scoped.accessed_at,
    volumes.role,
    array_to_string(volumes.sites, ',') AS sites
FROM duplicates_by_scope AS scoped
INNER JOIN volumes ON scoped.volume = volumes.volume
WHERE scoped."scope" = $scope
ORDER BY
    reclaimable_bytes DESC,
    digest ASC,
    volume ASC,
    path ASC,
    modified_at DESC NULLS LAST,
    accessed_at DESC NULLS LAST,
    link_count ASC NULLS FIRST
