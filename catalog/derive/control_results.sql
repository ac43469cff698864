/* Each control of each signature's class: 0 not met, 1 unknown, 2 met. */
SELECT
    s.signature_no,
    k.control,
    k.control_order,
    k.control_bit,
    CASE
        WHEN s.carried THEN 1
        WHEN k.is_threat THEN r.value
        WHEN k.control = 'retention' THEN u.value
        WHEN k.control = 'max_copy_age' THEN c.current
        WHEN k.control IN ('min_verification_level', 'max_verification_age') THEN c.usable
        WHEN k.control = 'copies' THEN CASE WHEN c.copies >= k.need THEN 2 WHEN c.possible_copies >= k.need THEN 1 ELSE 0 END
        WHEN k.control = 'systems' THEN CASE WHEN c.systems >= k.need THEN 2 WHEN c.possible_systems >= k.need THEN 1 ELSE 0 END
        WHEN k.control = 'sites' THEN CASE WHEN c.sites >= k.need THEN 2 WHEN c.possible_sites >= k.need THEN 1 ELSE 0 END
        WHEN k.control = 'regions' THEN CASE WHEN c.regions >= k.need THEN 2 WHEN c.possible_regions >= k.need THEN 1 ELSE 0 END
        WHEN k.control = 'admins' THEN CASE WHEN c.admins >= k.need THEN 2 WHEN c.possible_admins >= k.need THEN 1 ELSE 0 END
        WHEN k.control = 'media' THEN CASE WHEN c.media >= k.need THEN 2 WHEN c.possible_media >= k.need THEN 1 ELSE 0 END
        WHEN c.offline_or_immutable >= k.need THEN 2
        WHEN c.possible_offline_or_immutable >= k.need THEN 1
        ELSE 0
    END AS result
FROM signatures AS s
INNER JOIN class_controls AS k ON s.class_no = k.class_no
INNER JOIN counts AS c ON s.signature_no = c.signature_no
LEFT JOIN threat_results AS r ON s.signature_no = r.signature_no AND k.control = r.threat
LEFT JOIN threat_results AS u ON s.signature_no = u.signature_no AND u.threat = 'user_error'
