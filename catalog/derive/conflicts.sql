/* Assets of which a volume holds other content under the same size and time: their metadata matches prove nothing. */
SELECT DISTINCT
    a,
    entry_id
FROM best_matches
WHERE found = 2
