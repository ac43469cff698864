"""Runs the real program in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    out: bytes
    err: str

    @property
    def data(self) -> Any:  # noqa: ANN401  JSON: each test knows its shape
        """The `data` of the JSON envelope on stdout."""
        return self.envelope["data"]

    @property
    def envelope(self) -> dict[str, Any]:
        """The JSON envelope on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def error(self) -> dict[str, Any]:
        """The last line of stderr, as a JSON error."""
        found: dict[str, Any] = json.loads(self.err.splitlines()[-1])
        return found


def run(*arguments: str | bytes, folder: Path, code: int | None = 0, **environment: str) -> Ended:
    """Run `lastcopy` in a folder, and hold its exit code against the expected one (None: any)."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LASTCOPY", "XDG"))}
    done = subprocess.run(
        [sys.executable, "-m", "lastcopy", *arguments],
        cwd=folder,
        env={**kept, "HOME": str(folder), "COLUMNS": "200", **environment},
        capture_output=True,
        check=False,
        timeout=300,
    )
    ended = Ended(done.returncode, done.stdout, done.stderr.decode("utf-8", "backslashreplace"))
    if code is not None:
        assert ended.code == code, f"{arguments}: exit {ended.code}\n{ended.err}\n{ended.out[:2000]!r}"
    return ended
