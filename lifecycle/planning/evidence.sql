/* What stands, with the other copies of its content: what earlier jobs made, then what the catalog knows. Names of the file itself are no copies. */
-- It takes the variables of a lambda for tables.
-- noqa: disable=RF01,CP01
SELECT
    s.*,
    list_concat(
        coalesce(s.also, []),
        coalesce(
            list_filter(
                h.holders,
                lambda x: NOT (x.volume = s.volume AND x.path = s.path)
                AND NOT (x.inode IS NOT NULL AND x.inode = s.inode AND x.fs_id IS NOT DISTINCT FROM s.fs_id)
                AND NOT list_contains(
                    list_transform(coalesce(s.also, []), lambda y: struct_pack(volume := y.volume, path := y.path)),
                    struct_pack(volume := x.volume, path := x.path)
                )
            ),
            []
        )
    ) AS evidence
FROM standing AS s
LEFT JOIN holders AS h ON s.sha256 = h.sha256
