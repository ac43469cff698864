/*
title = "Savings"
question = "What would a month cost less if the dormant files of each volume lay in an archive?"

[params.days]
default = 365
least = 0
help = "days without use before the volume's scan after which a file is dormant"

[columns]
volume = "where the dormant files lie; primary volumes only"
to_volume = "the archive that they would go to"
files = { meaning = "dormant files, each name counted", unit = "files" }
paid_bytes = { meaning = "what they take on the storage, hard links once", unit = "bytes" }
last_copies = { meaning = "files among them whose content nothing else is known to hold", unit = "files" }
cost_per_month = { meaning = "the price of their space now; null where none is declared", unit = "money" }
cost_there_per_month = { meaning = "the price of as much space in the archive; null where none is declared", unit = "money" }
saved_per_month = { meaning = "the difference; null where a price is not declared", unit = "money" }
currency = "of the price"
*/
WITH idle AS (
    SELECT
        files.volume,
        count(*) AS files,
        sum(CASE WHEN files.counted_bytes > 0 THEN coalesce(files.allocated_bytes, files.size_bytes) ELSE 0 END) AS paid_bytes,
        sum(CASE WHEN files.is_last_copy THEN 1 ELSE 0 END) AS last_copies
    FROM files
    INNER JOIN volumes ON files.volume = volumes.volume
    WHERE
        volumes.role = 'primary'
        AND files.last_active_at <= volumes.scanned_at - $days * INTERVAL '1' DAY
        AND NOT files.carried
    GROUP BY 1
)

SELECT
    idle.volume,
    archives.volume AS to_volume,
    idle.files,
    idle.paid_bytes,
    idle.last_copies,
    idle.paid_bytes * homes.cost_per_tib_month / 1099511627776.0 AS cost_per_month,
    idle.paid_bytes * archives.cost_per_tib_month / 1099511627776.0 AS cost_there_per_month,
    idle.paid_bytes * (homes.cost_per_tib_month - archives.cost_per_tib_month) / 1099511627776.0 AS saved_per_month,
    homes.currency
FROM idle
INNER JOIN volumes AS homes ON idle.volume = homes.volume
INNER JOIN volumes AS archives ON archives.role = 'archive'
ORDER BY
    saved_per_month DESC NULLS LAST,
    volume ASC,
    to_volume ASC
