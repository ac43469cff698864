"""Makes durable what was written: names of a folder, or content of a file."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Make a folder's names, or a file, durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
