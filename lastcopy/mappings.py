"""Proposes the `path_map` of a backup: where the files of a primary volume lie in it, by names and sizes that both have."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import scanners
from catalog import domains, snapshot
from catalog.config import Config
from catalog.snapshot import ScanRow
from lastcopy.diagnosis import Remark

_LOOKED_AT = 1_000  # files of a primary volume
_FEW = 3
_LEAST_PCT = 5
_MEMORY = "200MB"
_OVERLAP = """
WITH looked_at AS (
    SELECT dir || name AS path, name, size_bytes FROM read_parquet($primary, hive_partitioning = false)
    WHERE type IN ('file', 'object') AND size_bytes > 0 ORDER BY path_hash, dir, name LIMIT $most
),

found AS (
    SELECT DISTINCT looked_at.path, substr(held.dir || held.name, 1, length(held.dir || held.name) - length(looked_at.path)) AS prefix
    FROM read_parquet($backup, hive_partitioning = false) AS held
    INNER JOIN looked_at ON held.name = looked_at.name AND held.size_bytes = looked_at.size_bytes
    WHERE held.type IN ('file', 'object') AND ends_with('/' || held.dir || held.name, '/' || looked_at.path)
)

SELECT prefix, count(*), (SELECT count(*) FROM looked_at) FROM found GROUP BY prefix ORDER BY count(*) DESC, length(prefix), prefix LIMIT 1
"""


def look(root: Path, config: Config, wanted: Sequence[str], newest: Mapping[str, ScanRow]) -> list[Remark]:
    """Remarks on the backups among some volumes whose `path_map` says nothing of a primary volume that they hold files of. Reads the catalog only."""
    found = []
    for backup in wanted:
        if backup not in newest or not _is_of_paths(config.volumes[backup].kind):
            continue
        told = {target.partition(":")[0] for target in config.volumes[backup].path_map.values()}
        for primary, volume in config.volumes.items():
            if volume.role == "primary" and primary in newest and primary not in told and backup in domains.protectors(config, primary):
                found += _remark(root, newest[primary], newest[backup])
    return found


def _is_of_paths(kind: str) -> bool:
    """Whether volumes of a kind have the paths that somebody else gave."""
    able = scanners.load(kind).CAPABILITIES
    return bool(able.recovery_points or able.told)


def _remark(root: Path, primary: ScanRow, backup: ScanRow) -> list[Remark]:
    """What to write into the `path_map` of a backup for a primary volume; nothing where they hardly overlap, or their paths are equal."""
    import duckdb

    files = {role: snapshot.entry_files(root, scan.scan_id, scan.volume) for role, scan in (("primary", primary), ("backup", backup))}
    if not all(files.values()):
        return []
    with duckdb.connect(config={"memory_limit": _MEMORY, "threads": 2}) as connection:
        rows = connection.execute(_OVERLAP, {**files, "most": _LOOKED_AT}).fetchall()
    if not rows or rows[0][1] < _FEW or rows[0][1] * 100 < rows[0][2] * _LEAST_PCT:
        return []
    prefix, overlap, looked_at = rows[0]
    if not prefix:
        return []
    text = f"{overlap} of {looked_at} files of {primary.volume} that were looked at lie below /{prefix} in it, and its path_map does not say so"
    key = f'"/{prefix.rstrip("/")}"' if prefix.isprintable() and not set(prefix) & {'"', "\\"} else "that folder"
    return [Remark(backup.volume, "path_map", "warning", text, f'path_map = {{ {key} = "{primary.volume}:" }}')]
