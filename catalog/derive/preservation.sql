/*
The view `preservation`: of each asset the level of digital preservation (NDSA) that it has for certain, and the highest that it can have.
A volume is a bit. Of an asset, `known_N` has those that hold it as well verified as level N asks, `perhaps` those that may hold it; bit 0 is the original.
A volume that said nothing of it may hold it if it was never scanned, or not wholly, or not since the asset's own volume was, or if its path_map leaves paths out;
and whatever it is if the asset is younger than what is known of its own volume.
*/
WITH needs AS (
    SELECT
        level,
        max(CASE WHEN control = 'min_verification_level' THEN need END) AS verification,
        max(CASE WHEN control = 'max_verification_age' THEN need END) AS age_days
    FROM preservation_levels
    GROUP BY level
),

bits AS (
    SELECT DISTINCT
        volume,
        copy_volume,
        volume_bit
    FROM preservation_places
),

unsighted AS (
    SELECT
        b.volume,
        here.scanned_at,
        bit_or(b.volume_bit) AS others,
        bit_or(
            CASE
                WHEN
                    there.scanned_at IS NULL
                    OR there.state <> 'complete'
                    OR m.volume IS NULL
                    OR (there.scanned_at < here.scanned_at AND (there.access IS DISTINCT FROM 'offline'))
                    THEN b.volume_bit
                ELSE 0
            END
        ) AS unsighted
    FROM bits AS b
    INNER JOIN volumes AS there ON b.copy_volume = there.volume
    INNER JOIN volumes AS here ON b.volume = here.volume
    LEFT JOIN mappings AS m ON b.volume = m.volume AND b.copy_volume = m.copy_volume AND m.folder = ''
    WHERE b.volume <> b.copy_volume
    GROUP BY b.volume, here.scanned_at
),

judged AS (
    SELECT
        c.volume,
        c.entry_id,
        b.volume_bit,
        c.is_current AND (c.usable_reason IS DISTINCT FROM 'scan_incomplete') AS holds,
        c.is_current OR c.usable = 'unknown' AS perhaps,
        coalesce(c.own_level, c.verification_level) AS own_level,
        coalesce(c.own_verified_at, c.verified_at) AS own_verified_at,
        c.restored_at,
        c.read_at,
        c.looked_at
    FROM copies AS c
    INNER JOIN bits AS b ON c.volume = b.volume AND c.copy_volume = b.copy_volume
),

-- Whether a copy is as well verified as a level asks, ever or lately; what proves more proves less, too.
verified AS (
    SELECT
        j.volume,
        j.entry_id,
        j.volume_bit,
        j.holds,
        j.perhaps,
        n.level,
        coalesce(j.own_level >= 1, FALSE) OR coalesce(j.restored_at, j.read_at, j.looked_at) IS NOT NULL AS is_listed,
        coalesce(
            (j.own_level >= n.verification AND j.own_verified_at BETWEEN n.since AND n.until)
            OR (n.verification <= 4 AND j.restored_at BETWEEN n.since AND n.until)
            OR (n.verification <= 2 AND j.read_at BETWEEN n.since AND n.until)
            OR (n.verification <= 1 AND j.looked_at BETWEEN n.since AND n.until),
            FALSE
        ) AS is_known
    FROM judged AS j
    CROSS JOIN (
        SELECT
            needs.level,
            needs.verification,
            coalesce(snapshot.as_of - to_seconds(CAST(needs.age_days * 86400 AS BIGINT)), TIMESTAMP '0001-01-01') AS since,
            CASE WHEN needs.age_days IS NULL THEN TIMESTAMP '9999-12-31' ELSE snapshot.as_of + INTERVAL 1 HOUR END AS until
        FROM needs
        CROSS JOIN snapshot
    ) AS n
),

said AS (
    SELECT
        volume,
        entry_id,
        bit_or(CASE WHEN holds AND is_listed THEN volume_bit ELSE 0 END) AS listed,
        bit_or(CASE WHEN level = 1 AND holds AND is_known THEN volume_bit ELSE 0 END) AS known_1,
        bit_or(CASE WHEN level = 2 AND holds AND is_known THEN volume_bit ELSE 0 END) AS known_2,
        bit_or(CASE WHEN level = 3 AND holds AND is_known THEN volume_bit ELSE 0 END) AS known_3,
        bit_or(CASE WHEN perhaps THEN volume_bit ELSE 0 END) AS perhaps,
        bit_or(volume_bit) AS told
    FROM verified
    GROUP BY volume, entry_id
),

