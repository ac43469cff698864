/* The rows of a report as the files that a policy takes, each once, in the report's order. */
SELECT
    min(place) AS rank,
    volume,
    path,
    arg_min(reason, place) AS reason
FROM chosen_rows
GROUP BY volume, path
