/*
title = "Orphans"
question = "What do copies still hold that no home holds any more, and how sure is that?"
table = ["volume", "path", "size_bytes", "kind", "certain", "is_last_copy", "newest_recovery_point_at", "modified_at"]

[params.certain]
default = "all"
choices = ["all", "yes", "unknown"]
help = "only what is certain, or only what is not known"

[columns]
volume = "the volume that holds it: a replica, a backup or an archive"
path = "its path there, escaped"
size_bytes = { meaning = "its size", unit = "bytes" }
counted_bytes = { meaning = "its size on the first name of a hard-linked file, else 0; sums use it", unit = "bytes" }
kind = "gone = no asset lies where its home would be, changed = one with other content does, unmapped = the path_map of its volume leads it nowhere"
certain = "yes, or unknown: where something that could be its home was not seen, or not read"
other_copies = { meaning = "other files known to hold its content, on any volume", unit = "files" }
is_last_copy = "whether nothing else is known to hold its content"
newest_recovery_point_at = { meaning = "begin of the newest recovery point that holds it; null = it is no version in a backup", unit = "UTC" }
modified_at = { meaning = "its last change", unit = "UTC" }
first_seen_at = { meaning = "start of the scan that first saw its path there", unit = "UTC" }
role = "what its volume is for"
home_volume = "where its home would be, in the first volume that it may be of; null = unmapped"
home_path = "its path there, escaped"
owner = "the owner that a label names, else that of the storage"
*/
SELECT
    orphans.volume,
    orphans.path,
    orphans.size_bytes,
    files.counted_bytes,
    orphans.kind,
    orphans.certain,
    files.other_copies,
    files.is_last_copy,
    orphans.held_at AS newest_recovery_point_at,
    orphans.modified_at,
    files.first_seen_at,
    files.role,
    orphans.home_volume,
    CASE WHEN orphans.home_volume IS NOT NULL THEN concat(orphans.home_dir, orphans.name) END AS home_path,
    files.owner
FROM orphans
INNER JOIN files ON orphans.volume = files.volume AND orphans.entry_id = files.entry_id
WHERE orphans.certain = $certain OR $certain = 'all'
ORDER BY
    size_bytes DESC,
    volume ASC,
    path ASC,
    newest_recovery_point_at DESC,
    modified_at DESC
