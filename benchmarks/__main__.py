"""`python -m benchmarks`: measures, and prints the table as Markdown on standard output; talk goes to standard error."""

import argparse
import datetime
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import buckets, coverage, duplicates, lifecycle, memory, pages, reading, repositories, scale, scanning, serving, transfers
from benchmarks.built import MissingToolError
from benchmarks.estate import VoidError
from benchmarks.measure import CommandError, say
from benchmarks.table import Asked, Row, as_json, as_markdown, not_measured
from benchmarks.trees import NoRoomError

SCRATCH = Path("/var/tmp/lastcopy-bench")
_DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_CASES: dict[str, Callable[[Asked], list[Row]]] = {
    "scan": scanning.measure,
    "catalogers": scanning.measure_catalogers,
    "duplicates": duplicates.measure,
    "memory": memory.measure,
    "reports": reading.measure,
    "repositories": repositories.measure,
    "coverage": coverage.measure,
    "lifecycle": lifecycle.measure,
    "buckets": buckets.measure,
    "transfers": transfers.measure,
    "pages": pages.measure,
    "api": serving.measure,
    "scale": scale.measure,
}
_ONLY_BY_NAME = {"scale"}  # takes hours, and some 40 GB


def main() -> int:
    """Run the cases asked for; 1 if one broke down or missed its target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios against peers and floors, all in this run.")
    parser.add_argument("--only", action="append", choices=_CASES, help="one case (may be repeated); default: all but scale")
    parser.add_argument("--tree", type=Path, help="scan this tree in place of the made ones (scan, duplicates)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each contender, interleaved; the median counts (default 3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of every size: shows that it works, meets no target")
    parser.add_argument("--scratch", type=Path, default=SCRATCH, help=f"where trees and catalogs are made and kept (default {SCRATCH})")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--document", action="store_true", help="put the table into docs/benchmarks.md too")
    given = parser.parse_args()
    given.scratch.mkdir(parents=True, exist_ok=True)
    asked = Asked(given.scratch.resolve(), given.tree.resolve() if given.tree else None, given.runs, given.quick)
    rows: list[Row] = []
    for name in given.only or [name for name in _CASES if name not in _ONLY_BY_NAME]:
        say(f"== {name}")
        rows += _case(name, asked)
    print(as_markdown(rows))
    if given.json:
        given.json.write_text(as_json(rows), "utf-8")
    if given.document:
        _document(as_markdown(rows))
    return int(any(row.met is False or row.measured == "not measured" for row in rows))


def _document(text: str) -> None:
    kept, heading, _ = _DOCUMENT.read_text("utf-8").partition("## Last measured\n")
    _DOCUMENT.write_text(f"{kept}{heading}\n{datetime.datetime.now(datetime.UTC):%Y-%m-%d}\n\n{text}\n", "utf-8")


def _case(name: str, asked: Asked) -> list[Row]:
    """The rows of a case; a case that breaks down is a row that says why, so that the others are still measured."""
    try:
        return _CASES[name](asked)
    except (MissingToolError, VoidError, CommandError, NoRoomError, OSError, subprocess.SubprocessError) as error:
        say(f"  {name} broke down: {error}")
        return [not_measured(name, "-", "", f"{type(error).__name__}: {error}")]


if __name__ == "__main__":
    sys.exit(main())
