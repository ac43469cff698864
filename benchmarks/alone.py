"""A scan until it is published, without the start of the interpreter and without what is derived.

As a program, `python -m benchmarks.alone CONFIGURATION`: scans the first volume, and prints what that took.
"""

import json
import resource
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.estate import Estate
from benchmarks.measure import Command, Usage, run
from catalog import config, lean


def scan(made: Estate, env: Mapping[str, str] | None = None) -> Usage:
    """Scan the first volume of an estate in a process of its own; all processes that it starts are counted."""
    told = made.folder / "used.json"
    run(Command((sys.executable, "-m", "benchmarks.alone", str(made.folder / "lastcopy.toml")), told, env={**(env or {}), "OPENBLAS_NUM_THREADS": "1"}))
    return Usage(**json.loads(told.read_bytes()))


def main() -> None:
    """Scan the first volume of a configuration, and print what that took as `Usage` has it."""
    from scanners import crawl

    lean.without_pandas()
    declared = config.load(Path(sys.argv[1]))
    wall, cpu = time.perf_counter(), _cpu_seconds()
    crawl.scan(declared.folder / declared.catalog.path, declared, next(iter(declared.volumes)), now=lambda: datetime.now(UTC))
    print(json.dumps({"wall_seconds": time.perf_counter() - wall, "cpu_seconds": _cpu_seconds() - cpu}))


def _cpu_seconds() -> float:
    """Of this process, and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
