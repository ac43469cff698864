/* One row a signature: what holds for all its assets. */
SELECT
    s.signature_no,
    CASE t.user_error WHEN 2 THEN 'yes' WHEN 1 THEN 'unknown' ELSE 'no' END AS user_error,
    CASE t.ransomware WHEN 2 THEN 'yes' WHEN 1 THEN 'unknown' ELSE 'no' END AS ransomware,
    CASE t.system_failure WHEN 2 THEN 'yes' WHEN 1 THEN 'unknown' ELSE 'no' END AS system_failure,
    CASE t.facility_outage WHEN 2 THEN 'yes' WHEN 1 THEN 'unknown' ELSE 'no' END AS facility_outage,
    coalesce(r.user_error_reasons, '') AS user_error_reasons,
    coalesce(r.ransomware_reasons, '') AS ransomware_reasons,
    coalesce(r.system_failure_reasons, '') AS system_failure_reasons,
    coalesce(r.facility_outage_reasons, '') AS facility_outage_reasons,
    coalesce(q.reasons, '') AS reasons,
    coalesce(k.not_met, '') AS not_met,
    coalesce(k.unknown_controls, '') AS unknown_controls,
    CASE
        WHEN k.not_met_bits > 0
            THEN
                CASE
                    WHEN (k.not_met_bits & s.excepted) = k.not_met_bits THEN 'excepted'
                    WHEN greatest(t.user_error, t.ransomware, t.system_failure, t.facility_outage) = 2 THEN 'partly'
                    ELSE 'unprotected'
                END
        WHEN k.unknown_controls IS NOT NULL THEN 'unknown'
        ELSE 'protected'
    END AS status,
    c.copies,
    c.systems,
    c.sites,
    c.offline_or_immutable AS offline_or_immutable_copies,
    CASE s.freshness_no
        WHEN 0 THEN 'unknown'
        WHEN 1 THEN 'current'
        WHEN 2 THEN 'stale_within_rpo'
        WHEN 3 THEN 'stale_overdue'
        WHEN 4 THEN 'new_within_rpo'
        ELSE 'unprotected'
    END AS freshness,
    c.newest_copy_at,
    u.unseen
FROM signatures AS s
INNER JOIN counts AS c ON s.signature_no = c.signature_no
INNER JOIN (
    SELECT
        signature_no,
        max(CASE WHEN threat = 'user_error' THEN value END) AS user_error,
        max(CASE WHEN threat = 'ransomware' THEN value END) AS ransomware,
        max(CASE WHEN threat = 'system_failure' THEN value END) AS system_failure,
        max(CASE WHEN threat = 'facility_outage' THEN value END) AS facility_outage
    FROM threat_results
    GROUP BY signature_no
) AS t ON s.signature_no = t.signature_no
LEFT JOIN (
    SELECT
        signature_no,
        string_agg(reason, ',' ORDER BY reason_order) FILTER (WHERE threat = 'user_error') AS user_error_reasons,
        string_agg(reason, ',' ORDER BY reason_order) FILTER (WHERE threat = 'ransomware') AS ransomware_reasons,
        string_agg(reason, ',' ORDER BY reason_order) FILTER (WHERE threat = 'system_failure') AS system_failure_reasons,
        string_agg(reason, ',' ORDER BY reason_order) FILTER (WHERE threat = 'facility_outage') AS facility_outage_reasons
    FROM threat_reasons
    GROUP BY signature_no
) AS r ON s.signature_no = r.signature_no
LEFT JOIN (
    SELECT
        signature_no,
        string_agg(reason, ',' ORDER BY reason_order) AS reasons
    FROM (
        SELECT DISTINCT
            x.signature_no,
            x.reason,
            x.reason_order
        FROM threat_reasons AS x
        INNER JOIN signatures AS y ON x.signature_no = y.signature_no
        INNER JOIN class_controls AS z ON y.class_no = z.class_no AND x.threat = z.control
    ) AS judged
    GROUP BY signature_no
) AS q ON s.signature_no = q.signature_no
LEFT JOIN (
    SELECT
        signature_no,
        string_agg(control, ',' ORDER BY control_order) FILTER (WHERE result = 0) AS not_met,
        string_agg(control, ',' ORDER BY control_order) FILTER (WHERE result = 1) AS unknown_controls,
        sum(CASE WHEN result = 0 THEN control_bit ELSE 0 END) AS not_met_bits
    FROM control_results
    GROUP BY signature_no
) AS k ON s.signature_no = k.signature_no
LEFT JOIN (
    -- States of absences that nobody can vouch for, see absences.sql.
    SELECT
        m.signature_no,
        string_agg(f.volume, ',' ORDER BY f.volume) AS unseen
    FROM testimonies AS m
    INNER JOIN volume_facts AS f ON m.v = f.v
    WHERE m.state IN (10, 11, 12)
    GROUP BY m.signature_no
) AS u ON s.signature_no = u.signature_no
