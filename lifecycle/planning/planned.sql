/* The steps of a plan, their paths parted, with the digest that is known or stands for one that will be. */
SELECT
    step,
    volume,
    regexp_extract(path, '^.*/') AS dir,
    substring(path, length(regexp_extract(path, '^.*/')) + 1) AS name,
    type,
    size_bytes,
    make_timestamp(modified_ns // 1000) AS modified_at,
    CAST(modified_ns % 1000 AS INTEGER) AS modified_ns,
    link_count,
    sha256,
    target_volume,
    regexp_extract(target_path, '^.*/') AS target_dir,
    substring(target_path, length(regexp_extract(target_path, '^.*/')) + 1) AS target_name,
    regexp_extract(kept_path, '^.*/') AS kept_dir,
    substring(kept_path, length(regexp_extract(kept_path, '^.*/')) + 1) AS kept_name,
    of_job,
    min(step) OVER (PARTITION BY coalesce(link_group, -step)) AS unit,
    coalesce(sha256, unhex(sha256('planned ' || CAST(min(step) OVER (PARTITION BY coalesce(link_group, -step)) AS VARCHAR)))) AS digest
FROM steps
