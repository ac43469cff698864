"""Messages in JSON, a line each, among whatever else a program wrote."""

import json
from collections.abc import Iterator
from typing import Any


def read(output: str) -> Iterator[dict[str, Any]]:
    """The objects of lines that are one; every other line is passed over."""
    for line in output.splitlines():
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                yield found
