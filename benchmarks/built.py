"""The C programs of this folder, compiled once."""

import shutil
import subprocess
from pathlib import Path

BUILD = Path(__file__).parent / "build"
_SOURCES = Path(__file__).parent


class MissingToolError(Exception):
    """A program that a measurement needs is not here; the text is the line that installs it."""


def floor() -> Path:
    """The walker that does nothing but the system calls. Raises MissingToolError."""
    return _compiled("floor", "floor.c", "-O2")


def fsync_log() -> Path:
    """The library that logs every sync when it is preloaded. Raises MissingToolError."""
    return _compiled("fsyncs.so", "fsyncs.c", "-O2", "-shared", "-fPIC", "-ldl")


def _compiled(name: str, source: str, *options: str) -> Path:
    made, code = BUILD / name, _SOURCES / source
    if made.exists() and made.stat().st_mtime_ns > code.stat().st_mtime_ns:
        return made
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise MissingToolError(f"no C compiler for {source}: apt-get install gcc libc6-dev")
    BUILD.mkdir(exist_ok=True)
    subprocess.run([compiler, "-Wall", "-o", made, code, *options], check=True)
    return made
