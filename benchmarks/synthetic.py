"""Writes a catalog of any size without a file on disk: `python -m benchmarks.synthetic FOLDER --entries 10000000`.

Five volumes (two primaries, a replica, a backup, an offline archive) with duplicates, hard links, stale and missing copies, conflicts, a
folder that could not be read, digests of what could have a copy; the tables `entries`, `digests`, `problems` and `scans`, and `lastcopy.toml`.
"""

import argparse
import datetime
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.population import DAY_US, FILE, FOLDER, LINK, Ints, Population, below, copy, grow, with_content_of
from catalog import hashes, table
from catalog.schema import DIGESTS, ENTRIES, PROBLEMS, SCANS

AS_OF = datetime.datetime(2026, 11, 20, 3, 0)
NOW_US = int(AS_OF.replace(tzinfo=datetime.UTC).timestamp()) * 1_000_000
SHARD_ENTRIES = 250_000
SMALL_BYTES = 65_536  # a file of at most this size is digested whole, without a sample
MODES = np.array([0o100644, 0o040755, 0o120777])
SHARES = {"projects": 0.28, "homes": 0.14, "vault": 0.05}  # of all entries; the mirror and the backup hold the rest

CONFIG = """\
# A made-up estate: no volume of it exists.
[catalog]
path = "catalog"
threads = 2
memory_limit = "4 GiB"

[volumes.projects]
url = "/synthetic/projects"
role = "primary"
system = "nas-1"
site = "paris"
admin = "it-paris"
media = "disk"
access = "online"
cost_per_tib_month = 25.0

[volumes.homes]
url = "/synthetic/homes"
role = "primary"
system = "nas-1"
site = "paris"
admin = "it-paris"
media = "ssd"
access = "online"
cost_per_tib_month = 40.0

[volumes.mirror]
url = "/synthetic/mirror"
role = "replica"
of = ["projects"]
system = "nas-2"
site = "paris"
admin = "it-paris"
media = "disk"
access = "online"
immutability = "none"
cost_per_tib_month = 12.0

[volumes.nightly]
url = "/synthetic/nightly"
role = "backup"
of = ["projects", "homes"]
path_map = { "projects" = "projects:", "homes" = "homes:" }
system = "backup-1"
site = "lyon"
admin = "backup-team"
media = "disk"
access = "online"
immutability = "none"
keeps_versions = "60d"
cost_per_tib_month = 6.0

[volumes.vault]
url = "/synthetic/vault"
role = "archive"
system = "shelf"
site = "basement"
admin = "records-office"
media = "tape"
access = "offline"
keeps_versions = "10y"
cost_per_tib_month = 1.0

[classes.core]
select = "path LIKE 'contracts/%' OR path LIKE 'finance/%'"
copies = 3
systems = 2
sites = 2
offline_or_immutable = 1
max_copy_age = "24h"
min_verification_level = 2
max_verification_age = "90d"
retention = "30d"

[classes.scratch]
select = "path LIKE 'scratch/%'"
waive = ["ransomware", "facility_outage"]

[[labels]]
where = "path LIKE 'contracts/%'"
owner = "legal"
steward = "records-office"
note = "originals are on paper"

[[exceptions]]
where = "path LIKE 'scratch/%'"
reason = "can be recomputed"
owner = "storage-team"
until = 2027-06-30
"""


@dataclass(frozen=True)
class Volume:
    """A volume's entries and how its scan went."""

    name: str
    tree: Population
    scanned: datetime.datetime
    digested: float  # share of its files whose digest was read
    fs_id: str

    @property
    def scan_id(self) -> str:
        """The id of its newest scan."""
        return f"{self.scanned:%Y%m%dT%H%M%S}-{self.name}"


