-- The sparse files to be read whole, of which next to nothing is stored, that go beyond what is read of such in one run: the smallest first.
SELECT
    volume,
    dir,
    name,
    size_bytes,
    allocated_bytes
FROM (
    SELECT
        volume,
        dir,
        name,
        size_bytes,
        allocated_bytes,
        sum(size_bytes) OVER (ORDER BY size_bytes, volume, dir, name) AS read_bytes
    FROM wanted
    WHERE is_first AND NOT has_failed AND whole AND size_bytes >= $least_bytes AND CAST(allocated_bytes AS HUGEINT) * $fullness < size_bytes
) AS sparse
WHERE read_bytes > $most_bytes
ORDER BY volume, dir, name
