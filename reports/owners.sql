/*
title = "Owners"
question = "Whose data is it, and how well is it protected?"
table = ["volume", "owner", "files", "bytes", "bytes_pct", "assets", "unprotected_assets", "unprotected_bytes", "unknown_assets"]

[columns]
volume = "where the files lie"
owner = "the owner that a label names, else that of the storage; '' = none"
files = { meaning = "files, hard links once", unit = "files" }
bytes = { meaning = "their size", unit = "bytes" }
allocated_bytes = { meaning = "what they take on the storage", unit = "bytes" }
bytes_pct = { meaning = "their share of the volume's bytes, rounded down; null without bytes", unit = "%" }
assets = { meaning = "assets among them", unit = "files" }
unprotected_assets = { meaning = "assets that nothing protects", unit = "files" }
unprotected_bytes = { meaning = "their size", unit = "bytes" }
unknown_assets = { meaning = "assets whose protection is unknown", unit = "files" }
last_active_at = { meaning = "the last use of any of them; null = no trustworthy time", unit = "UTC" }
*/
SELECT
    volume,
    "key" AS owner,
    files,
    bytes,
    allocated_bytes,
    CASE WHEN sum(bytes) OVER (PARTITION BY volume) > 0 THEN (CAST(bytes AS HUGEINT) * 1000 // sum(bytes) OVER (PARTITION BY volume)) / 10.0 END AS bytes_pct,
    assets,
    unprotected_assets,
    unprotected_bytes,
    unknown_assets,
    last_active_at
FROM rollup
WHERE "by" = 'owner'
ORDER BY
    bytes DESC,
    volume ASC,
    owner ASC
