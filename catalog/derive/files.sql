/* One row a regular file of the snapshot: what its entry does not say, and the columns of it that reports read. */
SELECT
    e.volume,
    e.entry_id,
    e.dir,
    e.name,
    e.extension,
    e.size_bytes,
    CASE WHEN o.counted THEN coalesce(e.size_bytes, 0) ELSE 0 END AS counted_bytes,
    e.allocated_bytes,
    e.modified_at,
    CASE -- a use at an unknown time: never dormant
        WHEN e.trusted_modified_at IS NULL OR (f.clock = 'accessed' AND o.accessed_at IS NULL) THEN NULL
        WHEN f.clock = 'accessed' THEN greatest(o.accessed_at, e.trusted_modified_at)
        ELSE e.trusted_modified_at
    END AS last_active_at,
    e.media_type,
    e.owner AS file_owner,
    e.label_owner,
    e.label_steward AS steward,
    e.label_note AS note,
    c.data_class,
    o.first_seen_at,
    e.carried_from IS NOT NULL AS carried,
    o.other_copies,
    o.copy_status,
    o.signature_no,
    o.level AS verification_level,
    o.verified_at
FROM labelled AS e
INNER JOIN outcomes AS o ON e.v = o.v AND e.entry_id = o.entry_id
INNER JOIN volume_facts AS f ON e.v = f.v
INNER JOIN class_facts AS c ON e.class_no = c.class_no