def write(folder: Path, entries: int, seed: int = 1, parts: int = 1) -> dict[str, int]:
    """Write the catalog and `lastcopy.toml` into a new folder; gives the entries of each volume. One seed gives the same estate.

    Of several parts each lies in a folder of its own in every volume, and only one at a time is in memory.
    """
    if parts == 1:
        return write_volumes(folder, CONFIG, _estate(entries, seed), seed)
    return _write(folder, CONFIG, (_estate(entries // parts, seed + 100 * part, part) for part in range(parts)), seed)


def write_volumes(folder: Path, config: str, volumes: Sequence[Volume], seed: int = 1) -> dict[str, int]:
    """Write the catalog of some volumes and the configuration that names them into a new folder; gives the entries of each volume."""
    return _write(folder, config, [volumes], seed)


@dataclass
class _Written:
    """What was written of one volume, and the rows of `scans` and `problems` that say so."""

    entries: list[table.NewFile] = field(default_factory=list)
    digests: list[table.NewFile] = field(default_factory=list)
    scan: dict[str, Any] = field(default_factory=dict)
    problems: list[pa.Table] = field(default_factory=list)


def _write(folder: Path, config: str, parts: Iterable[Sequence[Volume]], seed: int) -> dict[str, int]:
    folder.mkdir(parents=True, exist_ok=False)
    (folder / "lastcopy.toml").write_text(config, "utf-8")
    root = folder / "catalog"
    written: dict[str, _Written] = {}
    for volumes in parts:
        for volume in volumes:
            _write_part(root, volume, written.setdefault(volume.name, _Written()), seed)
    scans: list[dict[str, Any]] = []
    for name, made in written.items():
        scan_id = str(made.scan["scan_id"])
        table.append(root, "problems", pa.concat_tables(made.problems), scan_id, {"scan_id": scan_id, "volume": name})
        table.commit(root, "entries", made.entries, scan_id)
        table.commit(root, "digests", made.digests, scan_id)
        scans.append(made.scan)
        if made.scan["problems"]:
            before = made.scan["started_at"] - datetime.timedelta(days=1)
            earlier = {"scan_id": f"{name}-earlier", "started_at": before, "state": "complete", "carried_entries": 0, "problems": 0}
            whole = {"entries": made.scan["entries"] + made.scan["carried_entries"]}
            scans.append({**made.scan, **earlier, **whole, "finished_at": before + datetime.timedelta(hours=1)})
    table.append(root, "scans", pa.Table.from_pylist(scans, SCANS), "synthetic")
    return {name: made.scan["entries"] + made.scan["carried_entries"] for name, made in written.items()}


def _write_part(root: Path, volume: Volume, made: _Written, seed: int) -> None:
    unreadable = _unreadable(volume)
    partition = {"scan_id": volume.scan_id, "volume": volume.name}
    for at in range(0, len(volume.tree), SHARD_ENTRIES):
        shard, number = volume.tree.rows(slice(at, at + SHARD_ENTRIES)), len(made.entries)
        rows = _entries(volume, shard, number, unreadable)
        made.entries.append(table.write(root, "entries", rows, partition))
        made.digests.append(table.write(root, "digests", _digests(volume, shard, rows, seed + number)))
    made.problems.append(_problems(volume, unreadable))
    scan = _scan(volume, unreadable)
    sums = {name: made.scan.get(name, 0) + scan[name] for name in ("entries", "files", "bytes", "carried_entries", "problems")}
    worse = {"state": "incomplete"} if "incomplete" in (scan["state"], made.scan.get("state")) else {}
    made.scan = {**scan, **sums, **worse}


def _estate(entries: int, seed: int, part: int | None = None) -> list[Volume]:
    """The volumes, or a part of each in a folder of its own; the newest scans are of the night before the as-of time, the archive's is older."""
    projects = grow(int(entries * SHARES["projects"]), NOW_US, seed)
    homes = grow(int(entries * SHARES["homes"]), NOW_US, seed + 1, ("ada", "bob", "carla", "dmitri", "eve", "farid", "grace", "heidi"))
    if part is not None:
        projects, homes = below({f"part-{part:03}": projects}), below({f"part-{part:03}": homes})
    mirror = copy(projects, NOW_US, seed + 2, missing=0.04, older=0.05, conflict=0.0005)
    rest = entries - len(projects) - len(homes) - len(mirror) - int(entries * SHARES["vault"])
    both = np.concatenate([projects.kind, homes.kind])
    held = (rest - int((both == FOLDER).sum())) / int((both != FOLDER).sum())
    missing = 2 - 2 * float(np.sqrt(np.clip(held, 0.05, 0.95)))
    kept = {"projects": projects, "homes": homes}
    nightly = below({name: copy(tree, NOW_US, seed + 3 + at, missing=missing, older=0.08, conflict=0.0002) for at, (name, tree) in enumerate(kept.items())})
    vault = grow(int(entries * SHARES["vault"]), NOW_US - 400 * DAY_US, seed + 6, tuple(f"box-{year}" for year in range(2015, 2023)))
    vault = with_content_of(with_content_of(vault, projects, 0.4, seed), homes, 0.1, seed)
    if part is not None:
        vault = below({f"part-{part:03}": vault})
        nightly = nightly.rows(slice(len(kept) if part else 0, None))  # the folders that it holds them in are of the first part
        projects, homes, mirror, nightly, vault = (replace(t, inode=t.inode + (part << 28)) for t in (projects, homes, mirror, nightly, vault))
    night = AS_OF - datetime.timedelta(hours=5)
    return [
        Volume("projects", projects, night, 0.7, "6f1c0000-0000-4000-8000-000000000001"),
        Volume("homes", homes, night + datetime.timedelta(minutes=30), 0.6, "6f1c0000-0000-4000-8000-000000000002"),
        Volume("mirror", mirror, night + datetime.timedelta(minutes=60), 0.6, "6f1c0000-0000-4000-8000-000000000003"),
        Volume("nightly", nightly, night + datetime.timedelta(minutes=90), 0.8, "6f1c0000-0000-4000-8000-000000000004"),
        Volume("vault", vault, night - datetime.timedelta(days=60), 1.0, "6f1c0000-0000-4000-8000-000000000005"),
    ]


def _unreadable(volume: Volume) -> str | None:
    """The folder that the newest scan of 'homes' could not read, a large one deep down: its entries are carried over."""
    if volume.name != "homes":
        return None
    tree = volume.tree
    deep = np.array(pc.count_substring(tree.paths, "/")) >= 3
    held = np.bincount(tree.folder, minlength=len(tree.paths))
    return str(tree.paths[int(np.argmax(held * deep))])


def _entries(volume: Volume, shard: Population, number: int, unreadable: str | None) -> pa.Table:
    """Rows of `entries`, sorted by dir and name."""
    order = np.array(pc.sort_indices(pa.table({"dir": shard.folder, "name": shard.names}), [("dir", "ascending"), ("name", "ascending")]))
    shard = shard.rows(order)
    used, index = np.unique(shard.folder, return_inverse=True)
    dirs = pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), volume.tree.paths.take(pa.array(used)))
    paths = pc.binary_join_element_wise(dirs.cast(pa.string()), shard.names, "")
    ending = pc.struct_field(pc.extract_regex(shard.names, r"^.+\.(?P<e>[^.]+)$"), "e")
    ns = (shard.modified * 7919) % 1000 * (shard.modified % 1_000_000 != 0)
    carried = pc.if_else(pc.starts_with(paths, unreadable), f"{volume.name}-earlier", None) if unreadable else None
    columns: dict[str, Any] = {
        "entry_id": number * 2**32 + np.arange(len(shard)),
        "dir": dirs,
        "name": shard.names,
        "path_hash": _hashes(paths),
        "extension": ending,
        "type": pa.array(["file", "dir", "symlink"]).take(pa.array(shard.kind)),
        "size_bytes": shard.size,
        "allocated_bytes": (shard.size + 4095) // 4096 * 4096,
        "modified_at": pa.array(shard.modified, pa.timestamp("us")),
        "accessed_at": pa.array(shard.accessed, pa.timestamp("us")),
        "changed_at": pa.array(shard.changed, pa.timestamp("us")),
        "created_at": pa.array(shard.created, pa.timestamp("us")),
        "modified_ns": ns,
        "changed_ns": ns,
        "time_flags": np.zeros(len(shard), np.int32),
        "owner": pa.array([f"user{n:02}" for n in range(40)]).take(pa.array(shard.user)),
        "group": pa.array([f"team{n}" for n in range(8)]).take(pa.array(shard.user % 8)),
        "uid": shard.user + 1000,
        "gid": shard.user % 8 + 2000,
        "mode": MODES[shard.kind],
        "fs_id": pa.repeat(volume.fs_id, len(shard)),
        "inode": shard.inode,
        "link_count": shard.links,
        "link_target": pc.if_else(pa.array(shard.kind == LINK), "../target/of-the-link.txt", None),
        "carried_from": carried,
    }
    arrays = [_column(columns.get(field.name), field.type, len(shard)) for field in ENTRIES]
    return pa.table(arrays, schema=ENTRIES)


def _digests(volume: Volume, shard: Population, rows: pa.Table, seed: int) -> pa.Table:
    """Rows of `digests` for a share of a shard's files: mostly under the entry's own fingerprint, some read before it changed, some samples only."""
    order = np.array(pc.sort_indices(pa.table({"dir": shard.folder, "name": shard.names}), [("dir", "ascending"), ("name", "ascending")]))
    rng = np.random.default_rng(seed)
    # One draw an inode: every name of a file that was read shows its digest.
    read = (shard.inode * 2654435761 % 1_000_003) / 1_000_003 < volume.digested
    chosen = np.flatnonzero(((shard.kind == FILE) & (shard.size > 0) & read)[order])
    first = np.sort(np.unique(shard.inode[order][chosen], return_index=True)[1])
    chosen = chosen[first]
    content, size = shard.content[order][chosen], shard.size[order][chosen]
    draw = rng.random(len(chosen))
    sampled = pa.array((draw > 0.97) & (size > SMALL_BYTES))
    read_at = NOW_US - rng.integers(0, 80 * DAY_US, len(chosen))
    kept = rows.take(pa.array(chosen))
    changed = pc.cast(kept["changed_at"], pa.int64()).combine_chunks()
    columns: dict[str, Any] = {name: kept[name] for name in DIGESTS.names if name in ENTRIES.names}
    columns |= {
        "volume": pa.repeat(volume.name, len(chosen)),
        "scan_id": pa.repeat(volume.scan_id, len(chosen)),
        "changed_at": pa.array(np.where(draw < 0.02, np.array(changed) - DAY_US, np.array(changed)), pa.timestamp("us")),
        "digest": pc.if_else(sampled, None, _digest(content)),
        "sample": pc.if_else(pa.array(size > SMALL_BYTES), _digest(content + (1 << 60)), None),
        "read_started_at": pa.array(read_at - 1000 - size // 500, pa.timestamp("us")),
        "digested_at": pa.array(read_at, pa.timestamp("us")),
        "bytes_read": np.where(np.array(sampled.to_numpy(zero_copy_only=False)), 8192, size),
    }
    return pa.table([_column(columns[field.name], field.type, len(chosen)) for field in DIGESTS], schema=DIGESTS)


def _problems(volume: Volume, unreadable: str | None) -> pa.Table:
    rows = [{"path": unreadable.rstrip("/"), "stage": "list", "error": "Permission denied", "errno": 13, "hides_below": True}] if unreadable else []
    return pa.Table.from_pylist([{**row, "seen_at": volume.scanned} for row in rows], PROBLEMS)


def _scan(volume: Volume, unreadable: str | None) -> dict[str, Any]:
    tree = volume.tree
    files = tree.kind == FILE
    once = np.unique(tree.inode[files], return_index=True)[1]
    below_it = np.array(pc.starts_with(tree.paths, unreadable))[tree.folder] if unreadable else np.zeros(len(tree), np.bool_)
    hidden, hidden_files = int(below_it.sum()), int((below_it & files).sum())
    return {
        "scan_id": volume.scan_id,
        "volume": volume.name,
        "kind": "posix",
        "state": "incomplete" if unreadable else "complete",
        "started_at": volume.scanned,
        "finished_at": volume.scanned + datetime.timedelta(seconds=len(tree) // 200_000 + 1),
        "entries": len(tree) - hidden,
        "files": int(files.sum()) - hidden_files,
        "bytes": int(tree.size[files][once].sum()),
        "carried_entries": hidden,
        "problems": int(unreadable is not None),
        "excluded": 0,
        "root_fs_id": volume.fs_id,
        "device": f"disk-of-{volume.name}",
        "clock": "accessed" if volume.name in {"projects", "homes"} else "modified",
        "capacity_bytes": 200 << 40,
        "free_bytes": 80 << 40,
        "host": "synthetic",
        "lastcopy_version": "0.1.0",
        "options": "{}",
    }


def _hashes(paths: pa.Array) -> Ints:
    """The hash of every path. The made-up names need no escape, so the text is the raw path."""
    return np.fromiter(map(hashes.of_path, paths.cast(pa.binary()).to_pylist()), np.int64, len(paths))


def _digest(content: Ints) -> pa.Array:
    """32 bytes for every content: four rounds of splitmix64 (Steele, Lea and Flood, 2014)."""
    words = np.empty((len(content), 4), np.uint64)
    for column in range(4):
        mixed = content.astype(np.uint64) * np.uint64(4) + np.uint64(column)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        words[:, column] = mixed ^ (mixed >> np.uint64(31))
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(content), [None, pa.py_buffer(words.tobytes())])
    return fixed.cast(pa.binary())


def _column(values: "pa.Array | npt.NDArray[Any] | None", wanted: pa.DataType, count: int) -> pa.Array:
    """Values as an array of the schema's type; None is all nulls."""
    if values is None:
        return pa.nulls(count, wanted)
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values if isinstance(values, pa.Array) else pa.array(values)
    if pa.types.is_dictionary(wanted) and not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array.cast(wanted)


def main() -> None:
    """Write a catalog into FOLDER and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthetic", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", type=int, default=1, help="make the estate of so many, one beside the other, with one at a time in memory")
    given = parser.parse_args()
    began = time.perf_counter()
    counts = write(given.folder, given.entries, given.seed, given.parts)
    said = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    print(f"{given.folder}: {sum(counts.values()):,} entries ({said}) in {time.perf_counter() - began:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
