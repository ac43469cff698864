/*
title = "Problems"
question = "What could the scans not read or understand?"
table = ["volume", "path", "stage", "error", "hides_below", "seen_at"]

[columns]
volume = "the volume that was scanned"
scan_id = "the scan that met it"
path = "where, escaped; '' is the root"
stage = "what it was doing: list, stat, open, read, changed or name"
error = "what the storage said"
errno = "its number; null = none"
hides_below = "whether what lies below the path was not seen"
seen_at = { meaning = "when", unit = "UTC" }
*/
SELECT
    volume,
    scan_id,
    path,
    stage,
    error,
    errno,
    hides_below,
    seen_at
FROM problems
ORDER BY
    volume ASC,
    path ASC,
    stage ASC,
    seen_at ASC,
    error ASC