assets_said AS (
    SELECT
        f.volume,
        f.entry_id,
        f.carried,
        coalesce(d.listed, 0) | 1 AS listed,
        coalesce(d.known_1, 0) | 1 AS known_1,
        coalesce(d.known_2, 0) | 1 AS known_2,
        coalesce(d.known_3, 0) | 1 AS known_3,
        coalesce(d.perhaps, 0)
        | (coalesce(CASE WHEN f.modified_at > u.scanned_at THEN u.others ELSE u.unsighted END, 0) & ~coalesce(d.told, 0))
        | 1 AS perhaps
    FROM stored_files AS f
    LEFT JOIN said AS d ON f.volume = d.volume AND f.entry_id = d.entry_id
    LEFT JOIN unsighted AS u ON f.volume = u.volume
    WHERE f.signature_no IS NOT NULL
),

sets AS (
    SELECT DISTINCT
        volume,
        carried,
        listed,
        known_1,
        known_2,
        known_3,
        perhaps
    FROM assets_said
),

chosen AS (
    SELECT
        s.*,
        n.level,
        CASE n.level WHEN 1 THEN s.known_1 WHEN 2 THEN s.known_2 ELSE s.known_3 END AS known
    FROM sets AS s
    CROSS JOIN needs AS n
),

counted AS (
    SELECT
        c.volume,
        c.carried,
        c.listed,
        c.known_1,
        c.known_2,
        c.known_3,
        c.perhaps,
        c.level,
        l.control,
        l.need,
        bit_count(bit_or(CASE WHEN c.known & p.volume_bit > 0 THEN p.known_bit ELSE 0 END)) AS have,
        bit_count(bit_or(CASE WHEN c.listed & p.volume_bit > 0 THEN p.known_bit ELSE 0 END)) AS listed_have,
        bit_count(bit_or(CASE WHEN c.perhaps & p.volume_bit > 0 THEN p.possible_bit ELSE 0 END)) AS possible
    FROM chosen AS c
    INNER JOIN preservation_levels AS l ON c.level = l.level
    INNER JOIN preservation_places AS p ON c.volume = p.volume AND l.control = p.control
    GROUP BY
        c.volume, c.carried, c.listed, c.known_1, c.known_2, c.known_3, c.perhaps, c.level, l.control, l.need
    UNION ALL BY NAME
    SELECT
        c.volume,
        c.carried,
        c.listed,
        c.known_1,
        c.known_2,
        c.known_3,
        c.perhaps,
        c.level,
        l.control,
        1 AS need,
        CASE WHEN c.known > 1 THEN 1 ELSE 0 END AS have,
        NULL AS listed_have,
        CASE WHEN c.perhaps > 1 THEN 1 ELSE 0 END AS possible
    FROM chosen AS c
    INNER JOIN preservation_levels AS l ON c.level = l.level AND l.control IN ('min_verification_level', 'max_verification_age')
),

met AS (
    SELECT
        volume,
        carried,
        listed,
        known_1,
        known_2,
        known_3,
        perhaps,
        level,
        NOT carried AND bool_and(have >= need) AS reached,
        NOT carried AND bool_and(coalesce(listed_have >= need, TRUE)) AS stored,
        NOT carried AND bool_and(listed_have IS NOT NULL OR have >= need) AS intact,
        carried OR bool_and(possible >= need) AS possible,
        string_agg(CASE WHEN have < need OR carried THEN control END, ',' ORDER BY control) AS missing
    FROM counted
    GROUP BY volume, carried, listed, known_1, known_2, known_3, perhaps, level
),

ladder AS (
    SELECT
        volume,
        carried,
        listed,
        known_1,
        known_2,
        known_3,
        perhaps,
        coalesce(min(CASE WHEN NOT reached THEN level END) - 1, 4) AS level,
        coalesce(min(CASE WHEN NOT stored THEN level END) - 1, 4) AS storage_level,
        coalesce(min(CASE WHEN NOT intact THEN level END) - 1, 4) AS integrity_level,
        coalesce(min(CASE WHEN NOT possible THEN level END) - 1, 4) AS possible_level
    FROM met
    GROUP BY volume, carried, listed, known_1, known_2, known_3, perhaps
)

SELECT
    a.volume,
    a.entry_id,
    d.level,
    d.storage_level,
    d.integrity_level,
    d.possible_level,
    coalesce(m.missing, '') AS missing
FROM assets_said AS a
INNER JOIN ladder AS d
    ON
        a.volume = d.volume AND a.carried = d.carried AND a.listed = d.listed AND a.known_1 = d.known_1 AND a.known_2 = d.known_2
        AND a.known_3 = d.known_3 AND a.perhaps = d.perhaps
LEFT JOIN met AS m
    ON
        a.volume = m.volume AND a.carried = m.carried AND a.listed = m.listed AND a.known_1 = m.known_1 AND a.known_2 = m.known_2
        AND a.known_3 = m.known_3 AND a.perhaps = m.perhaps AND m.level = d.level + 1
