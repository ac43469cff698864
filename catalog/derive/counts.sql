/* Of each signature: how many devices, systems, sites, regions, admins, media and offline or immutable volumes are known, and how many are possible. */
SELECT
    s.signature_no,
    bit_count(coalesce(bit_or(CASE WHEN t.usable = 2 THEN t.device_bit ELSE 0 END), 0) | f.device_bit) AS copies,
    bit_count(coalesce(bit_or(CASE WHEN t.usable > 0 THEN t.device_possible ELSE 0 END), 0) | f.device_possible) AS possible_copies,
    bit_count(coalesce(bit_or(CASE WHEN t.usable = 2 THEN t.system_bit ELSE 0 END), 0) | f.system_bit) AS systems,
    bit_count(coalesce(bit_or(CASE WHEN t.usable > 0 THEN t.system_possible ELSE 0 END), 0) | f.system_possible) AS possible_systems,
    bit_count(coalesce(bit_or(CASE WHEN t.usable = 2 THEN t.site_bit ELSE 0 END), 0) | f.site_bit) AS sites,
    bit_count(coalesce(bit_or(CASE WHEN t.usable > 0 THEN t.site_possible ELSE 0 END), 0) | f.site_possible) AS possible_sites,
    bit_count(coalesce(bit_or(CASE WHEN t.usable = 2 THEN t.region_bit ELSE 0 END), 0) | f.region_bit) AS regions,
    bit_count(coalesce(bit_or(CASE WHEN t.usable > 0 THEN t.region_possible ELSE 0 END), 0) | f.region_possible) AS possible_regions,
    bit_count(coalesce(bit_or(CASE WHEN t.usable = 2 THEN t.admin_bit ELSE 0 END), 0) | f.admin_bit) AS admins,
    bit_count(coalesce(bit_or(CASE WHEN t.usable > 0 THEN t.admin_possible ELSE 0 END), 0) | f.admin_possible) AS possible_admins,
    bit_count(coalesce(bit_or(CASE WHEN t.usable = 2 THEN t.media_bit ELSE 0 END), 0) | f.media_bit) AS media,
    bit_count(coalesce(bit_or(CASE WHEN t.usable > 0 THEN t.media_possible ELSE 0 END), 0) | f.media_possible) AS possible_media,
    bit_count(
        coalesce(bit_or(CASE WHEN t.usable = 2 AND t.ransomware = 2 THEN t.volume_bit ELSE 0 END), 0)
        | CASE WHEN f.ransomware = 2 THEN f.volume_bit ELSE 0 END
    ) AS offline_or_immutable,
    bit_count(
        coalesce(bit_or(CASE WHEN t.usable > 0 AND t.ransomware > 0 THEN t.volume_bit ELSE 0 END), 0)
        | CASE WHEN f.ransomware > 0 THEN f.volume_bit ELSE 0 END
    ) AS possible_offline_or_immutable,
    coalesce(max(t.usable), 0) AS usable,
    max(CASE WHEN t.state IN (1, 3, 4, 5) THEN t.scanned_at END) AS newest_copy_at,
    coalesce(max(CASE WHEN t.state IN (1, 3, 4, 5) THEN 2 WHEN t.state IN (2, 6, 7, 10, 11, 12, 14) THEN 1 ELSE 0 END), 0) AS current
FROM signatures AS s
INNER JOIN pair_facts AS f ON s.a = f.a AND s.class_no = f.class_no AND f.is_self
LEFT JOIN testimonies AS t ON s.signature_no = t.signature_no
GROUP BY
    s.signature_no, f.device_bit, f.device_possible, f.system_bit, f.system_possible, f.site_bit, f.site_possible,
    f.region_bit, f.region_possible, f.admin_bit, f.admin_possible, f.media_bit, f.media_possible, f.ransomware, f.volume_bit
