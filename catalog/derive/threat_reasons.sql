/* The reasons of each threat that does not hold, each once. Never copied is dropped beside a match, and is said of the same volume where that has the content twice. */
SELECT DISTINCT
    r.signature_no,
    r.threat,
    CASE WHEN o.reason = 'never_copied' AND r.same_volume THEN 'same_volume_only' ELSE o.reason END AS reason,
    CASE WHEN o.reason = 'never_copied' AND r.same_volume THEN o.same_volume_order ELSE o.reason_order END AS reason_order
FROM threat_results AS r
LEFT JOIN threat_values AS x ON r.signature_no = x.signature_no AND r.threat = x.threat AND x.value < 2
INNER JOIN reasons AS o
    ON o.reason_order = CASE WHEN r.carried THEN 1 ELSE coalesce(x.reason_order, 3) END
WHERE r.value < 2 AND NOT (o.reason = 'never_copied' AND r.has_match)
