/*
title = "Volumes"
question = "What is scanned, how old is what we know of it, and what does it cost?"
table = ["volume", "role", "state", "scanned_at", "scan_age_days", "entries", "bytes", "problems", "access", "sites", "cost_per_month"]

[columns]
volume = "its name"
kind = "what reads it"
role = "what it is for: primary, replica, backup, archive"
state = "of its newest good scan: complete or incomplete; else failed or never_scanned"
scanned_at = { meaning = "start of the newest good scan; of what others tell of a volume the time that it is of; null = none", unit = "UTC" }
entries = { meaning = "entries that it saw", unit = "count" }
bytes = { meaning = "bytes in files, hard links once", unit = "bytes" }
problems = { meaning = "what it could not read", unit = "count" }
scan_age_days = { meaning = "whole days from that scan to the snapshot", unit = "days" }
files = { meaning = "files that it saw", unit = "files" }
carried_entries = { meaning = "entries of an earlier scan, below what could not be read now", unit = "count" }
media = "what it is stored on; null = unknown"
access = "online, nearline or offline; null = unknown"
immutability = "who can change what it holds; null = unknown"
systems = { meaning = "storage systems, joined by commas; '' = unknown", unit = "list" }
sites = { meaning = "places, joined by commas; '' = unknown", unit = "list" }
regions = { meaning = "what one disaster may strike as a whole, joined by commas; '' = unknown", unit = "list" }
admins = { meaning = "who can delete everything on it, joined by commas; '' = unknown", unit = "list" }
devices = { meaning = "devices, joined by commas; '' = unknown", unit = "list" }
capacity_bytes = { meaning = "its capacity, as the scan tells it, else as declared; null = unknown", unit = "bytes" }
free_bytes = { meaning = "what is free; null = unknown", unit = "bytes" }
cost_per_month = { meaning = "the price of what its files take; null where none is declared", unit = "money" }
currency = "of the price"
last_error = "of a newer scan that failed"
last_failed_at = { meaning = "when it failed", unit = "UTC" }
url = "where it is"
*/
SELECT
    volumes.volume,
    volumes.kind,
    volumes.role,
    volumes.state,
    volumes.scanned_at,
    volumes.entries,
    volumes.bytes,
    volumes.problems,
    date_diff('day', volumes.scanned_at, snapshot.as_of)
    - CASE
        WHEN snapshot.as_of - date_trunc('day', snapshot.as_of) < volumes.scanned_at - date_trunc('day', volumes.scanned_at) THEN 1
        ELSE 0
    END AS scan_age_days,
    volumes.files,
    volumes.carried_entries,
    volumes.media,
    volumes.access,
    volumes.immutability,
    array_to_string(volumes.systems, ',') AS systems,
    array_to_string(volumes.sites, ',') AS sites,
    array_to_string(volumes.regions, ',') AS regions,
    array_to_string(volumes.admins, ',') AS admins,
    array_to_string(volumes.devices, ',') AS devices,
    volumes.capacity_bytes,
    volumes.free_bytes,
    floor(coalesce(taken.allocated_bytes, volumes.bytes) * volumes.cost_per_tib_month / 1099511627776.0 * 100.0 + 0.5) / 100.0 AS cost_per_month,
    volumes.currency,
    volumes.last_error,
    volumes.last_failed_at,
    volumes.url
FROM volumes
CROSS JOIN snapshot
LEFT JOIN rollup AS taken
    ON volumes.volume = taken.volume AND taken."by" = 'folder' AND taken.depth = 0
ORDER BY
    volume ASC
