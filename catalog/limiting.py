"""The views of a reader's connection, cut to what one person may see: rows of others are not there, totals are counted anew from his."""

from typing import TYPE_CHECKING

from catalog import derive
from catalog.sight import Sight, listed

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Of a copy by its worst asset, which may lie where he does not see it.
_FILES = "SELECT * REPLACE (CAST(NULL AS VARCHAR) AS copy_status) FROM ({query}) WHERE {files}"
# Of a stub that leads to what he does not see, not where.
_ENTRIES = """
SELECT * REPLACE (CASE WHEN NOT {leads_out} THEN link_target END AS link_target, CASE WHEN NOT {leads_out} THEN tags END AS tags) FROM ({query}) WHERE {files}
"""
# How many files of a volume hold a content is not told of one of which a part is seen.
_COPIES = "SELECT * REPLACE (CASE WHEN copy_volume IN ({cut}) THEN 1 ELSE files END AS files) FROM ({query}) WHERE {files} AND {copies}"
_GROUPS = """
SELECT * EXCLUDE (members_seen) REPLACE (members_seen AS members, (members_seen - 1) * size_bytes AS reclaimable_bytes)
FROM (SELECT *, count(*) OVER (PARTITION BY "scope", digest) AS members_seen FROM ({query}) WHERE {files})
WHERE members_seen > 1
"""
# What is in the place of a file's home is not told to who does not see that place.
_ORPHANS = "SELECT * FROM ({query}) WHERE {files} AND (home_volume IS NULL OR {homes})"
_ELSEWHERE = """
SELECT volume, entry_id, count(DISTINCT copy_volume) AS copies FROM ({query}) WHERE is_current AND {files} AND NOT {copies} GROUP BY volume, entry_id
"""
# What is stored of whole volumes; of parts, sums over the files that are seen.
_HISTORY = """
SELECT * FROM ({query}) WHERE volume IN ({whole})
UNION ALL BY NAME
SELECT seen.*, snapshot.snapshot_id FROM ({sums}) AS seen CROSS JOIN snapshot WHERE seen.volume IN ({cut})
"""
_ROLLUP = """
SELECT * FROM ({query}) WHERE volume IN ({whole}) OR ("by" = 'folder' AND {folders})
UNION ALL BY NAME
SELECT seen.*, CAST(0 AS INTEGER) AS depth FROM ({sums}) AS seen WHERE seen.volume IN ({cut})
"""
_GROUPINGS = "(SELECT unnest(['owner', 'extension', 'media_type', 'age']) AS by) AS g"
# What is told of a volume as a whole is not told to who sees a part of it: nor how a backup maps paths, and what it leaves out.
_TABLES = """
CREATE TABLE sight AS SELECT unnest([{parts}]) AS part;
DELETE FROM volumes WHERE volume NOT IN ({volumes});
UPDATE volumes SET
    perhaps_with = list_filter(perhaps_with, lambda other: other IN ({volumes})),
    key_on = list_filter(key_on, lambda other: other IN ({volumes}));
UPDATE volumes SET
    capacity_bytes = NULL, free_bytes = NULL, carried_entries = NULL, problems = NULL,
    last_error = CASE WHEN last_error IS NOT NULL THEN 'its newest scan failed' END,
    entries = (SELECT count(*) FROM entries AS e WHERE e.volume = volumes.volume),
    files = (SELECT count(*) FROM stored_files AS f WHERE f.volume = volumes.volume),
    bytes = (SELECT coalesce(sum(f.counted_bytes), 0) FROM stored_files AS f WHERE f.volume = volumes.volume)
WHERE volume IN ({cut});
DELETE FROM scans WHERE volume NOT IN ({volumes});
UPDATE scans SET
    entries = NULL, files = NULL, bytes = NULL, carried_entries = NULL, problems = NULL, excluded = NULL, capacity_bytes = NULL, free_bytes = NULL,
    error = CASE WHEN error IS NOT NULL THEN 'it failed' END, options = NULL
WHERE volume IN ({cut});
UPDATE snapshots SET complete = NULL;
UPDATE snapshot SET complete = (SELECT coalesce(bool_and(state = 'complete'), FALSE) FROM volumes);
DELETE FROM classes WHERE data_class <> 'default' AND data_class NOT IN (SELECT data_class FROM stored_files WHERE data_class IS NOT NULL);
DELETE FROM controls WHERE data_class NOT IN (SELECT data_class FROM classes);
DELETE FROM exceptions;
DELETE FROM mappings WHERE copy_volume NOT IN ({whole}) OR NOT {folders};
DELETE FROM preservation_places WHERE volume NOT IN ({volumes}) OR copy_volume NOT IN ({volumes});
DELETE FROM omissions WHERE copy_volume NOT IN ({whole}) OR volume NOT IN ({volumes});
"""


_SEEN = "SELECT * FROM ({query}) WHERE {files}"
_CUT = {
    "entries": _ENTRIES,
    "digests": _SEEN,
    "stored_files": _FILES,
    "copies": _COPIES,
    "elsewhere": _ELSEWHERE,
    "duplicate_groups": _GROUPS,
    "orphans": _ORPHANS,
    "problems": "SELECT * FROM ({query}) WHERE {problems}",
    "stored_verdicts": "SELECT * REPLACE (CAST(NULL AS VARCHAR) AS unseen) FROM ({query})",
    "recovery_points": "SELECT * FROM ({query}) WHERE volume IN ({whole})",  # of a backup as a whole: who sees a part is told none
    "verifications": "SELECT * FROM ({query}) WHERE volume IN ({whole})",  # likewise
    "history": _HISTORY,
    "rollup": _ROLLUP,
}
_SUMS = {"history": "history", "rollup": "key_sums"}  # the steps of the derivation that count anew


def view(name: str, query: str, sight: Sight) -> str:
    """The query of a stored view, cut. `stored_verdicts` names no file, and no volume once `unseen` is taken out."""
    base = name.removesuffix("_before")
    if base not in _CUT:
        return query
    sums = derive.sql(_SUMS[base]) if base in _SUMS else ""
    files = f"({derive.sql('file_sums')}) AS f"
    for made, stored in (("file_sums AS f", files), ("volume_facts", "volumes"), ("this_snapshot", "snapshot"), ("groupings AS g", _GROUPINGS)):
        sums = sums.replace(made, stored)
    conditions = {"files": sight.files(), "copies": sight.files("copy_volume", "copy_dir"), "problems": sight.problems(), "folders": sight.folders()}
    conditions["homes"] = sight.files("home_volume", "home_dir")
    conditions["leads_out"] = _leads_out(sight)
    return _CUT[base].format(query=query, sums=sums, whole=listed(sight.whole), cut=listed(sight.cut), **conditions)


def _leads_out(sight: Sight) -> str:
    """The SQL condition on entries: stubs of which the target is not to be seen."""
    path = "substr(link_target, length(split_part(link_target, ':', 1)) + 2)"
    seen = sight.files("split_part(link_target, ':', 1)", f"regexp_extract({path}, '^.*/', 0)")
    return f"(type = 'file' AND storage_class = 'stub' AND NOT coalesce({seen}, FALSE))"


def tables(connection: "DuckDBPyConnection", sight: Sight) -> None:
    """Cut the small tables of a connection that has its views. Changes them."""
    names = {"volumes": listed(sight.volumes), "whole": listed(sight.whole), "cut": listed(sight.cut)}
    connection.execute(_TABLES.format(parts=listed(sight.parts), folders=sight.around(), **names))
