/*
title = "Folders"
question = "Which folders hold the most, with all that lies below them?"
table = ["volume", "folder", "files", "bytes", "assets", "unprotected_assets", "unprotected_bytes", "unknown_assets", "last_active_at"]

[params.depth]
default = 1
least = 0
help = "levels below the volume's root; 0 is the root itself"

[columns]
volume = "where the folder lies"
folder = "its path in the volume, escaped, with its trailing slash; '' is the root"
files = { meaning = "files below it, hard links once", unit = "files" }
bytes = { meaning = "their size", unit = "bytes" }
allocated_bytes = { meaning = "what they take on the storage", unit = "bytes" }
assets = { meaning = "assets among them", unit = "files" }
unprotected_assets = { meaning = "assets that nothing protects", unit = "files" }
unprotected_bytes = { meaning = "their size", unit = "bytes" }
unknown_assets = { meaning = "assets whose protection is unknown", unit = "files" }
last_active_at = { meaning = "the last use of any of them; null = no trustworthy time", unit = "UTC" }
*/
SELECT
    volume,
    "key" AS folder,
    files,
    bytes,
    allocated_bytes,
    assets,
    unprotected_assets,
    unprotected_bytes,
    unknown_assets,
    last_active_at
FROM rollup
WHERE "by" = 'folder' AND depth = $depth
ORDER BY
    bytes DESC,
    volume ASC,
    folder ASC
