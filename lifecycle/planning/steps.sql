/* The steps in the order of the acts: by volume and directory; all names of a file together, files that share a keeper together. */
SELECT
    CAST($action AS VARCHAR) AS action,
    volume,
    path,
    type,
    size_bytes,
    modified_ns,
    fs_id,
    inode,
    created_ns,
    changed_ns,
    link_count,
    sha256,
    target_volume,
    target_path,
    CASE WHEN names > 1 THEN unit END AS link_group,
    kept_path,
    of_job,
    of_step,
    reason,
    evidence,
    CASE WHEN id = unit THEN allocated_bytes ELSE 0 END * cost_per_tib_month / 1099511627776.0 AS cost_per_month,
    unit
FROM (
    SELECT
        e.*,
        v.cost_per_tib_month,
        coalesce(e.kept_path, min(e.path) OVER (PARTITION BY e.unit)) AS first_path
    FROM evidence AS e
    LEFT JOIN volumes AS v ON e.volume = v.volume
) AS ordered
ORDER BY
    volume ASC,
    target_volume ASC,
    regexp_extract(first_path, '^.*/') ASC,
    first_path ASC,
    unit ASC,
    path ASC
