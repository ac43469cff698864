-- The versions, by their numbers, of volumes whose contents are read on request, of which some were read, or tried.
SELECT DISTINCT
    volume,
    fs_id,
    inode
FROM digests
WHERE list_contains(getvariable('on_request'), volume) AND inode IS NOT NULL AND fs_id IS NOT NULL
