/*
title = "Labels"
question = "Who answers for which data, and what is noted about it?"

[columns]
volume = "where the files lie"
owner = "the owner that a label names, else that of the storage; null = none"
steward = "who looks after it; null = nobody named"
data_class = "the class whose requirement it must meet"
note = "what a label notes; null = nothing"
files = { meaning = "files with just these labels, each name counted", unit = "files" }
bytes = { meaning = "their size, hard links once", unit = "bytes" }
assets = { meaning = "assets among them", unit = "files" }
unprotected_assets = { meaning = "assets that nothing protects", unit = "files" }
unknown_assets = { meaning = "assets whose protection is unknown", unit = "files" }
*/
SELECT
    volume,
    owner,
    steward,
    data_class,
    note,
    count(*) AS files,
    sum(counted_bytes) AS bytes,
    count(*) FILTER (WHERE is_asset) AS assets,
    count(*) FILTER (WHERE is_asset AND status = 'unprotected') AS unprotected_assets,
    count(*) FILTER (WHERE is_asset AND status = 'unknown') AS unknown_assets
FROM files
GROUP BY 1, 2, 3, 4, 5
ORDER BY
    volume ASC,
    bytes DESC,
    owner ASC NULLS LAST,
    steward ASC NULLS LAST,
    data_class ASC NULLS LAST,
    note ASC NULLS LAST
