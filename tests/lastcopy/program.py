"""Runs the real program: in a process of its own, or in this one."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastcopy import cli


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


# Permissions hold in it for a superuser too.
_OBEDIENT = """
import sys
from lastcopy import cli
from sample_data import permissions
with permissions.obeyed():
    sys.exit(cli.run(sys.argv[1:]))
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a run: nothing of the user's own settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LASTCOPY", "XDG"))}
    return {**kept, "HOME": str(folder), "COLUMNS": "200", **more}


def ask(*arguments: str | bytes, folder: Path, code: int | None = 0) -> Ended:
    """As `run`, but in this process: for the many questions that change nothing."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended_with = cli.run([os.fsdecode(argument) for argument in arguments])
    for stream in (out, err):
        stream.flush()
    ended = Ended(int(ended_with), out.buffer.getvalue(), err.buffer.getvalue().decode())
    if code is not None:
        assert ended.code == code, f"{arguments}: exit {ended.code}\n{ended.err}\n{ended.out[:2000]!r}"
    return ended


def run(*arguments: str | bytes, folder: Path, code: int | None = 0, obedient: bool = False, **more: str) -> Ended:
    """Run `lastcopy` in a folder, and hold its exit code against the expected one (None: any)."""
    program = ["-c", _OBEDIENT] if obedient else ["-m", "lastcopy"]
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        check=False,
        timeout=300,
    )
    ended = Ended(done.returncode, done.stdout, done.stderr.decode("utf-8", "backslashreplace"))
    if code is not None:
        assert ended.code == code, f"{arguments}: exit {ended.code}\n{ended.err}\n{ended.out[:2000]!r}"
    return ended
