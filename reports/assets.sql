/*
title = "Assets"
question = "What is every asset's protection, and why?"
table = ["volume", "path", "size_bytes", "data_class", "status", "reasons", "copies", "verification_level", "verified_at"]

[columns]
volume = "the volume that holds the asset"
path = "its path in the volume, escaped"
size_bytes = { meaning = "its size", unit = "bytes" }
counted_bytes = { meaning = "its size on the first name of a hard-linked file, else 0; sums use it", unit = "bytes" }
data_class = "the class whose requirement it must meet"
owner = "the owner that a label names, else that of the storage"
status = "protected, partly, unprotected, unknown or excepted"
user_error = "yes, no or unknown: would it survive that a user deletes or overwrites it"
ransomware = "yes, no or unknown: would it survive that everything within reach is encrypted"
system_failure = "yes, no or unknown: would it survive the loss of its storage system"
facility_outage = "yes, no or unknown: would it survive the loss of its site"
reasons = { meaning = "why a threat is not covered, joined by commas, in a fixed order", unit = "list" }
copies = { meaning = "devices known to hold it, the original included", unit = "count" }
systems = { meaning = "systems known to hold it, the original included", unit = "count" }
sites = { meaning = "sites known to hold it, the original included", unit = "count" }
offline_or_immutable_copies = { meaning = "volumes known to hold it offline or unchangeable, the original included", unit = "count" }
newest_copy_at = { meaning = "start of the newest scan that saw a current copy", unit = "UTC" }
verification_level = { meaning = "how well the best copy is known: 0 listed to 4 restored and compared", unit = "level" }
verified_at = { meaning = "when it became known so well", unit = "UTC" }
freshness = "current, or how the copies lag behind the asset"
not_met = { meaning = "controls that are not met, joined by commas", unit = "list" }
unknown_controls = { meaning = "controls of which it is not known, joined by commas", unit = "list" }
*/
SELECT
    volume,
    path,
    size_bytes,
    counted_bytes,
    data_class,
    owner,
    status,
    user_error,
    ransomware,
    system_failure,
    facility_outage,
    reasons,
    copies,
    systems,
    sites,
    offline_or_immutable_copies,
    newest_copy_at,
    verification_level,
    verified_at,
    freshness,
    not_met,
    unknown_controls
FROM assets
ORDER BY
    volume ASC,
    path ASC
