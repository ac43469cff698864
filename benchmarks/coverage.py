"""Coverage derived of two million assets and their five million copies, beside a floor: the same entries read, joined once and written."""

import datetime
import shutil
import sys
from pathlib import Path

from benchmarks import synthetic
from benchmarks.estate import Estate
from benchmarks.measure import Command, Usage, interleaved, run, say
from benchmarks.population import below, copy, grow
from benchmarks.reading import deriving
from benchmarks.synthetic import AS_OF, NOW_US, Volume
from benchmarks.table import Asked, Row, limit
from catalog import table
from catalog.schema import DERIVED

ASSETS = 2_000_000
MOST_SECONDS, MOST_GB = 10, 3
_ENTRIES_A_FILE = 1.117  # folders and links lie beside the files
# Of each volume for copies the shares of the files that it lacks and that are older there: together they hold two and a half files an asset.
_MISSING, _OLDER = {"mirror": 0.04, "nightly": 0.08, "tapes": 0.428}, {"mirror": 0.05, "nightly": 0.08, "tapes": 0.2}
_FLOOR = """
import sys, duckdb
entries, files, target = (sys.argv[1].split("|"), sys.argv[2].split("|"), sys.argv[3])
connection = duckdb.connect(config={"threads": 2, "preserve_insertion_order": "false"})
connection.execute(
    "COPY (SELECT e.volume, e.dir, e.name, e.extension, e.size_bytes, e.allocated_bytes, e.modified_at, e.media_type, e.owner, f.*"
    " FROM read_parquet(?, hive_partitioning = true) AS e INNER JOIN ("
    "SELECT volume AS volume_of, entry_id, counted_bytes, last_active_at, data_class, first_seen_at, carried, other_copies, copy_status, signature_no,"
    " verification_level, verified_at FROM read_parquet(?)) AS f ON e.entry_id = f.entry_id AND e.volume = f.volume_of)"
    f" TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)",
    [entries, files],
)
"""
_OF_BOTH = 'of = ["projects", "homes"]\npath_map = { "projects" = "projects:", "homes" = "homes:" }\n'
_CONFIG = (
    synthetic.CONFIG.replace('memory_limit = "4 GiB"', 'memory_limit = "2 GiB"')
    .replace('of = ["projects"]\n', _OF_BOTH)
    .replace('[volumes.vault]\nurl = "/synthetic/vault"\nrole = "archive"\n', f'[volumes.tapes]\nurl = "/synthetic/tapes"\nrole = "backup"\n{_OF_BOTH}')
)


def measure(asked: Asked) -> list[Row]:
    """The rows of time and memory; the floor and the ratio to it are in their notes."""
    made = Estate(asked.scratch / f"coverage-{asked.size(ASSETS)}")
    shutil.rmtree(made.folder, ignore_errors=True)
    entries = sum(write(made.folder, asked.size(ASSETS)).values())
    derive = deriving(made.folder)
    peak = run(derive, sample_memory=True).peak_bytes / 1e9
    used = interleaved({"floor": lambda: run(_floor(made)), "derivation": lambda: _first(made, derive)}, asked.runs)
    ours, floor = used["derivation"], used["floor"]
    over = f"{_count(made, 'files', 'signature_no'):,} assets and {_count(made, 'copies', 'entry_id'):,} copies, 2 threads"
    say(f"coverage of {over}: {ours.wall_seconds:.1f} s, CPU {ours.cpu_seconds:.0f} s, peak memory {peak:.2f} GB")
    note = (
        f"CPU {ours.cpu_seconds:.0f} s; {entries:,} entries read, joined once and written: {floor.wall_seconds:.1f} s, CPU {floor.cpu_seconds:.0f} s,"
        f" which is {ours.cpu_seconds / floor.cpu_seconds:.1f} times less"
    )
    return [
        limit(f"coverage derived of {over}", MOST_SECONDS, ours.wall_seconds, "s", note, asked=asked),
        limit("likewise: peak memory", MOST_GB, peak, "GB", "2 GiB of DuckDB", asked=asked),
    ]


def _first(made: Estate, derive: Command) -> Usage:
    """Derive as if nothing had been derived yet. Deletes what was."""
    for name in (*DERIVED, "snapshots"):
        shutil.rmtree(made.root / name, ignore_errors=True)
    return run(derive)


def _floor(made: Estate) -> Command:
    files = ["|".join(table.files(made.root, name)) for name in ("entries", "files")]
    return Command((sys.executable, "-c", _FLOOR, *files, str(made.folder / "floor.parquet")))


def _count(made: Estate, name: str, column: str) -> int:
    """The rows of a derived table where a column is not null."""
    rows = table.read(made.root, name, [column])
    return int(rows.num_rows - rows[column].null_count)


def write(folder: Path, assets: int, seed: int = 1) -> dict[str, int]:
    """Write a catalog of about that many assets and two and a half times as many copies into a new folder; gives the entries of each volume."""
    return synthetic.write_volumes(folder, _CONFIG, _volumes(int(assets * _ENTRIES_A_FILE), seed), seed)


def _volumes(entries: int, seed: int) -> list[Volume]:
    """Two primaries and three volumes that hold both, each in a folder of its name; the last was scanned a month ago."""
    people = ("ada", "bob", "carla", "dmitri", "eve", "farid", "grace", "heidi")
    kept = {"projects": grow(entries * 2 // 3, NOW_US, seed), "homes": grow(entries // 3, NOW_US, seed + 1, people)}
    night = AS_OF - datetime.timedelta(hours=5)
    made = [Volume(name, tree, night, 0.7, _fs_id(place)) for place, (name, tree) in enumerate(kept.items())]
    for place, name in enumerate(_MISSING, len(kept)):
        copies = {
            of: copy(tree, NOW_US, seed + 2 * place + at, missing=_MISSING[name], older=_OLDER[name], conflict=0.0003)
            for at, (of, tree) in enumerate(kept.items())
        }
        scanned = night - datetime.timedelta(days=30) if name == "tapes" else night + datetime.timedelta(hours=1)
        made.append(Volume(name, below(copies), scanned, 0.7, _fs_id(place)))
    return made


def _fs_id(place: int) -> str:
    return f"6f1c0000-0000-4000-8000-{place + 1:012}"
