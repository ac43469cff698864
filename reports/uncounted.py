"""Files of other volumes that hold an asset's content and count for nothing: where it can be rescued from, and why that is no protection."""

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog.fingerprints import OF_ENTRY
from catalog.volumes import path_of
from reports.state import age, day

if TYPE_CHECKING:
    import duckdb

MOST = 20
_READ = f"""
WITH itself AS (SELECT * FROM entries WHERE volume = $volume AND entry_id = $entry_id AND size_bytes > 0),

read_of_it AS (SELECT arg_max(d.digest, d.digested_at) AS digest FROM digests AS d INNER JOIN itself AS e ON {OF_ENTRY} WHERE d.digest IS NOT NULL),

-- What a storage says of a file holds where nobody read it: what was read last, of it and of the others, says more.
content AS (SELECT coalesce(r.digest, e.digest) AS digest FROM itself AS e CROSS JOIN read_of_it AS r),

told AS (
    SELECT DISTINCT d.* FROM digests AS d WHERE d.volume <> $volume AND d.digest IN (SELECT digest FROM content WHERE digest IS NOT NULL)
),

alike AS (
    SELECT DISTINCT e.* FROM entries AS e INNER JOIN told AS d ON {OF_ENTRY}
    UNION
    SELECT * FROM entries WHERE volume <> $volume AND digest IN (SELECT digest FROM content WHERE digest IS NOT NULL)
),

-- A name shows its latest version alone, and a volume within another shows the very file.
perhaps AS (
    SELECT a.*
    FROM alike AS a
    ANTI JOIN itself AS i ON a.fs_id = i.fs_id AND a.inode = i.inode
    WHERE
        a.type IN ('file', 'object')
        AND a.is_latest IS DISTINCT FROM FALSE
        AND a.carried_from IS NULL
        AND NOT starts_with(a.dir, '.lastcopy/')
        AND NOT contains(a.dir, '/.lastcopy/')
),

last_read AS (
    SELECT
        e.volume,
        e.entry_id,
        arg_max(d.digest, d.digested_at) AS digest,
        max(d.digested_at) FILTER (d.digest IS NOT NULL) AS read_at,
        max(d.digested_at) FILTER (d.digest IS NULL AND d.sample IS NULL) AS failed_at
    FROM perhaps AS e
    INNER JOIN digests AS d ON {OF_ENTRY}
    GROUP BY e.volume, e.entry_id
),

held AS (
    SELECT e.volume, e.path, coalesce(r.digest, e.digest) AS digest, r.read_at
    FROM perhaps AS e
    LEFT JOIN last_read AS r ON e.volume = r.volume AND e.entry_id = r.entry_id
    WHERE r.failed_at IS NULL OR r.failed_at < r.read_at
)

SELECT h.volume, h.path, max(h.read_at) AS read_at
FROM held AS h
INNER JOIN content AS c ON h.digest = c.digest
GROUP BY h.volume, h.path
ORDER BY h.volume, h.path
"""  # no text of a user


@dataclass(frozen=True)
class Uncounted:
    """A file with the content; `read_at` is null where only its storage says so."""

    volume: str
    path: str
    read_at: datetime.datetime | None
    why: str

    def lines(self, as_of: datetime.datetime) -> list[str]:
        """For people, at the time of the snapshot."""
        known = f"read {day(self.read_at)} ({age(self.read_at, as_of)} before the snapshot)" if self.read_at else "by its storage's word"
        return [f"{self.volume}:{self.path}", f"  {known}; does not count: {self.why}"]


def not_counting(
    connection: "duckdb.DuckDBPyConnection", row: Mapping[str, Any], volumes: Mapping[str, Mapping[str, Any]], counted: Collection[str]
) -> tuple[Uncounted, ...]:
    """Those of volumes that are not among `counted`, at most MOST, in the order of their names. `row` is the asset's of `files`."""
    found = connection.execute(_READ, {key: row[key] for key in ("volume", "entry_id")}).fetchall()
    others = [one for one in found if one[0] not in counted][:MOST]
    meant = {name for (name,) in connection.execute("SELECT DISTINCT copy_volume FROM preservation_places WHERE volume = ?", [row["volume"]]).fetchall()}
    return tuple(Uncounted(volume, path, read_at, _why(volumes[row["volume"]], volumes[volume], meant)) for volume, path, read_at in others)


def _why(asset: Mapping[str, Any], other: Mapping[str, Any], meant: Collection[str]) -> str:
    places = [path_of(volume["url"]).rstrip("/") + "/" for volume in (asset, other)] if asset["kind"] == other["kind"] else []
    if places and (places[0].startswith(places[1]) or places[1].startswith(places[0])):
        return f"one of the volumes {asset['volume']} and {other['volume']} lies in the other"
    if other["volume"] in meant:
        return "the snapshot does not take it for a copy"
    why = f"{'it is primary itself, and ' if other['role'] == 'primary' else ''}its 'of' does not name {asset['volume']}"
    shared = [f"{word} {name}" for word in ("system", "site") for name in sorted({*asset[f"{word}s"]} & {*other[f"{word}s"]})]
    return why + (f"; it shares {', '.join(shared)}" if shared else "")
