/* Of each signature, threat and volume: the least of usable and condition, and the first decisive reason. */
SELECT
    signature_no,
    threat,
    v,
    state,
    least(usable, condition) AS value,
    CASE
        WHEN least(usable, condition) = 2 THEN NULL
        WHEN usable = 0 THEN usable_order
        WHEN condition = 0 THEN condition_order
        WHEN usable = 1 AND usable_order < 8 THEN usable_order
        WHEN condition = 1 THEN condition_order
        ELSE usable_order
    END AS reason_order
FROM (
    SELECT
        t.signature_no,
        h.threat,
        t.v,
        t.state,
        t.usable,
        t.usable_order,
        CASE h.threat
            WHEN 'user_error' THEN t.user_error
            WHEN 'ransomware' THEN t.ransomware
            WHEN 'system_failure' THEN t.system_failure
            ELSE t.facility_outage
        END AS condition,
        CASE h.threat
            WHEN 'user_error' THEN t.user_error_order
            WHEN 'ransomware' THEN t.ransomware_order
            WHEN 'system_failure' THEN t.system_failure_order
            ELSE t.facility_outage_order
        END AS condition_order
    FROM testimonies AS t
    CROSS JOIN threats AS h
) AS judged
