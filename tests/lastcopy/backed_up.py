"""What tests of backed-up files write, and ask of the real program."""

import os
from pathlib import Path

from tests.lastcopy.program import ask

OLD = 1_600_000_000  # when what is written was modified


def write(path: Path, content: bytes) -> None:
    """A file that was not modified for long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))


def assets(folder: Path) -> dict[str, tuple[str, str, int | None]]:
    """Status, reasons and level of each asset, by path."""
    rows = ask("report", "assets", "--format", "json", folder=folder).data
    return {row["path"]: (row["status"], row["reasons"], row["verification_level"]) for row in rows}
