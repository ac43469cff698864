/*
title = "Costs"
question = "What does the data cost a month, and how much of it for data that nobody uses?"
table = ["name", "bytes", "paid_bytes", "unpriced_bytes", "cost_per_month", "dormant_bytes", "dormant_cost_per_month", "dormant_pct", "currency"]

[params.by]
default = "volume"
choices = ["volume", "class", "owner"]
help = "one line for each volume, data class or owner"

[params.days]
default = 365
least = 0
help = "days without use before the volume's scan after which a file is dormant"

[columns]
name = "the volume, class or owner ('' = none)"
files = { meaning = "files, each name counted", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
paid_bytes = { meaning = "what they take on the storage, hard links once", unit = "bytes" }
unpriced_bytes = { meaning = "of these, what lies on volumes without a declared price", unit = "bytes" }
cost_per_month = { meaning = "the price of what has one; null where nothing has", unit = "money" }
dormant_bytes = { meaning = "of what they take, in dormant files", unit = "bytes" }
dormant_cost_per_month = { meaning = "its price; null where nothing has one", unit = "money" }
dormant_pct = { meaning = "dormant of what they take, rounded down; null without bytes", unit = "%" }
currency = "of the price"
*/
WITH measured AS (
    SELECT
        files.volume,
        CASE WHEN $by = 'volume' THEN files.volume WHEN $by = 'class' THEN files.data_class ELSE coalesce(files.owner, '') END AS name,
        files.counted_bytes,
        CASE WHEN files.counted_bytes > 0 THEN coalesce(files.allocated_bytes, files.size_bytes) ELSE 0 END AS paid_bytes,
        files.last_active_at <= volumes.scanned_at - $days * INTERVAL '1' DAY AND NOT files.carried AS is_dormant
    FROM files
    INNER JOIN volumes ON files.volume = volumes.volume
),

by_volume AS (
    SELECT
        volume,
        coalesce(name, '') AS name,
        count(*) AS files,
        sum(counted_bytes) AS bytes,
        sum(paid_bytes) AS paid_bytes,
        coalesce(sum(paid_bytes) FILTER (WHERE is_dormant), 0) AS dormant_bytes
    FROM measured
    GROUP BY 1, 2
),

priced AS (
    SELECT
        by_volume.name,
        by_volume.files,
        by_volume.bytes,
        by_volume.paid_bytes,
        by_volume.dormant_bytes,
        volumes.currency,
        CASE WHEN volumes.cost_per_tib_month IS NULL THEN by_volume.paid_bytes ELSE 0 END AS unpriced_bytes,
        -- Ten-thousandths: whole numbers add up to the same sum in any order.
        CAST(floor(by_volume.paid_bytes * volumes.cost_per_tib_month / 1099511627776.0 * 10000.0 + 0.5) AS BIGINT) AS cost_per_month,
        CAST(floor(by_volume.dormant_bytes * volumes.cost_per_tib_month / 1099511627776.0 * 10000.0 + 0.5) AS BIGINT) AS dormant_cost_per_month
    FROM by_volume
    INNER JOIN volumes ON by_volume.volume = volumes.volume
)

SELECT
    name,
    sum(files) AS files,
    sum(bytes) AS bytes,
    sum(paid_bytes) AS paid_bytes,
    sum(unpriced_bytes) AS unpriced_bytes,
    sum(cost_per_month) / 10000.0 AS cost_per_month,
    sum(dormant_bytes) AS dormant_bytes,
    sum(dormant_cost_per_month) / 10000.0 AS dormant_cost_per_month,
    CASE WHEN sum(paid_bytes) > 0 THEN (sum(dormant_bytes) * 1000 // sum(paid_bytes)) / 10.0 END AS dormant_pct,
    max(currency) AS currency
FROM priced
GROUP BY 1
ORDER BY
    cost_per_month DESC NULLS LAST,
    paid_bytes DESC,
    name ASC
