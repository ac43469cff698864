"""Data on stdout or into a file: rows of a command's own, in every format."""

import json
import sys
from collections.abc import Mapping, Sequence

from lastcopy.settings import Settings


def rows(chosen: Settings, name: str, found: Sequence[Mapping[str, object]], *, complete: bool) -> None:
    """Print rows."""
    if chosen.chosen_format == "json":
        json.dump({"schema": f"{name}/1", "complete": complete, "data": [dict(r) for r in found], "warnings": []}, sys.stdout, indent=2, default=str)
    else:
        for row in found:
            print("  ".join(map(str, row.values())))
