"""Derivation, size and summary reports of a hundred million synthetic entries in 8 GB, and of a quarter of them in a quarter of the memory."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import synthetic
from benchmarks.estate import Estate
from benchmarks.measure import CommandError, Usage, run, say
from benchmarks.reading import deriving, reports
from benchmarks.table import Asked, Row, limit, not_measured
from catalog import table
from catalog.schema import DERIVED

ENTRIES, PART_ENTRIES = 100_000_000, 5_000_000
MOST_SECONDS, SUMMARY_SECONDS, MOST_GB, BYTES_AN_ENTRY = 1800, 60, 8, 60
_MEMORY_AN_ENTRY_BYTES = 68  # of DuckDB: with what Python and Arrow take 8 GB for the whole
_BEYOND = 1_000_000_000


@dataclass(frozen=True)
class _Derived:
    """An estate that was derived, and what that took."""

    made: Estate
    entries: int
    used: Usage

    @property
    def bytes_an_entry(self) -> dict[str, float]:
        """Of each table what its files take, without the digests that were read."""
        return {name: sum(os.stat(path).st_size for path in table.files(self.made.root, name)) / self.entries for name in ("entries", *DERIVED)}


def measure(asked: Asked) -> list[Row]:
    """The rows of the derivation, of its memory, of sizes and of each summary, and what ten times as much would take by the slope between two sizes."""
    part, whole = _derived(asked, asked.size(ENTRIES) // 4), _derived(asked, asked.size(ENTRIES))
    over, used = f"{whole.entries:,} synthetic entries", whole.used
    slope = (used.cpu_seconds - part.used.cpu_seconds) / (whole.entries - part.entries)
    beyond = used.cpu_seconds + slope * (_BEYOND - whole.entries)
    note = (
        f"CPU {used.cpu_seconds:,.0f} s; of {part.entries:,} in as much memory an entry {part.used.cpu_seconds:,.0f} s; {slope * 1e6:.1f} µs for each one more,"
        f" so that {_BEYOND:,} would take {beyond / 3600:.1f} hours of CPU"
    )
    sizes = whole.bytes_an_entry
    return [
        limit(f"derivation of {over}, 2 threads", MOST_SECONDS, used.wall_seconds, "s", note, asked=asked),
        limit("likewise: peak memory", MOST_GB, used.peak_bytes / 1e9, "GB", f"{_MEMORY_AN_ENTRY_BYTES} bytes an entry for DuckDB", asked=asked),
        limit(
            f"tables of {over}, without digests",
            BYTES_AN_ENTRY,
            sum(sizes.values()),
            "bytes an entry",
            ", ".join(f"`{name}` {size:.1f}" for name, size in sizes.items() if size >= 0.05),
            asked=asked,
        ),
        *(row for name in reports() for row in _summary(asked, whole.made, name, over)),
    ]


def _derived(asked: Asked, entries: int) -> _Derived:
    """Write an estate of that many entries in place of the one there was, and derive it; its memory is sampled meanwhile."""
    made = Estate(asked.scratch / f"scale-{entries}")
    shutil.rmtree(made.folder, ignore_errors=True)
    written = sum(synthetic.write(made.folder, entries, parts=max(2, entries // PART_ENTRIES)).values())
    file = made.folder / "lastcopy.toml"
    memory = f'memory_limit = "{written * _MEMORY_AN_ENTRY_BYTES >> 20} MiB"'
    file.write_text(file.read_text("utf-8").replace('memory_limit = "4 GiB"', memory), "utf-8")
    used = run(deriving(made.folder), sample_memory=True)
    say(f"derivation of {written:,}: {used.wall_seconds:.0f} s, CPU {used.cpu_seconds:.0f} s, peak memory {used.peak_bytes / 1e9:.2f} GB")
    return _Derived(made, written, used)


def _summary(asked: Asked, made: Estate, name: str, over: str) -> list[Row]:
    """The row of a report, if it has no path in each of its rows: a list is another matter."""
    file: Path = made.folder / f"{name}.parquet"
    try:
        used = run(made.lastcopy("report", name, "--limit", "10000", "--format", "parquet", "--output", str(file)))
    except CommandError as failed:
        return [not_measured(f"report {name} over {over}", "-", "", failed)]
    say(f"report {name}: {used.wall_seconds:.1f} s, CPU {used.cpu_seconds:.1f} s")
    if "path" in pq.read_schema(file).names:
        return []
    return [limit(f"report {name} over {over}", SUMMARY_SECONDS, used.wall_seconds, "s", f"CPU {used.cpu_seconds:.1f} s", asked=asked)]
