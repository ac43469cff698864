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
dormant_days = { meaning = "whole days from that to the start of the volume's scan; 0 where it is later", unit = "days" }
unprotected_pct = { meaning = "unprotected of its assets, rounded down; null without assets", unit = "%" }
*/
SELECT
    rollup.volume,
    rollup."key" AS folder,
    rollup.files,
    rollup.bytes,
    rollup.allocated_bytes,
    rollup.assets,
    rollup.unprotected_assets,
    rollup.unprotected_bytes,
    rollup.unknown_assets,
    rollup.last_active_at,
    CASE
        WHEN rollup.last_active_at > volumes.scanned_at THEN 0
        ELSE
            date_diff('day', rollup.last_active_at, volumes.scanned_at)
            - CASE
                WHEN volumes.scanned_at - date_trunc('day', volumes.scanned_at) < rollup.last_active_at - date_trunc('day', rollup.last_active_at) THEN 1
                ELSE 0
            END
    END AS dormant_days,
    CASE WHEN rollup.assets > 0 THEN (rollup.unprotected_assets * 1000 // rollup.assets) / 10.0 END AS unprotected_pct
FROM rollup
INNER JOIN volumes ON rollup.volume = volumes.volume
WHERE rollup."by" = 'folder' AND rollup.depth = $depth
ORDER BY
    bytes DESC,
    volume ASC,
    folder ASC
