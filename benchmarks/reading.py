"""The derivation and every report over a synthetic catalog of ten million entries, in two threads and 4 GB."""

import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import synthetic
from benchmarks.estate import Estate
from benchmarks.measure import Command, CommandError, interleaved, run, say
from benchmarks.table import Asked, Row, limit, not_measured

ENTRIES = 10_000_000
FIRST_ROWS = 10_000
SUMMARY_SECONDS, FIRST_SECONDS, WHOLE_SECONDS, DERIVATION_SECONDS = 2, 5, 30, 120
_DERIVE = """
import sys, datetime
from pathlib import Path
from catalog import config, derive
folder, as_of = Path(sys.argv[1]), datetime.datetime.fromisoformat(sys.argv[2])
derive.derive(folder / "catalog", config.load(folder / "lastcopy.toml"), as_of)
"""


def measure(asked: Asked) -> list[Row]:
    """The rows of the derivation and of reports."""
    made, entries, derive = written(asked)
    over = f"{entries:,} synthetic entries"
    used = run(derive, sample_memory=True)
    note = f"2 threads; CPU {used.cpu_seconds:.0f} s, peak memory {used.peak_bytes / 1e6:,.0f} MB"
    say(f"derivation: {used.wall_seconds:.1f} s, {note}")
    rows = [limit(f"derivation over {over}", DERIVATION_SECONDS, used.wall_seconds, "s", note, asked=asked)]
    for name in reports():
        try:
            rows += _report(asked, made, name, over)
        except CommandError as failed:
            rows.append(not_measured(f"report {name} over {over}", "-", "", failed))
    return rows


def derived(asked: Asked) -> tuple[Estate, int]:
    """A synthetic estate that is derived, in place of the one there was, and the number of its entries."""
    made, entries, derive = written(asked)
    run(derive)
    return made, entries


def written(asked: Asked) -> tuple[Estate, int, Command]:
    """A synthetic estate, in place of the one there was, the number of its entries, and what derives it."""
    made = Estate(asked.scratch / f"synthetic-{asked.size(ENTRIES)}")
    shutil.rmtree(made.folder, ignore_errors=True)
    entries = sum(synthetic.write(made.folder, asked.size(ENTRIES)).values())
    return made, entries, deriving(made.folder)


def deriving(folder: Path) -> Command:
    """What derives a synthetic estate."""
    return Command((sys.executable, "-c", _DERIVE, str(folder), synthetic.AS_OF.isoformat()))


def reports() -> list[str]:
    """Every report, by its file."""
    from reports import __path__ as folders

    return sorted(path.stem.replace("_", "-") for folder in folders for path in Path(folder).glob("*.sql"))


def _report(asked: Asked, made: Estate, name: str, over: str) -> list[Row]:
    """A summary's time, or a list's: its first rows as JSON lines and the whole as Parquet. A list is a report with a path in each row."""
    whole = made.folder / f"{name}.parquet"
    written = made.lastcopy("report", name, "--limit", "0", "--format", "parquet", "--output", str(whole))
    shown = made.lastcopy("report", name, "--limit", str(FIRST_ROWS), "--format", "jsonl", output=made.folder / f"{name}.jsonl")
    say(f"report {name}")
    used = interleaved({"first rows": lambda: run(shown), "whole": lambda: run(written)}, asked.runs)
    count = pq.ParquetFile(whole).metadata.num_rows
    first, all_rows = used["first rows"].wall_seconds, used["whole"].wall_seconds
    cpu = {title: f"CPU {usage.cpu_seconds:.2f} s" for title, usage in used.items()}
    if "path" not in pq.read_schema(whole).names:
        return [limit(f"report {name} over {over}", SUMMARY_SECONDS, max(first, all_rows), "s", f"{count:,} rows, {cpu['first rows']}", asked=asked)]
    return [
        limit(f"report {name} over {over}: first {FIRST_ROWS:,} rows", FIRST_SECONDS, first, "s", f"of {count:,} rows, {cpu['first rows']}", asked=asked),
        limit(f"report {name} over {over}: whole to Parquet", WHOLE_SECONDS, all_rows, "s", f"{count:,} rows, {cpu['whole']}", asked=asked),
    ]
