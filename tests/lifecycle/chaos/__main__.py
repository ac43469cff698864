"""`python -m tests.lifecycle.chaos`: sweeps, and prints the scorecard as Markdown on standard output; talk goes to standard error."""

import argparse
import ctypes
import json
import os
import sys
from pathlib import Path

_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS of unshare(2)
_PRIVATE, _RECURSIVE = 1 << 18, 1 << 14  # MS_PRIVATE, MS_REC of mount(2)


def main() -> int:
    """Run the groups asked for; 1 if anything is not as it must be."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no thread may run where children are forked from
    from tests.lifecycle.chaos import scorecard
    from tests.lifecycle.chaos.suite import GROUPS

    parser = argparse.ArgumentParser(prog="python -m tests.lifecycle.chaos", description="Faults against the real programs.")
    parser.add_argument("--only", action="append", choices=GROUPS, help="one group (may be repeated); default: all")
    parser.add_argument("--short", action="store_true", help="some points of each sweep: what `make check` runs")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    given = parser.parse_args()
    _own_mounts()
    rows = []
    for name in given.only or GROUPS:
        folder = Path("/dev/shm") / f"lastcopy-chaos-{name}-{os.getpid()}"
        for row in GROUPS[name](folder, given.short):
            rows.append(row)
            print(f"{row.sweep}, {row.program}: {row.fired} of {row.chosen} fired, {row.findings} findings, {row.seconds:.0f} s", file=sys.stderr, flush=True)
    print(scorecard.markdown(rows))
    if given.json:
        given.json.write_text(json.dumps([row.plain() for row in rows], indent=1), "utf-8")
    return int(not all(row.well for row in rows))


def _own_mounts() -> None:
    """A mount namespace of our own, so that nobody else keeps our disks busy, and they go with us."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS) or libc.mount(None, b"/", None, _PRIVATE | _RECURSIVE, None):
        raise PermissionError(ctypes.get_errno(), "the sweeps mount file systems of their own: run them as root")


if __name__ == "__main__":
    sys.exit(main())
