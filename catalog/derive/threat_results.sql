/* Each threat of each signature: the greatest value of its volumes (none: no), and whether any volume has a match. */
SELECT
    s.signature_no,
    h.threat,
    CASE WHEN s.carried THEN 1 ELSE coalesce(max(x.value), 0) END AS value,
    coalesce(bool_or(x.state BETWEEN 1 AND 9 OR x.state = 14), FALSE) AS has_match,
    s.carried,
    s.same_volume
FROM signatures AS s
CROSS JOIN threats AS h
LEFT JOIN threat_values AS x ON s.signature_no = x.signature_no AND h.threat = x.threat
GROUP BY s.signature_no, h.threat, s.carried, s.same_volume
