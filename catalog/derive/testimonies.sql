/*
What each volume says in each signature: usable (0 no, 1 unknown, 2 yes) with the order of its reason, and the conditions of the threats. Where objects tell of their locks,
these stand in the place of what is declared of locks.
*/
SELECT
    s.signature_no,
    f.v,
    t.state,
    t.usable,
    t.reason_order AS usable_order,
    x.scanned_at,
    f.user_error,
    f.user_error_order,
    CASE WHEN l.locked IS NULL THEN f.ransomware ELSE least(greatest(f.offline, l.locked), f.key) END AS ransomware,
    CASE
        WHEN l.locked IS NULL THEN f.ransomware_order
        WHEN f.key < greatest(f.offline, l.locked) THEN f.key_order
        ELSE f.not_immutable_order
    END AS ransomware_order,
    f.system_failure,
    f.system_failure_order,
    f.facility_outage,
    f.facility_outage_order,
    f.volume_bit,
    f.device_bit,
    f.device_possible,
    f.system_bit,
    f.system_possible,
    f.site_bit,
    f.site_possible,
    f.region_bit,
    f.region_possible,
    f.admin_bit,
    f.admin_possible,
    f.media_bit,
    f.media_possible
FROM signatures AS s
INNER JOIN pair_facts AS f ON s.a = f.a AND s.class_no = f.class_no AND NOT f.is_self
INNER JOIN pair_places AS p ON f.a = p.a AND f.v = p.v
INNER JOIN volume_facts AS x ON f.v = x.v
INNER JOIN states AS t
    ON
        t.state
        = (CASE p.word WHEN 0 THEN s.word_0 WHEN 1 THEN s.word_1 WHEN 2 THEN s.word_2 ELSE s.word_3 END // p.power) % 16
LEFT JOIN signature_locks AS l ON s.signature_no = l.signature_no AND f.v = l.v
