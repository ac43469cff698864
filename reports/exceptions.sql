/*
title = "Exceptions"
question = "Which findings were accepted, and how much data do they leave as it is?"

[columns]
volume = "where the assets lie"
data_class = "the class whose requirement they miss"
not_met = "the controls that they miss, joined by commas"
owner = "the owner that a label names, else that of the storage; null = none"
assets = { meaning = "assets whose findings are accepted", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
unsafe_assets = { meaning = "assets among them that survive no threat for sure", unit = "files" }
*/
SELECT
    volume,
    data_class,
    not_met,
    owner,
    count(*) AS assets,
    sum(counted_bytes) AS bytes,
    count(*) FILTER (WHERE user_error <> 'yes' AND ransomware <> 'yes' AND system_failure <> 'yes' AND facility_outage <> 'yes') AS unsafe_assets
FROM assets
WHERE status = 'excepted'
GROUP BY 1, 2, 3, 4
ORDER BY
    bytes DESC,
    volume ASC,
    data_class ASC,
    not_met ASC,
    owner ASC NULLS LAST
