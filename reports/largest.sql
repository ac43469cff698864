/*
title = "Largest files"
question = "Which files take the most space?"
table = ["volume", "path", "size_bytes", "modified_at", "last_active_at", "owner", "status"]

[columns]
volume = "where the file lies"
path = "its path in the volume, escaped; of a hard-linked file the first name"
size_bytes = { meaning = "its size", unit = "bytes" }
allocated_bytes = { meaning = "what it takes on the storage; null where the storage cannot tell", unit = "bytes" }
modified_at = { meaning = "its last change", unit = "UTC" }
last_active_at = { meaning = "its last use; null = no trustworthy time", unit = "UTC" }
owner = "the owner that a label names, else that of the storage"
data_class = "the class whose requirement it must meet"
role = "what the volume is for: primary, replica, backup, archive"
status = "the protection of the asset; of a copy that of its worst asset; null of an orphan"
other_copies = { meaning = "other files and volumes that hold the content", unit = "count" }
*/
SELECT
    volume,
    path,
    size_bytes,
    allocated_bytes,
    modified_at,
    last_active_at,
    owner,
    data_class,
    role,
    status,
    other_copies
FROM files
WHERE counted_bytes > 0
ORDER BY
    size_bytes DESC,
    volume ASC,
    path ASC,
    modified_at DESC NULLS LAST,
    last_active_at DESC NULLS LAST,
    allocated_bytes DESC NULLS LAST,
    other_copies DESC NULLS LAST,
    status ASC NULLS FIRST
