"""Runs the real program: in a process of its own, or in this one."""

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastcopy import cli
from tests.lastcopy.forks import Forks

_PATIENCE_SECONDS = 300.0
_started: set[str] = set()  # commands


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
    """Run `lastcopy` in a folder, in a process of its own, and hold its exit code against the expected one (None: any).

    Of each command the first run of a session starts as a user's does, the others as forks of an interpreter that has loaded the program.
    """
    settings = environment(folder, **more)
    command = next((os.fsdecode(argument) for argument in arguments if not os.fsdecode(argument).startswith("-")), "")
    if obedient or command not in _started or not _forks().able(command, settings):
        ended = _start(["-c", _OBEDIENT] if obedient else ["-m", "lastcopy"], arguments, folder, settings)
        _started.add(command)
    else:
        ended = _fork(arguments, folder, settings)
    if code is not None:
        assert ended.code == code, f"{arguments}: exit {ended.code}\n{ended.err}\n{ended.out[:2000]!r}"
    return ended


def _start(program: list[str], arguments: Sequence[str | bytes], folder: Path, settings: Mapping[str, str]) -> Ended:
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=folder,
        env=settings,
        capture_output=True,
        check=False,
        timeout=_PATIENCE_SECONDS,
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode("utf-8", "backslashreplace"))


def _fork(arguments: Sequence[str | bytes], folder: Path, settings: Mapping[str, str]) -> Ended:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = _forks().run(arguments, folder, settings, (out, err), _PATIENCE_SECONDS)
        for stream in (out, err):
            stream.seek(0)
        return Ended(code, out.read(), err.read().decode("utf-8", "backslashreplace"))


@functools.cache
def _forks() -> Forks:
    """One for all runs of this process: it is started by the second run of a command."""
    return Forks(environment(Path("/")))
